"""Conversion between Struct and JSON."""

import json

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.content import JsonObject, JsonValue, same_json
from configsvc.domain.errors import InvalidRequestError, Violations
from configsvc.wire.content import content_from, fill_list, fill_struct, list_from, stored_content
from configsvc.wire.struct_bytes import plain_content
from tests.domain.contents import objects, values

# Lengths of one byte, of two and of three.
sizes = st.sampled_from((0, 1, 100, 127, 128, 200, 16_383, 20_000))
contents_of_any_size = st.dictionaries(
    sizes.map(lambda size: "k" * size), st.one_of(values, sizes.map(lambda size: "x" * size)), max_size=4
)


def struct_of(content: JsonObject) -> Struct:
    message = Struct()
    fill_struct(message, content)
    return message


def list_of(items: list[JsonValue]) -> ListValue:
    message = ListValue()
    fill_list(message, items)
    return message


def parsed(struct: Struct) -> tuple[JsonObject, dict[str, str]]:
    found = Violations()
    content = content_from(struct, "config", found)
    try:
        found.check()
    except InvalidRequestError as error:
        return content, {violation.field: violation.description for violation in error.violations}
    return content, {}


@given(objects)
def test_json_goes_through_a_struct_unchanged(content: JsonObject) -> None:
    struct = struct_of(content)
    answer, faults = parsed(Struct.FromString(struct.SerializeToString()))
    assert faults == {}
    assert answer == content


@given(objects)
def test_a_struct_means_what_the_protobuf_library_says(content: JsonObject) -> None:
    assert MessageToDict(struct_of(content)) == content


@given(objects)
def test_canonical_json_keeps_its_kinds_in_a_struct(content: JsonObject) -> None:
    answer, _ = parsed(struct_of(content))
    assert same_json(parsed(struct_of(answer))[0], answer)


def test_true_is_not_1_in_a_struct() -> None:
    assert struct_of({"a": True}) != struct_of({"a": 1})


def test_a_value_without_a_kind_is_a_fault_where_it_is() -> None:
    struct = Struct(
        fields={
            "a/b": Value(),
            "list": Value(list_value=ListValue(values=[Value(bool_value=True), Value()])),
            "object": Value(struct_value=Struct(fields={"~": Value()})),
        }
    )
    _, faults = parsed(struct)
    assert set(faults) == {"config/a~1b", "config/list/1", "config/object/~0"}


def test_all_faults_are_found_at_once() -> None:
    struct = Struct(
        fields={
            "nan": Value(number_value=float("nan")),
            "large": Value(number_value=2.0**53),
            "none": Value(),
            "null": Value(string_value="\0"),
        }
    )
    assert set(parsed(struct)[1]) == {"config/nan", "config/large", "config/none", "config/null"}


def test_a_content_that_is_too_large_is_a_fault_of_the_whole() -> None:
    _, faults = parsed(struct_of({"a": "x" * 300 * 1024}))
    assert list(faults) == ["config"]
    assert "262144" in faults["config"]


def test_faults_of_a_list_have_the_index_of_the_item() -> None:
    values = list_of([1, {"a": "\0"}, [1e300]])
    values.values.add()
    violations = Violations()

    list_from(values, "json_patch", violations)

    assert [fault.field for fault in violations.found] == ["json_patch/1/a", "json_patch/2/0", "json_patch/3"]


def test_a_list_has_its_items_in_order() -> None:
    items: list[JsonValue] = [1, "a", None, {"b": [True, 0.5]}]
    violations = Violations()

    assert (list_from(list_of(items), "json_patch", violations), violations.found) == (items, ())


@given(contents_of_any_size, st.data())
def test_the_bytes_of_a_struct_are_read_as_its_messages_are(content: JsonObject, data: st.DataObject) -> None:
    encoded = struct_of(content).SerializeToString()
    for _ in range(3):
        start = data.draw(st.integers(0, len(encoded)))
        stop = data.draw(st.integers(start, min(len(encoded), start + 3)))
        changed = encoded[:start] + data.draw(st.binary(max_size=3)) + encoded[stop:]
        try:
            struct = Struct.FromString(changed)
        except DecodeError:
            continue
        found, plain = parsed(struct), plain_content(struct.SerializeToString())
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("configsvc.wire.content.plain_content", lambda _: None)
            assert parsed(struct) == found
        if plain is not None:
            assert same_json(plain, found[0])


@given(objects)
def test_a_content_is_plain_unless_a_number_is_minus_zero(content: JsonObject) -> None:
    numbers: list[str] = []
    json.loads(json.dumps(content), parse_float=numbers.append)
    assert (plain_content(struct_of(content).SerializeToString()) is None) == ("-0.0" in numbers)


@pytest.mark.parametrize(
    "struct",
    [
        Struct(fields={"a": Value(number_value=-0.0)}),
        Struct(fields={"a": Value(list_value=ListValue(values=[Value(number_value=-0.0)]))}),
        # Fields that no Struct and no Value has.
        Struct.FromString(b"\x7a\x01x"),
        Struct.FromString(b"\x0a\x0a\x0a\x01a\x12\x05\x20\x01\x7a\x01x"),
    ],
)
def test_a_struct_that_is_not_stored_as_it_came_is_made_anew_for_an_answer(struct: Struct) -> None:
    with Violations() as violations:
        kept = stored_content(struct, "config", violations)
    assert kept.struct is None
    assert struct_of(kept.value).SerializeToString() != struct.SerializeToString()


def test_a_struct_that_is_stored_as_it_came_is_kept_for_an_answer() -> None:
    struct = struct_of({"a": [1, "b", {"c": None}], "d": True})
    with Violations() as violations:
        kept = stored_content(struct, "config", violations)
    assert Struct.FromString(kept.struct or b"") == struct
