"""JSON text in the one form that PostgreSQL gives it, and contents that stay text until their value is needed."""

import json
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from configsvc.domain.content import JsonObject, JsonValue, same_json


class Content:
    """The content of a configuration: JSON text in PostgreSQL's form, a value, or both once both were needed.

    Nobody changes the value. `struct`: the same content as a serialized google.protobuf.Struct, if it came as one.
    """

    __slots__ = ("_text", "_value", "struct")

    def __init__(self, value: JsonObject | None, text: str | None = None, *, struct: bytes | None = None) -> None:
        assert value is not None or text is not None
        self._value = value
        self._text = text
        self.struct = struct

    @property
    def value(self) -> JsonObject:
        """The value. Raises ValueError or RecursionError if Python cannot hold it."""
        if self._value is None:
            assert self._text is not None
            self._value = value_of(self._text)
        return self._value

    @property
    def canonical_value(self) -> JsonObject:
        """The value with whole numbers as integers, which SQL need not have written so. Raises what `value` does."""
        if self._text is not None:
            self._value = _decode_canonical(self._text)
        return self.value

    @property
    def text(self) -> str:
        """JSON text as PostgreSQL writes it."""
        if self._text is None:
            assert self._value is not None
            self._text = stored_text(self._value)
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content) and same_json(self.value, other.value)

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def value_of(text: str) -> JsonObject:
    """Return the value of stored text. Raises ValueError or RecursionError if Python cannot hold it."""
    return json.loads(text)


def _canonical_number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


_decode_canonical = json.JSONDecoder(parse_float=_canonical_number).decode


def stored_text(value: JsonObject) -> str:
    """Return a canonical value as PostgreSQL writes the jsonb that it makes of the value, byte for byte.

    Keys are in the order of their lengths in UTF-8, then of their bytes; numbers have no exponents.
    """
    # Twice as fast as the encoder of json over sorted copies of the objects.
    keys = sorted(value)
    keys.sort(key=len if "".join(keys).isascii() else _bytes_of)
    members: list[str] = []
    for key in keys:
        item = value[key]
        members.append(f"{encode_basestring(key)}: {_WRITERS[item.__class__](item)}")
    return f"{{{', '.join(members)}}}"


def _bytes_of(key: str) -> int:
    return len(key.encode())


def _list_text(items: list[JsonValue]) -> str:
    return f"[{', '.join([_WRITERS[item.__class__](item) for item in items])}]"


def _fraction_text(number: float) -> str:
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    float: _fraction_text,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
    dict: stored_text,
    list: _list_text,
}
