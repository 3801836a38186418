"""JSON text read along the descriptor of a message: contents stay text, so that nothing is rounded or reordered.

What `json.loads` makes of a content cannot be undone: 1.10 is a float, and of two equal keys one is gone.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias, TypeGuard

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from configsvc.domain.errors import Violations

# A field with this end holds JSON text; the field without it holds the same as a Struct or a ListValue.
TEXT_SUFFIX = "_json"
# More digits than any number of 64 bits has.
MAX_DIGITS = 40
MAX_SHOWN = 100

# Values of JSON, whose kinds are checked one by one.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Json]


class JsonText(str):
    """A value that is kept as it is written."""

    __slots__ = ()


class Reader:
    """Reads one text. Adds a fault for each member that is repeated, and for each that is no field, to `unknown`."""

    def __init__(self, text: str, violations: Violations, unknown: Violations) -> None:
        self._text = text
        self._violations = violations
        self._unknown = unknown

    def read(self, descriptor: Descriptor, path: str) -> Json:
        """Return the value of the text; objects have the names of the proto. Raises ValueError or RecursionError."""
        value, end = self._value(self._next(0), descriptor, path)
        end = self._next(end)
        if end != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, end)
        return value

    def _value(self, at: int, descriptor: Descriptor | None, path: str) -> tuple[Json, int]:
        first = self._text[at : at + 1]
        if descriptor and first == "{":
            return self._object(at + 1, descriptor, path)
        if descriptor and first == "[":
            return self._list(at + 1, descriptor, path)
        return _members.raw_decode(self._text, at)

    def _object(self, at: int, descriptor: Descriptor, path: str) -> tuple[JsonObject, int]:
        found: JsonObject = {}
        at = self._next(at)
        if self._text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
            name, at = _members.raw_decode(self._text, at)
            at = self._next(self._after(":", self._next(at)))
            field = field_named(descriptor, name)
            value, at = self._member(at, descriptor, field, path, name)
            key = field.name if field else name
            if key in found:
                self._violations.add(f"{path}{shown(name)}", "is there more than once")
            found[key] = value
            at = self._next(at)
            if self._text[at : at + 1] == "}":
                return found, at + 1
            at = self._next(self._after(",", at))

    def _member(
        self, at: int, descriptor: Descriptor, field: FieldDescriptor | None, path: str, name: str
    ) -> tuple[Json, int]:
        if field is None:
            add_unknown(self._unknown, descriptor, path, name)
            return _members.raw_decode(self._text, at)
        if is_content(field):
            value, end = _contents.raw_decode(self._text, at)
            return (None if value is None else JsonText(self._text[at:end])), end
        return self._value(at, _inner(field), f"{path}{field.name}.")

    def _list(self, at: int, descriptor: Descriptor, path: str) -> tuple[list[Json], int]:
        found: list[Json] = []
        at = self._next(at)
        if self._text[at : at + 1] == "]":
            return found, at + 1
        while True:
            value, at = self._value(at, descriptor, f"{path[:-1]}[{len(found)}].")
            found.append(value)
            at = self._next(at)
            if self._text[at : at + 1] == "]":
                return found, at + 1
            at = self._next(self._after(",", at))

    def _after(self, delimiter: str, at: int) -> int:
        if self._text[at : at + 1] != delimiter:
            raise json.JSONDecodeError(f"Expecting {delimiter!r} delimiter", self._text, at)
        return at + 1

    def _next(self, at: int) -> int:
        """Return the index of the next character that is no white space."""
        found = _SPACE.match(self._text, at)
        return found.end() if found else at


_SPACE = re.compile(r"[ \t\n\r]*")


def _whole(text: str) -> int | float:
    """Return a number that is written with a point or an exponent, and is whole, as an integer."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        # An exponent of more than 18 digits.
        return float(text)
    return int(exact) if abs(exact.adjusted()) < MAX_DIGITS and exact == exact.to_integral_value() else float(text)


def _integer(text: str) -> int | float:
    return int(text) if len(text) < MAX_DIGITS else float(text)


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    found: JsonObject = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the member {name[:MAX_SHOWN]!r} is there more than once")
        found[name] = value
    return found


_members = json.JSONDecoder(parse_int=_integer, parse_float=_whole, object_pairs_hook=_unique)
# Long integers take quadratic time to parse.
_contents = json.JSONDecoder(parse_int=float)


def field_named(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Return the field with a name of the proto, or in camel case."""
    # The descriptor fails on half a surrogate pair.
    if not name.isascii():
        return None
    return descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)


def is_content(field: FieldDescriptor) -> bool:
    """Return whether the field holds JSON, and has a sibling that holds the same as text."""
    container: Any = field.containing_type
    return field.name + TEXT_SUFFIX in container.fields_by_name


def add_unknown(unknown: Violations, descriptor: Descriptor, path: str, name: str) -> None:
    """Add the fault that a message has no field of a name."""
    description = f"is not a field of {descriptor.name} that this server knows"
    unknown.add(f"{path}{shown(name)}", description, "UNSUPPORTED_FIELD")


def shown(name: str) -> str:
    """Return the start of a name as text, with halves of surrogate pairs escaped."""
    return name[:MAX_SHOWN].encode(errors="backslashreplace").decode()


def _inner(field: FieldDescriptor) -> Descriptor | None:
    """Return the message of a field whose members are fields: those of maps are not."""
    inner = field.message_type
    return None if inner is None or inner.GetOptions().map_entry else inner


def is_object(value: Json) -> TypeGuard[JsonObject]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Json) -> TypeGuard[list[Json]]:
    """Return whether a JSON value is a list."""
    return isinstance(value, list)
