import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.content import MAX_CONTENT_BYTES, MAX_CONTENT_DEPTH, encode_json
from configsvc.domain.errors import Violations
from configsvc.domain.json_text import MAX_DIGITS, content_from_text, list_from_text
from tests.domain.contents import exact

LIMIT_BYTES = 10_000

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def faults_of(text: str, limit_bytes: int = LIMIT_BYTES) -> dict[str, str]:
    violations = Violations()
    content_from_text(text, "json", violations, limit_bytes=limit_bytes, wide_numbers=True)
    return {violation.field: violation.description for violation in violations.found}


@given(st.dictionaries(texts, values, max_size=4))
def test_content_is_what_the_text_says_to_the_last_digit(content: dict[str, Any]) -> None:
    text = json.dumps(content)
    violations = Violations()
    found = content_from_text(text, "json", violations, limit_bytes=LIMIT_BYTES, wide_numbers=True)
    assert violations.found == ()
    assert exact(encode_json(found)) == exact(text)


@given(st.text())
def test_any_text_is_content_or_a_fault(text: str) -> None:
    assert isinstance(faults_of(text), dict)


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("1e30", 10**30),
        ("18446744073709551615", 2**64 - 1),
        ("1.0", 1),
        ("-0.5e1", -5),
        ("0.1", 0.1),
        ("1e-300", 1e-300),
    ],
)
def test_a_number_is_kept_as_it_is(number: str, kept: float) -> None:
    violations = Violations()
    found = content_from_text(f'{{"a":{number}}}', "json", violations, limit_bytes=LIMIT_BYTES, wide_numbers=True)
    assert (found, violations.found) == ({"a": kept}, ())
    assert isinstance(found["a"], type(kept))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"\\ud800":1}', "half of a surrogate pair"),
        ('{"a":' * 100_000, "is nested too deep"),
        ('{"a":"' + "x" * LIMIT_BYTES + '"}', "at most 10000 are allowed"),
    ],
)
def test_a_text_that_cannot_be_kept_is_a_fault(text: str, fault: str) -> None:
    (found,) = faults_of(text).items()
    assert found[0] == "json"
    assert fault in found[1]


def test_faults_within_the_content_have_their_pointers() -> None:
    levels = MAX_CONTENT_DEPTH
    deep = '{"a":' * levels + "{}" + "}" * levels
    assert list(faults_of(deep)) == ["json" + "/a" * levels]
    assert set(faults_of('{"a/b":"\\u0000","c\\u0000":1}')) == {"json/a~1b", "json/c\0"}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("NaN", "is NaN"),
        ("-Infinity", "is -Infinity"),
        ("0.30000000000000000001", "which a double cannot represent exactly"),
        ("9007199254740993.5", "which a double cannot represent exactly"),
        ("1e1001", "too large or too small"),
        ("1e-1001", "too large or too small"),
        ("1e99999999999999999999", "too large or too small"),
        ("1e-400", "which a double cannot represent exactly"),
        (f"1{'0' * MAX_DIGITS}", "at most 1000 are allowed"),
        ('"\\ud800"', "half of a surrogate pair"),
        ('"\\uDBFF"', "half of a surrogate pair"),
        ('"a\\udc00"', "half of a surrogate pair"),
        ('"\\uDFFF\\uD800"', "half of a surrogate pair"),
    ],
)
def test_a_value_that_cannot_be_kept_is_a_fault_with_its_pointer(value: str, fault: str) -> None:
    ((field, description),) = faults_of(f'{{"b":[1,{{"a/b":{value}}}]}}').items()
    assert field == "json/b/1/a~1b"
    assert fault in description


@pytest.mark.parametrize("text", [r"\ud83d\uDE00", r"\uD83D\ude00", "\N{GRINNING FACE}"])
def test_a_whole_surrogate_pair_is_one_character(text: str) -> None:
    violations = Violations()
    found = content_from_text(f'{{"a":"{text}"}}', "json", violations, limit_bytes=LIMIT_BYTES, wide_numbers=False)
    assert (found, violations.found) == ({"a": "\N{GRINNING FACE}"}, ())


def test_repeated_keys_are_faults_with_their_pointers() -> None:
    text = '{"a":{"x":1,"x":2},"b":[{"y":{},"z":0,"y":{"q":1,"q":1}}],"a":{"c~d":1,"c~d":1}}'
    assert set(faults_of(text)) == {"json/a", "json/a/c~0d", "json/b/0/y", "json/b/0/y/q"}
    assert set(faults_of('{"type":"object","type":"object"}').values()) == {
        "is there more than once: each key must be unique in its object"
    }


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1e400", "9007199254740993.0"])
def test_a_content_as_text_has_no_number_beyond_what_a_double_holds(number: str) -> None:
    violations = Violations()

    content_from_text(f'{{"a":{number}}}', "config_json", violations, limit_bytes=LIMIT_BYTES, wide_numbers=False)

    assert [fault.field for fault in violations.found] == ["config_json/a"]


def test_a_content_as_text_has_every_whole_number_that_a_double_holds() -> None:
    violations = Violations()
    text = '{"a":9007199254740991,"b":-9007199254740991}'

    content = content_from_text(text, "config_json", violations, limit_bytes=LIMIT_BYTES, wide_numbers=False)

    assert (content, violations.found) == ({"a": 9007199254740991, "b": -9007199254740991}, ())


def list_faults_of(text: str) -> dict[str, str]:
    violations = Violations()
    list_from_text(text, "json", violations)
    return {violation.field: violation.description for violation in violations.found}


def test_a_list_as_text_has_its_items_in_order() -> None:
    violations = Violations()

    items = list_from_text('[1, 2.0, {"a": [null, true]}, "b"]', "json", violations)

    assert (items, violations.found) == ([1, 2, {"a": [None, True]}, "b"], ())


def test_faults_of_a_list_as_text_have_the_index_of_the_item() -> None:
    text = '[{"a": 1e400}, {"b": "\\u0000"}, {"c": 0.1234567890123456789}]'

    assert list_faults_of(text).keys() == {"json/0/a", "json/2/c"}
    assert list_faults_of('[0, {"b": "\\u0000"}]').keys() == {"json/1/b"}


@pytest.mark.parametrize("text", ["{}", "1", "null", "", "[", '[{"a":1,"a":2}]', "[" * 100_000])
def test_what_is_no_list_as_text_is_one_fault(text: str) -> None:
    assert len(list_faults_of(text)) == 1


def test_a_list_as_text_has_a_limit() -> None:
    room = MAX_CONTENT_BYTES - len('[""]')
    assert list_faults_of(f'[ "{"x" * room}" ]') == {}
    assert list_faults_of(f'["{"x" * (room + 1)}"]').keys() == {"json"}
