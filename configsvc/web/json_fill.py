"""Proto JSON into messages: the names of the proto or their camel case, and contents as text, which rounds nothing."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from pydantic_core import PydanticSerializationError

from configsvc.domain.content import encode_json
from configsvc.domain.errors import UnsupportedFieldError, Violation, Violations
from configsvc.web.messages import TEXT_SUFFIX

# Values of json.loads, whose kinds are checked one by one.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Json]

_WIDE = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
# Messages that are text in JSON.
TEXTS = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})


class _UnfitError(Exception):
    """A value that does not fit its field. The text says why."""


def fill(message: Message, value: JsonObject, violations: Violations, path: str = "") -> None:
    """Set the fields of a message. Add a fault for each value that does not fit.

    Raises UnsupportedFieldError for a field that the message does not have.
    """
    descriptor: Any = message.DESCRIPTOR
    for name, member in value.items():
        field = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if field is None:
            description = f"is not a field of {descriptor.name} that this server knows"
            raise UnsupportedFieldError((Violation(field=f"{path}{name[:100]}", description=description),))
        if member is None:
            continue
        try:
            _check_alone(message, field)
            _set(message, field, member, f"{path}{name}", violations)
        except _UnfitError as error:
            violations.add(f"{path}{name}", str(error))


def _check_alone(message: Message, field: FieldDescriptor) -> None:
    group = field.containing_oneof
    other = message.WhichOneof(group.name) if group else None
    if other:
        raise _UnfitError(f"cannot be combined with {other.removesuffix(TEXT_SUFFIX)}: set one of them")


def _set(message: Message, field: FieldDescriptor, member: Json, path: str, violations: Violations) -> None:
    if is_content(field):
        setattr(message, field.name + TEXT_SUFFIX, _text_of(member))
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(getattr(message, field.name), field.message_type, member)
    elif field.is_repeated:
        _set_list(getattr(message, field.name), field, member, path, violations)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _set_message(inner, member, path, violations)
    else:
        setattr(message, field.name, _scalar(field, member))


def is_content(field: FieldDescriptor) -> bool:
    """Return whether the field holds JSON, and has a sibling that holds the same as text."""
    return field.name + TEXT_SUFFIX in cast("Descriptor", field.containing_type).fields_by_name


def is_object(value: Json) -> TypeGuard[JsonObject]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def _is_list(value: Json) -> TypeGuard[list[Json]]:
    return isinstance(value, list)


def _text_of(member: Json) -> str:
    try:
        return encode_json(member)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise _UnfitError("is nested too deep, or has half of a surrogate pair") from error


def _set_map(target: Any, entry: Descriptor, member: Json) -> None:
    if not is_object(member):
        raise _UnfitError("must be an object")
    for key, value in member.items():
        target[key] = _scalar(entry.fields_by_name["value"], value)


def _set_list(target: Any, field: FieldDescriptor, member: Json, path: str, violations: Violations) -> None:
    if not _is_list(member):
        raise _UnfitError("must be a list")
    for index, one in enumerate(member):
        place = f"{path}[{index}]"
        try:
            if field.message_type is not None:
                _set_message(target.add(), one, place, violations)
            else:
                target.append(_scalar(field, one))
        except _UnfitError as error:
            violations.add(place, str(error))


def _set_message(message: Message, member: Json, path: str, violations: Violations) -> None:
    if message.DESCRIPTOR.full_name in TEXTS:
        _set_text(message, member)
    elif is_object(member):
        fill(message, member, violations, f"{path}.")
    else:
        raise _UnfitError("must be an object")


def _set_text(message: Any, member: Json) -> None:
    if not isinstance(member, str):
        raise _UnfitError("must be a text")
    if message.DESCRIPTOR.name == "FieldMask":
        message.paths.extend(filter(None, (re.sub(r"[A-Z]", _lowered, path.strip()) for path in member.split(","))))
        return
    try:
        message.FromJsonString(member)
    except (ValueError, OverflowError) as error:
        example = "30s" if message.DESCRIPTOR.name == "Duration" else "2026-01-31T12:00:00Z"
        raise _UnfitError(f"is {member[:100]!r}: must be like {example}") from error


def _lowered(letter: re.Match[str]) -> str:
    return f"_{letter[0].lower()}"


def _scalar(field: FieldDescriptor, member: Json) -> Any:
    if field.enum_type is not None:
        return _enum(field.enum_type, member)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _checked(member, bool, lambda: "must be true or false")
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _unicode(_checked(member, str, lambda: "must be a text"))
    return _whole(field, member)


def _checked(member: Json, kind: type, fault: Callable[[], str]) -> Any:
    if not isinstance(member, kind):
        raise _UnfitError(fault())
    return member


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _UnfitError("has half of a surrogate pair, which is not a character") from error
    return text


def _enum(enum: EnumDescriptor, member: Json) -> int:
    values = enum.values_by_name
    if isinstance(member, str) and member in values:
        return values[member].number
    if isinstance(member, int) and not isinstance(member, bool) and -(2**31) <= member < 2**31:
        return member
    raise _UnfitError(f"must be one of {', '.join(values)}")


def _whole(field: FieldDescriptor, member: Json) -> int:
    bits = 64 if field.cpp_type in _WIDE else 32
    with_text = isinstance(member, str) and re.fullmatch(r"-?[0-9]{1,20}", member)
    if (isinstance(member, int) and not isinstance(member, bool)) or with_text:
        number = int(member)
        if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            return number
    raise _UnfitError(f"must be a whole number of {bits} bits")
