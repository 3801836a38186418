"""Struct to JSON and back."""

from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    JsonObject,
    JsonValue,
    canonical_content,
    canonical_list,
    check_content_size,
    escaped,
)
from configsvc.domain.errors import Violations
from configsvc.domain.stored_json import Content
from configsvc.wire.struct_bytes import plain_content

# JSON text is at most this many times as long as a Struct or ListValue: a control character is one byte, six as text.
TEXT_GROWTH = 6


def content_from(
    struct: Struct, field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES
) -> JsonObject:
    """Return the canonical JSON of a Struct; add every fault that prevents storing it."""
    return stored_content(struct, field, violations, limit_bytes=limit_bytes).value


def stored_content(
    struct: Struct, field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES
) -> Content:
    """Return the canonical content of a Struct; add every fault that prevents storing it."""
    data = struct.SerializeToString()
    content = plain_content(data)
    if content is None:
        return Content(_with_faults(struct, field, violations, limit_bytes))
    if len(data) * TEXT_GROWTH > limit_bytes:
        check_content_size(content, field, violations, limit_bytes=limit_bytes)
    return Content(content, struct=data)


def list_from(values: ListValue, field: str, violations: Violations) -> list[JsonValue]:
    """Return the canonical JSON of a ListValue; add every fault, with the index of its item."""
    found = Violations()
    without_kind: list[Value] = []
    items = canonical_list([_json(value, without_kind) for value in values.values], field, found)
    if without_kind:
        _add_missing_kinds(Value(list_value=values), field, found)
    if not found and values.ByteSize() * TEXT_GROWTH > MAX_CONTENT_BYTES:
        check_content_size(items, field, found)
    violations.extend(found)
    return items


def _with_faults(struct: Struct, field: str, violations: Violations, limit_bytes: int) -> JsonObject:
    found = Violations()
    without_kind: list[Value] = []
    content = canonical_content(_object(struct, without_kind), field, found)
    if without_kind:
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


def fill_struct(struct: Struct, content: JsonObject) -> None:
    """Set an empty Struct, usually a field of a message, to a JSON object: in half of the time of Struct.update."""
    struct.SetInParent()
    fields = struct.fields
    for key, value in content.items():
        kind = value.__class__
        # The commonest ones here: a call for each would take longer than the work.
        if kind is str:
            fields[key].string_value = value  # pyright: ignore[reportAttributeAccessIssue]
        elif kind is int or kind is float:
            fields[key].number_value = value  # pyright: ignore[reportAttributeAccessIssue]
        else:
            _fill(fields[key], value)


def fill_list(values: ListValue, items: list[JsonValue]) -> None:
    """Set an empty ListValue, usually a field of a message, to a JSON array."""
    values.SetInParent()
    add = values.values.add
    for item in items:
        _fill(add(), item)


def _fill(message: Value, value: Any) -> None:
    # The classes are exact, and asking for them is quicker than isinstance.
    kind = value.__class__
    if kind is str:
        message.string_value = value
    elif kind is int or kind is float:
        message.number_value = value
    elif kind is bool:
        message.bool_value = value
    elif kind is dict:
        fill_struct(message.struct_value, value)
    elif kind is list:
        fill_list(message.list_value, value)
    else:
        message.null_value = NULL_VALUE
