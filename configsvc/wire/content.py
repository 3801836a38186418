"""Struct to JSON and back."""

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    MAX_CONTENT_DEPTH,
    MAX_NUMBER,
    JsonObject,
    JsonValue,
    canonical_content,
    canonical_list,
    check_content_size,
    escaped,
)
from configsvc.domain.errors import Violations

# JSON text is at most this many times as long as a Struct or ListValue: a control character is one byte, six as text.
TEXT_GROWTH = 6


def content_from(
    struct: Struct, field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES
) -> JsonObject:
    """Return the canonical JSON of a Struct; add every fault that prevents storing it."""
    try:
        content = _stored_object(struct, 1)
    except _UnfitError:
        # Locating the faults costs more than all the rest, so it is done only now.
        return _with_faults(struct, field, violations)
    if struct.ByteSize() * TEXT_GROWTH > limit_bytes:
        check_content_size(content, field, violations, limit_bytes=limit_bytes)
    return content


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


class _UnfitError(Exception):
    """A value cannot be stored."""


def _stored_object(struct: Struct, depth: int) -> JsonObject:
    stored: JsonObject = {}
    for key, value in struct.fields.items():
        if "\0" in key:
            raise _UnfitError
        stored[key] = _stored(value, depth)
    return stored


def _stored(value: Value, depth: int) -> JsonValue:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        if "\0" in text:
            raise _UnfitError
        return text
    if kind == "number_value":
        return _stored_number(value.number_value)
    if kind == "bool_value":
        return value.bool_value
    if kind == "null_value":
        return None
    if kind is None or depth == MAX_CONTENT_DEPTH:
        raise _UnfitError
    if kind == "struct_value":
        return _stored_object(value.struct_value, depth + 1)
    return [_stored(item, depth + 1) for item in value.list_value.values]


def _stored_number(number: float) -> int | float:
    # NaN is in no range.
    if not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise _UnfitError
    return int(number) if number.is_integer() else number


def _with_faults(struct: Struct, field: str, violations: Violations) -> JsonObject:
    found = Violations()
    without_kind: list[Value] = []
    content = canonical_content(_object(struct, without_kind), field, found)
    if without_kind:
        _add_missing_kinds(Value(struct_value=struct), field, found)
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


def json_of(struct: Struct) -> JsonObject:
    """Return the JSON of a Struct that `fill_struct` made of stored content, with keys in the order of PostgreSQL."""
    return {key: _json_of(struct.fields[key]) for key in sorted(struct.fields, key=_stored_order)}


def _stored_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded


def _json_of(value: Value) -> JsonValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return json_of(value.struct_value)
    if kind == "list_value":
        return [_json_of(item) for item in value.list_value.values]
    if kind == "null_value" or kind is None:
        return None
    found: JsonValue = getattr(value, kind)
    return int(found) if isinstance(found, float) and found.is_integer() else found


def fill_struct(struct: Struct, content: JsonObject) -> None:
    """Set an empty Struct, usually a field of a message, to a JSON object: half as long as Struct.update takes."""
    struct.SetInParent()
    fields = struct.fields
    for key, value in content.items():
        _fill(fields[key], value)


def fill_list(values: ListValue, items: list[JsonValue]) -> None:
    """Set an empty ListValue, usually a field of a message, to a JSON array."""
    values.SetInParent()
    add = values.values.add
    for item in items:
        _fill(add(), item)


def _fill(message: Value, value: JsonValue) -> None:
    if isinstance(value, str):
        message.string_value = value
    elif isinstance(value, bool):
        message.bool_value = value
    elif value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, dict):
        fill_struct(message.struct_value, value)
    elif isinstance(value, list):
        fill_list(message.list_value, value)
    else:
        message.number_value = value
