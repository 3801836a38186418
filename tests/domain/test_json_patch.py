"""JSON Patch: what a patch makes of a content, and where it stops."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpatch import JsonPatch

from configsvc.domain.content import JsonObject, JsonValue, encode_json, same_json
from configsvc.domain.differences import differences, patch_of
from configsvc.domain.errors import InvalidRequestError, Violation, Violations
from configsvc.domain.json_patch import MAX_PATCH_OPERATIONS, after_json_patch, checked_json_patch

# Few keys, so that operations often find something.
keys = st.sampled_from(["a", "b", "c", "0", "1", "", "a/b", "m~n"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(keys, values, max_size=4)
tokens = st.one_of(keys, st.sampled_from(["-", "0", "1", "2", "3", "01"]))
pointers = st.lists(tokens, max_size=3).map(
    lambda parts: "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
)
operations = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": pointers, "value": values}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": pointers}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "path": pointers, "from": pointers}),
)


def patched(content: JsonObject, *patch: Any) -> JsonObject:
    return after_json_patch(content, encode_json(list(patch)), "json_patch")


def fault(content: JsonObject, *patch: Any) -> Violation:
    with pytest.raises(InvalidRequestError) as caught:
        patched(content, *patch)
    (violation,) = caught.value.violations
    return violation


@given(documents, st.lists(operations, max_size=4))
def test_a_patch_that_can_be_applied_comes_to_what_the_library_makes_of_it(
    content: JsonObject, patch: list[dict[str, Any]]
) -> None:
    before = deepcopy(content)
    try:
        found = patched(content, *patch)
    except InvalidRequestError:
        pass
    else:
        assert same_json(found, JsonPatch(patch).apply(content))
    assert same_json(content, before)


@given(documents, documents)
def test_the_differences_of_two_contents_lead_from_one_to_the_other(before: JsonObject, after: JsonObject) -> None:
    assert same_json(patched(before, *patch_of(differences(before, after))), after)


def test_every_operation_does_what_it_says() -> None:
    content: JsonObject = {"a": 1, "l": [1, 2], "o": {"p": True}}
    result = patched(
        content,
        {"op": "test", "path": "/o", "value": {"p": True}},
        {"op": "add", "path": "/l/-", "value": 3},
        {"op": "add", "path": "/l/0", "value": 0},
        {"op": "remove", "path": "/a"},
        {"op": "replace", "path": "/o/p", "value": None},
        {"op": "copy", "from": "/l", "path": "/copied"},
        {"op": "move", "from": "/o", "path": "/moved"},
    )
    assert result == {"l": [0, 1, 2, 3], "copied": [0, 1, 2, 3], "moved": {"p": None}}
    assert content == {"a": 1, "l": [1, 2], "o": {"p": True}}


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"op": "test", "path": "/a", "value": True}, ['test "/a"', "different"]),
        ({"op": "test", "path": "/x", "value": 1}, ['test "/x"', "no such value"]),
        ({"op": "remove", "path": "/x"}, ['remove "/x"', "no such value"]),
        ({"op": "replace", "path": "/l/2", "value": 1}, ['replace "/l/2"', "no such value"]),
        ({"op": "add", "path": "/x/y", "value": 1}, ['add "/x/y"', "no such value"]),
        ({"op": "add", "path": "/a/y", "value": 1}, ['add "/a/y"', "neither an object nor a list"]),
        ({"op": "add", "path": "/l/01", "value": 1}, ['add "/l/01"', "no such value"]),
        ({"op": "move", "from": "/x", "path": "/y"}, ['move "/y" from "/x"', "no such value"]),
        ({"op": "move", "from": "/o", "path": "/o/p"}, ['move "/o/p" from "/o"', "into itself"]),
        ({"op": "copy", "from": "/l/-", "path": "/y"}, ['copy "/y" from "/l/-"', "no such value"]),
        ({"op": "replace", "path": "", "value": []}, ['replace ""', "not be an object"]),
        ({"op": "remove", "path": ""}, ['remove ""', "not be an object"]),
    ],
)
def test_an_operation_that_cannot_be_applied_is_named_with_its_index_and_pointer(
    operation: JsonObject, words: list[str]
) -> None:
    content: JsonObject = {"a": 1, "l": [1, 2], "o": {}}
    found = fault(content, {"op": "add", "path": "/b", "value": 1}, operation)
    assert found.field == "json_patch/1"
    for word in words:
        assert word in found.description


def test_repeated_copies_are_stopped_before_they_fill_the_memory() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/c{number}"} for number in range(60)]
    found = fault({"text": "x" * 1000}, *doubling)
    assert "copies more than" in found.description


def test_values_that_are_moved_into_each_other_without_end_are_refused_and_not_an_internal_error() -> None:
    nesting: list[JsonValue] = []
    for _ in range(400):
        nesting.append({"op": "add", "path": "/b", "value": {}})
        nesting.append({"op": "move", "from": "/a", "path": "/b/a"})
        nesting.append({"op": "move", "from": "/b", "path": "/a"})
    nesting = nesting[: MAX_PATCH_OPERATIONS - 1]
    found = fault({"a": {}}, *nesting, {"op": "copy", "from": "/a", "path": "/c"})
    assert found.field == f"json_patch/{MAX_PATCH_OPERATIONS - 1}"


@pytest.mark.parametrize(
    "operation",
    [
        1,
        "add",
        {},
        {"op": "add"},
        {"op": "add", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/~2", "value": 1},
        {"op": "add", "path": 1, "value": 1},
        {"op": "swap", "path": "/a", "value": 1},
        {"op": ["add"], "path": "/a", "value": 1},
        {"op": "copy", "path": "/a"},
        {"op": "move", "path": "/a", "from": "b"},
        {"op": "test", "path": "/a"},
    ],
)
def test_what_is_no_operation_is_a_fault_with_its_index(operation: JsonValue) -> None:
    violations = Violations()
    checked_json_patch([{"op": "remove", "path": "/a"}, operation], "json_patch", violations)
    assert [violation.field for violation in violations.found] == ["json_patch/1"]


def test_a_patch_has_a_limit_of_operations() -> None:
    violations = Violations()
    patch: list[JsonValue] = [{"op": "remove", "path": "/a"}] * (MAX_PATCH_OPERATIONS + 1)
    checked_json_patch(patch, "json_patch", violations)
    assert [violation.field for violation in violations.found] == ["json_patch"]
