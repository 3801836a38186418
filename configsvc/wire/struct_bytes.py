"""Contents read from the bytes of a Struct as the protobuf library writes them.

That takes half of the time of asking the library's objects for each value. Only what is plain is read: anything else,
faults included, is left to `content`.
"""

from collections.abc import Callable
from math import copysign
from struct import Struct as Layout

from configsvc.domain.content import MAX_CONTENT_DEPTH, MAX_NUMBER, JsonObject, JsonValue

# The number of a field times 8, plus its wire type: that of entries, their keys, and items of lists.
_FIRST = 1 << 3 | 2
# The first byte of a number that takes several.
_LONG = 0x80
_DOUBLE_BYTES = 8
_double = Layout("<d").unpack_from


class _UnusualError(Exception):
    """Bytes that mean a fault, an unknown field or -0."""


def plain_content(data: bytes) -> JsonObject | None:
    """Return the canonical content of a serialized Struct; None if it has a fault or anything unusual.

    The bytes of a plain content encode exactly what is stored.
    """
    try:
        return _members(data, 0, len(data), 1)
    except (_UnusualError, LookupError):
        return None


# Lengths are read in place: a call for each would take longer than the work.


def _members(data: bytes, at: int, end: int, depth: int) -> JsonObject:
    found: JsonObject = {}
    while at < end:
        if data[at] != _FIRST:
            raise _UnusualError
        at = at + 2 if data[at + 1] < _LONG else _long(data, at + 1)[1]
        size, at = data[at + 1], at + 2
        if size >= _LONG:
            size, at = _long(data, at - 1)
        stop = at + size
        key = data[at:stop].decode()
        size, at = data[stop + 1], stop + 2
        if size >= _LONG:
            size, at = _long(data, at - 1)
        if not size or "\0" in key:
            raise _UnusualError
        stop = at + size
        found[key] = _READERS[data[at]](data, at + 1, stop, depth)
        at = stop
    return found


def _items(data: bytes, at: int, end: int, depth: int) -> list[JsonValue]:
    found: list[JsonValue] = []
    while at < end:
        size, stop = data[at + 1], at + 2
        if size >= _LONG:
            size, stop = _long(data, at + 1)
        if not size or data[at] != _FIRST:
            raise _UnusualError
        at, stop = stop, stop + size
        found.append(_READERS[data[at]](data, at + 1, stop, depth))
        at = stop
    return found


def _string(data: bytes, at: int, stop: int, _: int) -> str:
    size, at = data[at], at + 1
    if size >= _LONG:
        size, at = _long(data, at - 1)
    text = data[at:stop].decode()
    if at + size != stop or "\0" in text:
        raise _UnusualError
    return text


def _number(data: bytes, at: int, stop: int, _: int) -> int | float:
    (number,) = _double(data, at)
    # NaN is in no range, and -0 would become 0.
    if (
        not -MAX_NUMBER <= number <= MAX_NUMBER
        or at + _DOUBLE_BYTES != stop
        or (not number and copysign(1, number) < 0)
    ):
        raise _UnusualError
    return int(number) if number.is_integer() else number


def _bool(data: bytes, at: int, stop: int, _: int) -> bool:
    if at + 1 != stop:
        raise _UnusualError
    return data[at] == 1


def _null(_: bytes, at: int, stop: int, __: int) -> None:
    if at + 1 != stop:
        raise _UnusualError


def _struct(data: bytes, at: int, stop: int, depth: int) -> JsonObject:
    return _members(data, _begin(data, at, stop, depth), stop, depth + 1)


def _list(data: bytes, at: int, stop: int, depth: int) -> list[JsonValue]:
    return _items(data, _begin(data, at, stop, depth), stop, depth + 1)


def _begin(data: bytes, at: int, stop: int, depth: int) -> int:
    """Return the place after the length of what ends at `stop`."""
    size, at = _long(data, at)
    if at + size != stop or depth == MAX_CONTENT_DEPTH:
        raise _UnusualError
    return at


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of any length, and the place after it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < _LONG:
            return number, at


# By the first byte of a google.protobuf.Value: the number of its field times 8, plus its wire type.
_READERS: dict[int, Callable[[bytes, int, int, int], JsonValue]] = {
    1 << 3: _null,
    2 << 3 | 1: _number,
    3 << 3 | 2: _string,
    4 << 3: _bool,
    5 << 3 | 2: _struct,
    6 << 3 | 2: _list,
}
