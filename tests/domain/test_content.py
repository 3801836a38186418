import json
import math

import pytest
from hypothesis import given

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    MAX_CONTENT_DEPTH,
    MAX_NUMBER,
    JsonObject,
    JsonValue,
    canonical_content,
    check_content_size,
    encode_json,
    escaped,
    merge_patch,
    same_json,
)
from configsvc.domain.errors import InvalidRequestError, Violations
from tests.domain.contents import objects, small_objects, small_values
from tests.domain.merges import RFC_7396


def nested(levels: int, innermost: JsonValue = 0) -> JsonObject:
    """Return an object of that many levels, its own included."""
    value: JsonValue = innermost
    for _ in range(levels):
        value = {"a": value}
    assert isinstance(value, dict)
    return value


def fields(found: Violations) -> list[str]:
    try:
        found.check()
    except InvalidRequestError as error:
        return [violation.field for violation in error.violations]
    return []


def canonical(content: JsonObject) -> tuple[JsonObject, list[str]]:
    found = Violations()
    answer = canonical_content(content, "config", found)
    return answer, fields(found)


@pytest.mark.parametrize(
    ("given_number", "kept"),
    [
        (1.0, 1),
        (-0.0, 0),
        (0.5, 0.5),
        (1e15, 10**15),
        (float(MAX_NUMBER), MAX_NUMBER),
        (-float(MAX_NUMBER), -MAX_NUMBER),
        (5e-324, 5e-324),
        (0.1, 0.1),
    ],
)
def test_whole_numbers_are_kept_as_integers_and_others_as_they_are(given_number: float, kept: float) -> None:
    answer, found = canonical({"a": given_number, "b": [given_number], "c": {"d": given_number}})
    assert found == []
    assert answer == {"a": kept, "b": [kept], "c": {"d": kept}}
    assert type(answer["a"]) is type(kept)


@pytest.mark.parametrize("number", [2.0**53, -(2.0**53), 1e300, math.inf, -math.inf, math.nan])
def test_a_number_that_a_double_does_not_hold_exactly_is_a_fault_where_it_is(number: float) -> None:
    _, found = canonical({"ok": 1, "a": number, "b": {"c": [0, {"d": number}]}})
    assert found == ["config/a", "config/b/c/1/d"]


def test_booleans_are_not_numbers() -> None:
    answer, found = canonical({"a": True, "b": False})
    assert found == []
    assert answer["a"] is True
    assert answer["b"] is False


def test_a_null_character_is_a_fault_in_keys_and_in_strings() -> None:
    _, found = canonical({"a": "x\0y", "b\0": 1, "c": ["\0"]})
    assert found == ["config/a", "config/b\0", "config/c/0"]


@pytest.mark.parametrize(
    ("key", "pointer"), [("", ""), ("a/b", "a~1b"), ("m~n", "m~0n"), ("~1", "~01"), ("/~/", "~1~0~1"), ("ü", "ü")]
)
def test_a_pointer_escapes_what_rfc_6901_escapes(key: str, pointer: str) -> None:
    assert escaped(key) == pointer
    assert canonical({key: math.nan})[1] == [f"config/{pointer}"]


def test_as_many_levels_as_allowed_are_taken_and_one_more_is_a_fault() -> None:
    assert canonical(nested(MAX_CONTENT_DEPTH))[1] == []
    assert canonical(nested(MAX_CONTENT_DEPTH - 1, []))[1] == []
    too_deep = ["config" + "/a" * MAX_CONTENT_DEPTH]
    assert canonical(nested(MAX_CONTENT_DEPTH, {}))[1] == too_deep
    assert canonical(nested(MAX_CONTENT_DEPTH, []))[1] == too_deep
    assert canonical(nested(200))[1] == too_deep


def test_lists_count_as_levels() -> None:
    value: JsonValue = 0
    for _ in range(MAX_CONTENT_DEPTH - 1):
        value = [value]
    assert canonical({"a": value})[1] == []
    assert canonical({"a": [value]})[1] == ["config/a" + "/0" * (MAX_CONTENT_DEPTH - 1)]


@given(objects)
def test_canonical_content_is_the_same_json_and_stays_as_it_is(content: JsonObject) -> None:
    answer, found = canonical(content)
    assert found == []
    assert answer == content
    again, found = canonical(answer)
    assert found == []
    assert encode_json(again) == encode_json(answer)


def test_the_size_is_that_of_compact_json_in_utf_8() -> None:
    def faults(content: JsonObject) -> list[str]:
        found = Violations()
        check_content_size(content, "config", found)
        return fields(found)

    overhead = len('{"a":""}')
    assert faults({"a": "x" * (MAX_CONTENT_BYTES - overhead)}) == []
    assert faults({"a": "x" * (MAX_CONTENT_BYTES - overhead + 1)}) == ["config"]
    assert faults({"a": "ü" * (MAX_CONTENT_BYTES // 2 - overhead)}) == []
    assert faults({"a": "ü" * (MAX_CONTENT_BYTES // 2)}) == ["config"]


@given(objects)
def test_encoded_json_reads_back_the_same(content: JsonObject) -> None:
    assert json.loads(encode_json(content)) == content


@pytest.mark.parametrize(("target", "patch", "merged"), RFC_7396)
def test_a_merge_patch_is_that_of_rfc_7396(target: JsonObject, patch: JsonObject, merged: JsonObject) -> None:
    assert merge_patch(target, patch) == merged


def test_the_example_in_the_text_of_rfc_7396() -> None:
    target: JsonObject = {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    }
    patch: JsonObject = {
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": {"familyName": None},
        "tags": ["example"],
    }
    assert merge_patch(target, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    }


@given(small_objects, small_objects)
def test_a_merge_patch_applied_twice_is_as_applied_once(target: JsonObject, patch: JsonObject) -> None:
    once = merge_patch(target, patch)
    assert same_json(merge_patch(once, patch), once)


@given(small_objects)
def test_an_empty_patch_changes_nothing(target: JsonObject) -> None:
    assert same_json(merge_patch(target, {}), target)


@given(small_objects)
def test_a_patch_of_nothing_is_the_patch_without_its_nulls(patch: JsonObject) -> None:
    def without_nulls(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        return value

    assert same_json(merge_patch({}, patch), without_nulls(patch))


@given(small_objects)
def test_a_patch_that_removes_every_member_leaves_nothing(target: JsonObject) -> None:
    assert merge_patch(target, dict.fromkeys(target)) == {}


@given(small_objects, small_objects)
def test_a_merge_patch_leaves_its_arguments_as_they_are(target: JsonObject, patch: JsonObject) -> None:
    before = encode_json([target, patch])
    merge_patch(target, patch)
    assert encode_json([target, patch]) == before


@given(small_values, small_values)
def test_the_same_json_is_the_same_text_with_sorted_keys(left: JsonValue, right: JsonValue) -> None:
    assert same_json(left, right) == (json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True))


@given(objects)
def test_json_is_the_same_in_whatever_order_its_keys_are(content: JsonObject) -> None:
    assert same_json(content, dict(reversed(content.items())))


@pytest.mark.parametrize(
    ("left", "right"),
    [(True, 1), (False, 0), ([True], [1]), ({"a": False}, {"a": 0}), (None, False), ("1", 1), ([], {}), ([1], [1, 1])],
)
def test_values_of_different_kinds_are_not_the_same(left: JsonValue, right: JsonValue) -> None:
    assert not same_json(left, right)
    assert not same_json(right, left)
    assert same_json(left, left)
