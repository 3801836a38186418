"""Messages to proto JSON and back, as a client of the HTTP door writes and reads them: contents are plain JSON.

Made from the descriptors alone, so that it can judge what the service writes.
"""

import json
import math
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TEXT_SUFFIX = "_json"
WIDE = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
TEXTS = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})
STRUCTS = frozenset({"google.protobuf.Struct", "google.protobuf.ListValue"})

M = TypeVar("M", bound=Message)
Tree = dict[str, Any]


class InexpressibleError(Exception):
    """A message that JSON cannot say."""


class Raw(str):
    """JSON text that is written as it is: a number, or a whole content."""

    __slots__ = ()


def text_of(value: object) -> str:
    """Return compact JSON text."""
    if isinstance(value, Raw):
        return str.__str__(value)
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return f"{{{','.join(f'{text_of(name)}:{text_of(member)}' for name, member in members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(text_of, cast('list[object]', value)))}]"
    return json.dumps(value, ensure_ascii=False)


def parsed(text: str | bytes) -> Any:
    """Return the value of JSON text, with numbers as they are written. Raises ValueError."""
    return json.loads(text, parse_int=Raw, parse_float=Raw, parse_constant=_no_constant, object_pairs_hook=_unique)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> Tree:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member occurs twice")
    return found


def content_of(descriptor: Descriptor, field: FieldDescriptor) -> str:
    """Return the name of the content that the field holds; empty if it holds none."""
    plain = field.name.removesuffix(TEXT_SUFFIX)
    return plain if f"{plain}{TEXT_SUFFIX}" in descriptor.fields_by_name else ""


# Requests


def tree_of(message: Message) -> Tree:
    """Return the JSON of a message. Raises InexpressibleError."""
    return dict(member_of(field, value) for field, value in message.ListFields())


def member_of(field: FieldDescriptor, value: Any) -> tuple[str, Any]:
    """Return the name and the JSON of a field. Raises InexpressibleError."""
    content = content_of(cast("Descriptor", field.containing_type), field)
    if content and isinstance(value, str):
        return (content, Raw(value)) if _is_plain(value) else (field.name, value)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return field.name, dict(value)
    if field.is_repeated:
        return field.name, [value_of(field, one) for one in value]
    return field.name, value_of(field, value)


def _is_plain(text: str) -> bool:
    try:
        parsed(text)
    except (ValueError, RecursionError):
        return False
    return True


def value_of(field: FieldDescriptor, value: Any) -> Any:
    """Return the JSON of one value. Raises InexpressibleError."""
    if field.message_type is None:
        if field.enum_type is not None:
            names = {one.number: one.name for one in field.enum_type.values}
            return names.get(value, value)
        return str(value) if field.cpp_type in WIDE else value
    name = field.message_type.full_name
    if name in STRUCTS:
        return plain_of(value)
    return literal_of(value) if name in TEXTS else tree_of(value)


def literal_of(value: Any) -> str:
    """Return the text of a time, a duration or a mask, even of one that is out of range. Raises InexpressibleError."""
    try:
        return value.ToJsonString()
    except ValueError:
        pass
    match value.DESCRIPTOR.name:
        case "Duration":
            return f"{value.seconds}s"
        case "Timestamp":
            # No time in RFC 3339 either.
            return f"{value.seconds}s{value.nanos}ns"
        case _ if all(path and "," not in path for path in value.paths):
            return ",".join(value.paths)
        case _:
            raise InexpressibleError("a path of a mask that is empty or has a comma")


def plain_of(value: Any) -> Any:
    """Return the plain JSON of a Struct, ListValue or Value: whole numbers without a fraction."""
    match value.DESCRIPTOR.name:
        case "Struct":
            return {key: plain_of(member) for key, member in value.fields.items()}
        case "ListValue":
            return [plain_of(member) for member in value.values]
        case _:
            return _plain_of_value(value)


def _plain_of_value(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case None:
            raise InexpressibleError("a Value without a kind")
        case "null_value":
            return None
        case "number_value":
            return _plain_number(value.number_value)
        case "struct_value" | "list_value" as kind:
            return plain_of(getattr(value, kind))
        case kind:
            return getattr(value, kind)


def _plain_number(number: float) -> Raw:
    if not math.isfinite(number):
        raise InexpressibleError(f"JSON has no {number}")
    return Raw(int(number) if number.is_integer() and abs(number) < 2**63 else repr(number))


# Answers


def message_of(kind: type[M], tree: Tree, *, as_text: bool) -> M:
    """Return the message of an answer; `as_text` says which form of contents the caller wants.

    Fails unless the answer is proto JSON with the names of the proto.
    """
    message = kind()
    _fill(message, tree, as_text=as_text)
    return message


def _fill(message: Message, tree: Tree, *, as_text: bool) -> None:
    descriptor = cast("Descriptor", message.DESCRIPTOR)
    for name, member in tree.items():
        field = descriptor.fields_by_name.get(name)
        assert field is not None, f"{descriptor.full_name} has no field {name}"
        if as_text and content_of(descriptor, field):
            setattr(message, f"{name}{TEXT_SUFFIX}", text_of(member))
        elif field.message_type is None:
            _set_scalar(message, field, member)
        else:
            _set_message(getattr(message, name), field, member, as_text=as_text)


def _set_scalar(message: Any, field: FieldDescriptor, member: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(_scalar(field, one) for one in member)
    else:
        setattr(message, field.name, _scalar(field, member))


def _scalar(field: FieldDescriptor, member: Any) -> Any:
    # int64 is a text, int32 a number.
    assert isinstance(member, Raw) is (field.cpp_type == FieldDescriptor.CPPTYPE_INT32), (field.full_name, member)
    if field.enum_type is not None:
        return field.enum_type.values_by_name[member].number
    return int(member) if isinstance(member, Raw) or field.cpp_type in WIDE else member


def _set_message(target: Any, field: FieldDescriptor, member: Any, *, as_text: bool) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        target.update(member)
    elif field.is_repeated:
        for one in member:
            _fill_message(target.add(), one, as_text=as_text)
    else:
        target.SetInParent()
        _fill_message(target, member, as_text=as_text)


def _fill_message(target: Any, member: Any, *, as_text: bool) -> None:
    name = target.DESCRIPTOR.full_name
    if name in TEXTS:
        target.FromJsonString(member)
    elif name in STRUCTS:
        _fill_plain(target, member)
    elif name == "google.protobuf.Any":
        _fill_any(target, member, as_text=as_text)
    else:
        _fill(target, member, as_text=as_text)


def _fill_any(target: Any, member: Tree, *, as_text: bool) -> None:
    rest = dict(member)
    url = rest.pop("@type")
    inner = GetMessageClass(Default().FindMessageTypeByName(url.rpartition("/")[2]))()
    if cast("Descriptor", inner.DESCRIPTOR).file.package == "google.protobuf":
        _fill_message(inner, rest["value"], as_text=as_text)
    else:
        _fill(inner, rest, as_text=as_text)
    target.type_url, target.value = url, inner.SerializeToString()


def _fill_plain(target: Any, value: Any) -> None:
    """Fill a Struct or a ListValue."""
    if isinstance(value, dict):
        for name, member in cast("Tree", value).items():
            _fill_value(target.fields[name], member)
    else:
        for member in value:
            _fill_value(target.values.add(), member)


def _fill_value(target: Any, value: Any) -> None:
    if isinstance(value, Raw):
        target.number_value = float(value)
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif value is None:
        target.null_value = 0
    else:
        inner = target.struct_value if isinstance(value, dict) else target.list_value
        inner.SetInParent()
        _fill_plain(inner, value)
