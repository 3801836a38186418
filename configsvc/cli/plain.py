"""Messages as plain values, for JSON and YAML: the field names of the API, numbers as numbers, contents as they are."""

from typing import Any

from configsvc.cli import pb
from configsvc.cli.documents import parse_json

_JSON = "_json"
_WELL_KNOWN = ("google.protobuf.Timestamp", "google.protobuf.Duration")


def plain(message: "pb.Message") -> dict[str, Any]:
    """Return a message as a dict, with every field that is set or cannot be unset."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if not field.has_presence or message.HasField(field.name):
            value = getattr(message, field.name)
            if _is_json(field):
                found[field.name.removesuffix(_JSON)] = parse_json(value)
            else:
                found[field.name] = _repeated(field, value) if _is_repeated(field, value) else _single(field, value)
    return found


def _is_json(field: Any) -> bool:
    return field.name.endswith(_JSON) and field.has_presence


def _is_repeated(field: Any, value: Any) -> bool:
    # FieldDescriptor.is_repeated is newer than the oldest protobuf that is supported.
    return not field.has_presence and hasattr(value, "MergeFrom")


def _repeated(field: Any, value: Any) -> Any:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return {key: _single(entry.fields_by_name["value"], value[key]) for key in value}
    return [_single(field, element) for element in value]


def _single(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else value
    if field.message_type is None:
        return value
    if field.message_type.full_name in _WELL_KNOWN:
        return value.ToJsonString()
    if field.message_type.full_name == "google.protobuf.Any":
        return _any(value)
    return plain(value)


def _any(value: Any) -> Any:
    for known in (pb.OperationMetadata, pb.ImportConfigurationsResult, pb.MigrateConfigurationsResult):
        unpacked = known()
        if value.Unpack(unpacked):
            return plain(unpacked)
    return {"@type": value.type_url}


def time_text(time: "pb.Timestamp") -> str:
    """Return a time in UTC, to the second; empty if it is not set."""
    return time.ToDatetime().isoformat(timespec="seconds") + "Z" if time.ByteSize() else ""


def word(enum_name: str) -> str:
    """Return the last word of an enum's value, in small letters: CHANGE_TYPE_CREATED is created."""
    return enum_name.rsplit("_", maxsplit=1)[-1].lower()
