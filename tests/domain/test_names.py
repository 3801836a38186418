import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from configsvc.domain.errors import MAX_VIOLATIONS, InvalidRequestError, Violations
from configsvc.domain.names import (
    canonical_request_id,
    check_configuration_name,
    check_id,
    check_name,
    check_name_prefix,
    check_text,
)

GOOD_NAMES = ["a", "0", "A9", "a" * 256, "a.b_c-d", "a.", "a..b", "a..."]
GOOD_CONFIGURATION_NAMES = [*GOOD_NAMES, "a.b_c-d/e", "a/.b", "a/...", "a/..b", "web/eu-1/front.v2"]
BAD_NAMES = [
    "",
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "~a",
    "@a",
    "$a",
    "/",
    "/a",
    "a/",
    "a//b",
    "a/./b",
    "a/../b",
    "a/.",
    "a/..",
    "../a",
    "a b",
    "a\n",
    "a\0",
    "a\\b",
    "é",
    "٣",
    "ａ",
    "a" * 257,
]


def faults(check: object, value: str) -> dict[str, str]:
    found = Violations()
    assert callable(check)
    check(value, "field", found)
    try:
        found.check()
    except InvalidRequestError as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_within_the_rule_is_taken(name: str) -> None:
    assert faults(check_name, name) == {}


@pytest.mark.parametrize("name", GOOD_CONFIGURATION_NAMES)
def test_a_configurations_name_within_the_rule_is_taken(name: str) -> None:
    assert faults(check_configuration_name, name) == {}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_rule_is_a_fault(name: str) -> None:
    assert list(faults(check_name, name)) == ["field"]
    assert list(faults(check_configuration_name, name)) == ["field"]


def test_only_names_of_configurations_have_slashes() -> None:
    assert faults(check_name, "team/web")["field"].startswith("contains /, as only names of configurations can")


@given(st.one_of(st.text(max_size=12), st.text(alphabet="aZ09._-/", max_size=12)))
def test_the_rule_for_names_is_that_of_the_design(name: str) -> None:
    characters = re.fullmatch(r"[A-Za-z0-9._/-]{1,256}", name) is not None
    begins = name[:1].isascii() and name[:1].isalnum()
    segments = all(segment not in {"", ".", ".."} for segment in name.split("/"))
    is_name = characters and begins and segments
    assert (faults(check_configuration_name, name) == {}) == is_name
    assert (faults(check_name, name) == {}) == (is_name and "/" not in name)


@given(st.text(alphabet="aZ09._-/", min_size=1, max_size=12), st.data())
def test_every_beginning_of_a_name_is_a_name_prefix(name: str, data: st.DataObject) -> None:
    if not faults(check_configuration_name, name):
        prefix = name[: data.draw(st.integers(0, len(name)))]
        assert faults(check_name_prefix, prefix) == {}


@pytest.mark.parametrize("prefix", ["é", "a b", "a%", "a\n", "a" * 257])
def test_a_prefix_that_no_name_has_is_a_fault(prefix: str) -> None:
    assert list(faults(check_name_prefix, prefix)) == ["field"]


@given(st.integers(0, 2**128 - 1))
def test_every_ulid_is_an_id(number: int) -> None:
    assert faults(check_id, str(ULID.from_int(number))) == {}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "01arz3ndektsv4rrffq69g5fav",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FAI",
        "01ARZ3NDEKTSV4RRFFQ69G5FAL",
        "01ARZ3NDEKTSV4RRFFQ69G5FAO",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEKTSV4RRFFQ69G5FA\n",
        "０1ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_what_is_not_a_ulid_is_not_an_id(value: str) -> None:
    assert list(faults(check_id, value)) == ["field"]


@given(st.uuids())
def test_every_uuid_is_a_request_id_in_either_case(value: object) -> None:
    assert faults(canonical_request_id, str(value)) == {}
    assert faults(canonical_request_id, str(value).upper()) == {}


def test_a_ulid_or_nothing_is_a_request_id() -> None:
    assert faults(canonical_request_id, "") == {}
    assert faults(canonical_request_id, "01ARZ3NDEKTSV4RRFFQ69G5FAV") == {}


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "{12345678-1234-5678-1234-567812345678}",
        "urn:uuid:12345678-1234-5678-1234-567812345678",
        "12345678123456781234567812345678",
        "12345678-1234-5678-1234-56781234567",
        "12345678-1234-5678-1234-567812345678 ",
        "1234567８-1234-5678-1234-567812345678",
    ],
)
def test_a_uuid_in_another_form_is_not_a_request_id(value: str) -> None:
    assert list(faults(canonical_request_id, value)) == ["field"]


def test_a_text_is_measured_in_characters() -> None:
    def check(text: str, field: str, violations: Violations) -> None:
        check_text(text, field, 10, violations)

    assert faults(check, "") == {}
    assert faults(check, "é" * 10) == {}
    assert faults(check, "𝄞" * 10) == {}
    assert "11 characters" in faults(check, "é" * 11)["field"]
    assert "U+0000" in faults(check, "a\0b")["field"]


def test_at_most_a_hundred_faults_are_kept() -> None:
    found = Violations()
    for number in range(MAX_VIOLATIONS + 50):
        found.add(f"f{number}", "is wrong")
    with pytest.raises(InvalidRequestError) as caught:
        found.check()
    assert [violation.field for violation in caught.value.violations] == [f"f{number}" for number in range(100)]


def test_without_a_fault_there_is_no_error() -> None:
    found = Violations()
    found.check()
    assert not found


def test_a_request_id_is_the_same_in_capitals() -> None:
    value = "6f1c2f0e-3b7a-4c58-9a51-1d1c1c2b9a10"
    assert canonical_request_id(value.upper(), "field", Violations()) == value


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("my app", 'has " " as character 3'),
        ("-a", 'begins with "-"'),
        ("naïve", 'has "ï" as character 3'),
        ("a\n", 'has "\\n" as character 2'),
    ],
)
def test_the_character_that_does_not_fit_a_name_is_named(name: str, fault: str) -> None:
    assert faults(check_name, name)["field"].startswith(f"{fault}: a name begins with")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "is required"),
        ("01arz3ndektsv4rrffq69g5fav", "must be in upper case: 01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("web", "has 3 characters: an id is a ULID, which has 26, not a name"),
        ("81ARZ3NDEKTSV4RRFFQ69G5FAV", "is not an id: a ULID contains only 0-9 and A-Z without I, L, O and U, and begins with 0 to 7"),  # noqa: E501
    ],
)  # fmt: skip
def test_an_id_that_is_none_is_told_from_one_in_lower_case(value: str, fault: str) -> None:
    assert faults(check_id, value) == {"field": fault}
