"""Struct to JSON and back."""

from typing import TYPE_CHECKING

from google.protobuf.struct_pb2 import Struct

from configsvc.domain.content import JsonObject, JsonValue, canonical_content, check_content_size, escaped
from configsvc.domain.errors import Violations

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Value


def content_from(struct: Struct, field: str, violations: Violations) -> JsonObject:
    """The canonical JSON of a Struct; adds every fault that keeps it from being stored."""
    found = Violations()
    content = canonical_content(_object(struct, field, found), field, found)
    if not found:
        check_content_size(content, field, found)
    violations.extend(found)
    return content


def _object(struct: Struct, field: str, violations: Violations) -> JsonObject:
    return {key: _json(value, f"{field}/{escaped(key)}", violations) for key, value in struct.fields.items()}


def _json(value: "Value", field: str, violations: Violations) -> JsonValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _object(value.struct_value, field, violations)
    if kind == "list_value":
        items = enumerate(value.list_value.values)
        return [_json(item, f"{field}/{index}", violations) for index, item in items]
    if kind is None:
        violations.add(field, "has no value: a google.protobuf.Value must set one of its kinds")
    if kind is None or kind == "null_value":
        return None
    scalar: str | float | bool = getattr(value, kind)
    return scalar


def struct_of(content: JsonObject) -> Struct:
    """The Struct of a JSON object."""
    struct = Struct()
    struct.update(content)
    return struct
