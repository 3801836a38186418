"""PostgreSQL understands each construct of json_path as it was written, and its canonical form alike."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.domain.json_path import canonical_json_path
from tests.domain.test_json_path import examples
from tests.postgres import plain_connection, run

DOCUMENTS: list[Any] = [
    {},
    {"a": 1, "b": "x", "c": None, "d": True},
    {"a": [1, 2, 3], "b": ["x", "y"], "c": {"a": 1, "b": {"a": "x"}}},
    {"a": "1", "b": "xyz", "c": [{"a": 1}, {"a": 2, "b": "x"}], "d": False},
    {"a": [], "b": {}, "c": [[1, [2]]], "d": [None, True, "x", 1.5, -1e-7]},
]
KEYS = ("a", "b", "c", "d", '"a"', "*")
VALUES = ("1", "2", "-1", "1.5", "1e0", '"x"', '"1"', '"\\u0078y"', "true", "false", "null", "-1e-7")


def paths(root: str, *, filters: int = 1) -> st.SearchStrategy[str]:
    step = st.one_of(
        st.sampled_from(KEYS).map(lambda key: f".{key}"),
        st.sampled_from(
            ("[*]", "[0]", "[last]", "[last - 1]", "[last-1]", "[0, 2]", "[1 to last]", ".size()", ".type()")
        ),
    )
    steps = [step, step, step]
    if filters:
        steps.append(comparisons("@", filters=filters - 1).map(lambda inner: f" ? ({inner})"))
    return st.lists(st.one_of(steps), max_size=3).map(lambda found: root + "".join(found))


def comparisons(root: str, *, filters: int = 1) -> st.SearchStrategy[str]:
    path = paths(root, filters=filters)
    operators = st.sampled_from((" == ", "!=", " <> ", "<", "<=", ">", ">="))
    values = st.sampled_from(VALUES)
    return st.one_of(
        st.tuples(path, operators, values).map("".join),
        st.tuples(values, operators, path).map("".join),
        path.map(lambda path: f'{path} starts with "x"'),
        path.map(lambda path: f'{path} like_regex "^X" flag "i"'),
        path.map(lambda path: f"exists({path})"),
    )


PREDICATES = st.recursive(
    comparisons("$"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from((" && ", "||")), inner).map("".join),
        inner.map(lambda one: f"!({one})"),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"({one}) is unknown"),
    ),
    max_leaves=5,
)


async def answers(url: str, texts: list[str]) -> list[list[bool | None]]:
    """Return what PostgreSQL finds with each text in each of the DOCUMENTS."""
    query = "SELECT array_agg(document @@ $2::jsonpath ORDER BY place) FROM "
    query += "jsonb_array_elements($1::jsonb) WITH ORDINALITY AS one (document, place)"
    async with plain_connection(url) as connection:
        return [await connection.fetchval(query, json.dumps(DOCUMENTS), text) for text in texts]


@settings(max_examples=60)
@given(texts=st.lists(PREDICATES, min_size=5, max_size=20))
def test_the_canonical_form_means_what_was_written(postgres_server: str, texts: list[str]) -> None:
    as_written, canonical = run(both(postgres_server, texts))
    assert canonical == as_written


async def both(url: str, texts: list[str]) -> tuple[list[list[bool | None]], list[list[bool | None]]]:
    return await answers(url, texts), await answers(url, [canonical_json_path(text) for text in texts])


@pytest.mark.parametrize("text", examples("Examples"))
async def test_postgresql_understands_the_examples_of_the_reference(postgres_server: str, text: str) -> None:
    as_written, canonical = await both(postgres_server, [text])
    assert canonical == as_written
