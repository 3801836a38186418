"""The text of a content, which the service computes and PostgreSQL computes, is the same byte for byte."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    MAX_CONTENT_DEPTH,
    MAX_NUMBER,
    JsonObject,
    JsonValue,
    encode_json,
)
from configsvc.domain.errors import Violations
from configsvc.domain.json_text import content_from_text
from configsvc.domain.stored_json import Content, stored_text
from tests.domain.contents import objects, scalars
from tests.domain.jsonschema.corpus import configurations, documents, needs_corpus
from tests.postgres import plain_connection, run
from tests.storage.reading import Session

KEYS = ("", "a", "b", "aa", "z", "Z", "é", "ü", "€", "😀", "aé", "\u2028", '"', "\\", "\n", "\x7f", "\x01", "a" * 200)
NUMBERS = (0, -1, MAX_NUMBER, -MAX_NUMBER, 0.5, 1.5, 1e-5, -1.25e-7, 5e-324, 1.7976931348623157e-308, 123456.789, 0.1)
# As a client may write them, whatever becomes of them.
NUMBER_TEXTS = (
    "0",
    "-0",
    "-0.0",
    "1.50",
    "1e2",
    "1E-7",
    "0.10e1",
    "1e400",
    "1e-400",
    "9007199254740992",
    "1.0",
    "12e-1",
)
TEXTS = (
    '"a"',
    r'"\u00e9"',
    r'"\ud83d\ude00"',
    r'"\u0041\/\b\f\n\r\t\\\""',
    r'"\u0001\u007f"',
    r'"\u0000"',
    r'"\ud800"',
)


def nested(depth: int) -> JsonValue:
    value: JsonValue = []
    for _ in range(depth // 2):
        value = [{"a": value}]
    return value


structures: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from(KEYS),
    st.one_of(
        st.sampled_from(NUMBERS),
        st.floats(-1, 1, exclude_min=True, exclude_max=True),
        scalars,
        objects,
        st.dictionaries(st.sampled_from(KEYS), st.sampled_from(NUMBERS)),
        st.integers(0, MAX_CONTENT_DEPTH - 3).map(nested),
    ),
)


def canonical(value: JsonObject) -> JsonObject | None:
    """Return the value as a request with its text would store it; None if that is refused."""
    violations = Violations()
    text = json.dumps(value)
    found = content_from_text(text, "", violations, limit_bytes=MAX_CONTENT_BYTES, wide_numbers=False)
    return None if violations else found


async def stored(url: str, texts: list[str]) -> list[str]:
    """Return what PostgreSQL makes of JSON texts."""
    async with plain_connection(url) as session:
        rows = await session.fetch("SELECT text::jsonb::text FROM unnest($1::text[]) AS t (text)", texts)
        return [row["text"] for row in rows]


@settings(max_examples=25)
@given(contents=st.lists(structures, min_size=10, max_size=30))
def test_the_text_of_a_value_is_that_of_postgresql(postgres_server: str, contents: list[JsonObject]) -> None:
    values = [value for content in contents if (value := canonical(content)) is not None]
    assert len(values) == len(contents)
    assert [stored_text(value) for value in values] == run(stored(postgres_server, [*map(encode_json, values)]))


def members(keys: st.SearchStrategy[str], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(keys, inner), max_size=4)
    return pairs.map(lambda found: "{ " + " ,\n".join(f"{key} :\t{value}" for key, value in found) + "}")


written = st.recursive(
    st.sampled_from((*NUMBER_TEXTS, *TEXTS, "true", "null", "[]", "{}")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]"), members(st.sampled_from(TEXTS), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=25)
@given(texts=st.lists(members(st.sampled_from(TEXTS), written), min_size=20, max_size=40))
@example(['{"a":-0.0}', '{"a":1.50}', '{"a":1e400}', '{"a":1,"a":2}', r'{"\u0000":1}'])
def test_a_text_is_refused_or_becomes_what_postgresql_makes_of_it(postgres_server: str, texts: list[str]) -> None:
    kept: list[tuple[str, str]] = []
    for text in texts:
        violations = Violations()
        value = content_from_text(text, "", violations, limit_bytes=MAX_CONTENT_BYTES, wide_numbers=False)
        if not violations:
            kept.append((text, stored_text(value)))
    assert run(same_values(postgres_server, kept)) == [(text, text) for _, text in kept]


async def same_values(url: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the second texts as PostgreSQL writes them, or, where it finds another value in the first ones, those."""
    async with plain_connection(url) as session:
        rows = await session.fetch(
            """SELECT CASE WHEN sent::jsonb = kept::jsonb THEN kept ELSE sent END AS value, kept::jsonb::text AS text
            FROM unnest($1::text[], $2::text[]) AS t (sent, kept)""",
            [sent for sent, _ in pairs],
            [kept for _, kept in pairs],
        )
        return [(row["value"], row["text"]) for row in rows]


@needs_corpus
async def test_the_texts_of_real_configurations_are_those_of_postgresql(psql: Session) -> None:
    values = [
        value
        for schema in documents()
        for kind in ("valid", "invalid")
        for _, content in configurations(schema, kind)
        # Some have numbers that no content may have.
        if (value := canonical(content)) is not None
    ]
    assert len(values) > 100
    rows = await psql.fetch("SELECT text::jsonb::text FROM unnest($1::text[]) AS t (text)", [*map(encode_json, values)])
    assert [stored_text(value) for value in values] == [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (Content({"a": 1}), Content(None, '{"a": 1}'), True),
        (Content(None, '{"a": 1.50}'), Content({"a": 1.5}), True),
        (Content(None, '{"a": 1}'), Content({"a": True}), False),
        (Content(None, '{"a": 1}'), Content(None, '{"a": 2}'), False),
    ],
)
def test_contents_are_equal_if_their_values_are(left: Content, right: Content, same: bool) -> None:
    assert (left == right) is same
