"""JSON values into the fields of messages, with a fault for each that does not fit."""

import re
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from configsvc.domain.errors import Violations
from configsvc.web.json_reader import TEXT_SUFFIX, Json, JsonObject, is_content, is_list, is_object, shown

# Messages that are text in JSON, with an example of each.
TEXTS = {
    "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "30s",
    "google.protobuf.FieldMask": "comments,schema",
}


class _UnfitError(Exception):
    """A value that does not fit its field. The text says why."""


def fill(message: Message, values: JsonObject, violations: Violations, path: str = "") -> None:
    """Set the fields of a message to values by name. Add a fault for each that does not fit."""
    fields = cast("Descriptor", message.DESCRIPTOR).fields_by_name
    for name, value in values.items():
        field = fields.get(name)
        # null stands for a field that is not set; unknown fields have been reported.
        if value is None or field is None:
            continue
        try:
            _check_alone(message, field)
            _set(message, field, value, f"{path}{name}", violations)
        except _UnfitError as error:
            violations.add(f"{path}{name}", str(error))


def _check_alone(message: Message, field: FieldDescriptor) -> None:
    group = field.containing_oneof
    other = message.WhichOneof(group.name) if group else None
    if other:
        raise _UnfitError(f"cannot be combined with {other.removesuffix(TEXT_SUFFIX)}: set one of them")


def _set(message: Message, field: FieldDescriptor, value: Json, path: str, violations: Violations) -> None:
    if is_content(field):
        setattr(message, field.name + TEXT_SUFFIX, value)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(getattr(message, field.name), field.message_type, value, path, violations)
    elif field.is_repeated:
        _set_list(getattr(message, field.name), field, value, path, violations)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _set_message(inner, value, path, violations)
    else:
        setattr(message, field.name, _scalar(field, value))


def _set_map(target: Any, entry: Descriptor, value: Json, path: str, violations: Violations) -> None:
    if not is_object(value):
        raise _UnfitError("must be an object")
    for key, one in value.items():
        try:
            target[_unicode(key)] = _scalar(entry.fields_by_name["value"], one)
        except _UnfitError as error:
            violations.add(f"{path}[{shown(key)}]", str(error))


def _set_list(target: Any, field: FieldDescriptor, value: Json, path: str, violations: Violations) -> None:
    if not is_list(value):
        raise _UnfitError("must be a list")
    for index, one in enumerate(value):
        # No further fault is listed then, and each is counted.
        place = "" if violations.omitted else f"{path}[{index}]"
        try:
            if field.message_type is None:
                target.append(_scalar(field, one))
            else:
                # A message that is added takes memory until the request is gone.
                _check_kind(field.message_type, one)
                _set_message(target.add(), one, place, violations)
        except _UnfitError as error:
            violations.add(place, str(error))


def _set_message(message: Message, value: Json, path: str, violations: Violations) -> None:
    _check_kind(cast("Descriptor", message.DESCRIPTOR), value)
    example = TEXTS.get(message.DESCRIPTOR.full_name)
    if example:
        _set_text(message, value, example)
    else:
        fill(message, value, violations, f"{path}.")


def _check_kind(descriptor: Descriptor, value: Json) -> None:
    example = TEXTS.get(descriptor.full_name)
    if example and not isinstance(value, str):
        raise _UnfitError(f"must be a text like {example}")
    if not example and not is_object(value):
        raise _UnfitError("must be an object")


def _set_text(message: Any, value: str, example: str) -> None:
    if message.DESCRIPTOR.name == "FieldMask":
        # In JSON its names are in camel case; those of the proto are read, too.
        paths = re.sub("[A-Z]", _lowered, _unicode(value)).split(",")
        message.paths.extend(filter(None, map(str.strip, paths)))
        return
    try:
        message.FromJsonString(value)
    except (ValueError, OverflowError) as error:
        raise _UnfitError(f"is {value[:100]!r}: must be like {example}") from error


def _lowered(letter: re.Match[str]) -> str:
    return f"_{letter[0].lower()}"


def _scalar(field: FieldDescriptor, value: Json) -> Any:
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise _UnfitError("must be true or false")
        return value
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str):
            raise _UnfitError("must be a text")
        return _unicode(value)
    return _whole(value, 64 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 32)


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _UnfitError("contains half of a surrogate pair, which is not a character") from error
    return text


def _enum(enum: EnumDescriptor, value: Json) -> int:
    names = enum.values_by_name
    # The descriptor fails on half a surrogate pair.
    if isinstance(value, str) and value.isascii() and value in names:
        return names[value].number
    if _is_whole(value) and -(2**31) <= int(value) < 2**31:
        return int(value)
    raise _UnfitError(f"must be one of {', '.join(names)}")


def _whole(value: Json, bits: int) -> int:
    if _is_whole(value) and -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1):
        return int(value)
    raise _UnfitError(f"must be a whole number of {bits} bits")


def _is_whole(value: Json) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?[0-9]{1,20}", value) is not None
    return isinstance(value, int) and not isinstance(value, bool)
