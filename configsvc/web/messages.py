"""Messages as JSON text: proto JSON with the names of the proto, and contents as they are stored."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.symbol_database import Default

from configsvc.web.json_reader import TEXT_SUFFIX

Writer = Callable[[Any], str]

_WIDE = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})


class _Field(NamedTuple):
    """A field of a message: its key in JSON and the function that writes one of its values."""

    key: str
    write: Writer


def json_text(message: Message) -> str:
    """Return the JSON text of a message, without fields that are not set."""
    return f"{{{_members(message)}}}"


def _members(message: Message) -> str:
    fields = _fields(message.DESCRIPTOR)
    return ",".join(
        f"{fields[field.name].key}:{fields[field.name].write(value)}" for field, value in message.ListFields()
    )


@cache
def _fields(descriptor: Descriptor) -> dict[str, _Field]:
    return {field.name: _field(descriptor, field) for field in descriptor.fields}


def _field(descriptor: Descriptor, field: FieldDescriptor) -> _Field:
    plain = field.name.removesuffix(TEXT_SUFFIX)
    if plain != field.name and plain in descriptor.fields_by_name:
        return _Field(json.dumps(plain), str)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return _Field(json.dumps(field.name), _map_writer(_writer(entry.fields_by_name["value"])))
    one = _writer(field)
    return _Field(json.dumps(field.name), _list_writer(one) if field.is_repeated else one)


def _writer(field: FieldDescriptor) -> Writer:
    if field.message_type is not None:
        return _message_writer(field.message_type)
    if field.enum_type is not None:
        names = {value.number: json.dumps(value.name) for value in field.enum_type.values}
        return lambda number: names.get(number) or str(number)
    if field.cpp_type in _WIDE:
        return lambda number: f'"{number}"'
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda data: f'"{b64encode(data).decode()}"'
    return _text


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list_writer(one: Writer) -> Writer:
    return lambda values: f"[{','.join(map(one, values))}]"


def _map_writer(one: Writer) -> Writer:
    return lambda values: f"{{{','.join(f'{_text(str(key))}:{one(values[key])}' for key in values)}}}"


def _message_writer(descriptor: Descriptor) -> Writer:
    name = descriptor.full_name
    if name == "google.protobuf.Any":
        return _any
    if name.startswith("google.protobuf."):
        return _well_known
    return json_text


def _well_known(message: Message) -> str:
    return MessageToJson(message, indent=None)


def _any(message: AnyMessage) -> str:
    members: Iterable[str] = (f'"@type":{_text(message.type_url)}',)
    try:
        content: Message = Default().GetSymbol(message.type_url.rpartition("/")[2])()
    except KeyError:
        return f'{{{next(iter(members))},"value":"{b64encode(message.value).decode()}"}}'
    content.ParseFromString(message.value)
    if content.DESCRIPTOR.full_name.startswith("google.protobuf."):
        members = (*members, f'"value":{_well_known(content)}')
    elif content.ListFields():
        members = (*members, _members(content))
    return f"{{{','.join(members)}}}"
