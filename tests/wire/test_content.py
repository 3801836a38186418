"""Conversion between Struct and JSON."""

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given

from configsvc.domain.content import JsonObject, JsonValue, same_json
from configsvc.domain.errors import InvalidRequestError, Violations
from configsvc.wire.content import content_from, fill_list, fill_struct, list_from
from tests.domain.contents import objects


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
