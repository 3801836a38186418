"""Struct to JSON and back."""

from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    JsonObject,
    JsonValue,
    canonical_content,
    check_content_size,
    escaped,
)
from configsvc.domain.errors import Violations

# JSON text is at most this many times the bytes of a Struct: a control character takes one byte there, and six as text.
TEXT_GROWTH = 6


def content_from(
    struct: Struct, field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES
) -> JsonObject:
    """The canonical JSON of a Struct; adds every fault that keeps it from being stored."""
    found = Violations()
    without_kind: list[Value] = []
    content = canonical_content(_object(struct, without_kind), field, found)
    if without_kind:
        # Where they are is looked for only now: pointers to all values would cost more than the rest.
        _add_missing_kinds(Value(struct_value=struct), field, found)
    if not found and struct.ByteSize() * TEXT_GROWTH > limit_bytes:
        check_content_size(content, field, found, limit_bytes=limit_bytes)
    violations.extend(found)
    return content


def _object(struct: Struct, without_kind: list[Value]) -> JsonObject:
    return {key: _json(value, without_kind) for key, value in struct.fields.items()}


def _json(value: Value, without_kind: list[Value]) -> JsonValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _object(value.struct_value, without_kind)
    if kind == "list_value":
        return [_json(item, without_kind) for item in value.list_value.values]
    if kind is None:
        without_kind.append(value)
    if kind is None or kind == "null_value":
        return None
    scalar: str | float | bool = getattr(value, kind)
    return scalar


def _add_missing_kinds(value: Value, pointer: str, violations: Violations) -> None:
    match value.WhichOneof("kind"):
        case None:
            violations.add(pointer, "has no value: a google.protobuf.Value must set one of its kinds")
        case "struct_value":
            for key, item in value.struct_value.fields.items():
                _add_missing_kinds(item, f"{pointer}/{escaped(key)}", violations)
        case "list_value":
            for index, item in enumerate(value.list_value.values):
                _add_missing_kinds(item, f"{pointer}/{index}", violations)
        case _:
            pass


def struct_of(content: JsonObject) -> Struct:
    """The Struct of a JSON object. Filled in place, which takes half as long as Struct.update."""
    struct = Struct()
    _fill_object(struct, content)
    return struct


def _fill_object(struct: Struct, content: JsonObject) -> None:
    for key, value in content.items():
        _fill(struct.fields[key], value)


def _fill(message: Value, value: JsonValue) -> None:
    if isinstance(value, str):
        message.string_value = value
    elif isinstance(value, bool):
        message.bool_value = value
    elif value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        _fill_object(message.struct_value, value)
    elif isinstance(value, list):
        message.list_value.SetInParent()
        for item in value:
            _fill(message.list_value.values.add(), item)
    else:
        message.number_value = value
