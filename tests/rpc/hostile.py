"""Hostile requests, generated from the descriptors of the contract alone."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.rpc.served import Method

MOST_FIELDS = 5
DEEPEST = 7

TEXTS = (
    "",
    "x" * 257,
    "x" * 5000,
    "\0",
    "..",
    "/",
    "a/../b",
    "ä",
    "\u202e",
    "\ufffe",
    "🦊" * 300,
    "%s%n{0}",
    "*",
    "$",
    '$.a ? (@ like_regex "(((a*)*)*)*b")',
    '$.**{0 to last} ? (@ == "a")',
    "[" * 500,
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "operations/01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "00000000-0000-4000-8000-000000000000",
    "user:root",
)
INTEGERS = (0, 1, 2, 3, 50, 1000, 1001, -1, 2**31 - 1, -(2**31), 2**53, 2**62, 2**63 - 1, -(2**63), 253402300800)
DOUBLES = (0.0, -0.0, 1.0, 0.5, math.nan, math.inf, -math.inf, 2.0**53, -(2.0**53), 5e-324, 1.7e308)

_BITS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}


def _scalars(field: FieldDescriptor, words: Sequence[str]) -> st.SearchStrategy[Any]:
    if field.type in _BITS:
        least, most = _BITS[field.type]
        return st.sampled_from([number for number in INTEGERS if least <= number <= most])
    match field.type:
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return st.sampled_from(DOUBLES) | st.floats(width=32)
        case FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=20)
        case _:
            # Existing names come more often than missing ones: else hardly a request would get past them.
            known = st.sampled_from(words)
            return st.one_of(known, known, known, st.sampled_from(TEXTS), st.text(max_size=10))


@st.composite
def messages(draw: st.DrawFn, method: Method, words: Sequence[str]) -> bytes:
    """Generate requests that can be parsed, with values of their types that the code may have forgotten."""
    request = method.new_request()
    _fill(draw, request, words, DEEPEST)
    return request.SerializeToString()


def _fill(draw: st.DrawFn, message: Message, words: Sequence[str], levels: int) -> None:
    fields: list[Any] = [field for field in message.DESCRIPTOR.fields if levels or field.message_type is None]
    if not fields:
        return
    for field in draw(st.lists(st.sampled_from(fields), max_size=MOST_FIELDS, unique_by=lambda one: one.number)):
        value = getattr(message, field.name)
        if field.message_type is None:
            _set_scalar(draw, message, field, words)
        elif field.message_type.GetOptions().map_entry:
            _fill_map(draw, value, field, words, levels)
        elif field.is_repeated:
            for _ in range(draw(st.integers(0, 2))):
                _fill(draw, value.add(), words, levels - 1)
        else:
            value.SetInParent()
            _fill(draw, value, words, levels - 1)


def _set_scalar(draw: st.DrawFn, message: Message, field: FieldDescriptor, words: Sequence[str]) -> None:
    scalars = _scalars(field, words)
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(scalars, max_size=3)))
    else:
        setattr(message, field.name, draw(scalars))


def _fill_map(draw: st.DrawFn, values: Any, field: FieldDescriptor, words: Sequence[str], levels: int) -> None:
    assert field.message_type
    key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    for one in draw(st.lists(_scalars(key, words), max_size=2)):
        if value.message_type is None:
            values[one] = draw(_scalars(value, words))
        else:
            _fill(draw, values[one], words, levels - 1)


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def field_bytes(number: int, wire_type: int, value: bytes) -> bytes:
    """Return a field as bytes of the wire, with its length first if it has one."""
    length = varint(len(value)) if wire_type == 2 else b""
    return varint(number << 3 | wire_type) + length + value


def deep_struct(levels: int, number: int) -> bytes:
    """Return a Struct nested that deep, as the field of that number."""
    data = b""
    for _ in range(levels):
        data = field_bytes(1, 2, field_bytes(1, 2, b"a") + field_bytes(2, 2, field_bytes(5, 2, data)))
    return field_bytes(number, 2, data)


FRAGMENTS = (
    b"\xff" * 10,
    b"\x80" * 11,
    b"\x00",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x0a\x02\xc3\x28",
    b"\x12\x03\xed\xa0\x80",
    b"\x0b" * 300,
    b"\x0b" * 50 + b"\x0c" * 50,
    field_bytes(2**29 - 1, 2, b"unknown"),
    field_bytes(19_000, 0, b"\x01"),
    field_bytes(1, 7, b""),
    *(deep_struct(levels, number) for levels in (31, 34, 100, 1000) for number in range(3, 7)),
)

fragments = st.sampled_from(FRAGMENTS)
wire = st.lists(
    st.builds(
        field_bytes, st.integers(1, 12) | st.sampled_from((0, 2**29 - 1)), st.integers(0, 7), st.binary(max_size=12)
    )
    | fragments,
    max_size=6,
).map(b"".join)


@st.composite
def spoilt(draw: st.DrawFn, method: Method, words: Sequence[str]) -> bytes:
    """Generate requests that were good until they were damaged."""
    data = bytearray(draw(messages(method, words)))
    start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    match draw(st.sampled_from(("flip", "cut", "repeat", "insert", "replace", "append"))):
        case "flip":
            for index in draw(st.lists(st.integers(0, len(data) * 8 - 1), max_size=4)) if data else ():
                data[index // 8] ^= 1 << index % 8
        case "cut":
            del data[start:end]
        case "repeat":
            data[start:start] = data[start:end] * draw(st.sampled_from((1, 2, 100)))
        case "insert":
            data[start:start] = draw(fragments | wire)
        case "replace":
            data[start:end] = draw(fragments)
        case _:
            data += draw(fragments | wire)
    return bytes(data)


def hostile_bytes(method: Method, words: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Generate anything that may come as a request of the method; `words` name existing resources."""
    well_formed = messages(method, words)
    return st.one_of(well_formed, well_formed, spoilt(method, words), wire, st.binary(max_size=40))
