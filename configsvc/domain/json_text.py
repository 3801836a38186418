"""Lossless parsing of JSON text: a number that Python cannot represent exactly is a fault, never rounded."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    MAX_CONTENT_DEPTH,
    MAX_NUMBER,
    JsonObject,
    JsonValue,
    canonical_content,
    canonical_list,
    check_content_size,
    escaped,
)
from configsvc.domain.errors import Violations

MAX_DIGITS = 1000
MAX_SHOWN = 64
# Fewer than MAX_NUMBER has.
SAFE_DIGITS = 15

Container = TypeVar("Container", JsonObject, "list[JsonValue]")
_NAMES = {dict: "object", list: "array"}


def content_from_text(
    text: str, field: str, violations: Violations, *, limit_bytes: int, wide_numbers: bool
) -> JsonObject:
    """Return the canonical content of a JSON object. Add every fault that keeps it from being stored.

    With `wide_numbers`, whole numbers may have MAX_DIGITS digits; otherwise a double must hold them. A fraction must be
    exact as a double. Keys must be unique.
    """
    found = Violations()
    content = _plain_content(text, wide_numbers=wide_numbers)
    if content is None:
        value = _parsed(text, dict, field, found, wide_numbers=wide_numbers)
        content = {} if value is None else canonical_content(value, field, found)
    if not found and len(text.encode()) > limit_bytes:
        check_content_size(content, field, found, limit_bytes=limit_bytes)
    violations.extend(found)
    return content


class _UnfitError(ValueError):
    """A value that cannot be stored, or that a closer look must decide on."""


def _plain_content(text: str, *, wide_numbers: bool) -> JsonObject | None:
    """Return the canonical content of a JSON object; None if it has a fault or anything unusual, or is no object.

    It takes a third of the time of finding out what the faults are.
    """
    # Only an escape can be U+0000 or half of a pair.
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        return None
    try:
        value: JsonValue = (_decode_wide if wide_numbers else _decode)(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    may_be_deep = text.count("{") + text.count("[") > MAX_CONTENT_DEPTH
    return None if may_be_deep and _is_too_deep(value, MAX_CONTENT_DEPTH - 1) else value


def _is_too_deep(value: JsonObject | list[JsonValue], levels: int) -> bool:
    """Return whether there are objects or arrays more than some levels below this one."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list) and (not levels or _is_too_deep(item, levels - 1)):
            return True
    return False


def _plain_object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _UnfitError
    return found


def _plain_fraction(text: str) -> int | float:
    value = float(text)
    if repr(value) != text:
        raise _UnfitError
    return _plain_whole(text.removesuffix(".0")) if value.is_integer() else value


def _plain_whole(text: str) -> int:
    value = _wide_whole(text)
    if len(text) > SAFE_DIGITS and abs(value) > MAX_NUMBER:
        raise _UnfitError
    return value


def _wide_whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _UnfitError
    return int(text)


def _plain_constant(_: str) -> float:
    raise _UnfitError


def _decoder(whole: Callable[[str], int]) -> Callable[[str], JsonValue]:
    return json.JSONDecoder(
        object_pairs_hook=_plain_object,
        parse_int=whole,
        parse_float=_plain_fraction,
        parse_constant=_plain_constant,
    ).decode


_decode, _decode_wide = _decoder(_plain_whole), _decoder(_wide_whole)


def list_from_text(text: str, field: str, violations: Violations) -> list[JsonValue]:
    """Return the canonical items of a JSON array, whose numbers a double holds. Add every fault."""
    found = Violations()
    value = _parsed(text, list, field, found, wide_numbers=False)
    items: list[JsonValue] = [] if value is None else canonical_list(value, field, found)
    if not found and len(text.encode()) > MAX_CONTENT_BYTES:
        check_content_size(items, field, found)
    violations.extend(found)
    return items


def _parsed(
    text: str, kind: type[Container], field: str, violations: Violations, *, wide_numbers: bool
) -> Container | None:
    """Return the value of the text if it is of the kind; None after a fault."""
    # Only an escape can be half of a pair, and few texts have one.
    parsing = _Parsing(wide_numbers, may_have_halves="\\ud" in text or "\\uD" in text)
    try:
        text.encode()
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=parsing.object,
            parse_int=parsing.whole,
            parse_float=parsing.number,
            parse_constant=parsing.constant,
        )
        faults = list(parsing.faults(value, field))
    except (ValueError, RecursionError) as error:
        violations.add(field, _description(error))
        return None
    for pointer, description in faults:
        violations.add(pointer, description)
    if not isinstance(value, kind):
        violations.add(field, f"must be a JSON {_NAMES[kind]}")
        return None
    return None if faults else value


def _description(error: Exception) -> str:
    match error:
        case RecursionError():
            return "is nested too deep"
        case UnicodeEncodeError():
            return _HALF
        case _:
            return f"is not JSON: {error}"


_HALF = "contains half of a surrogate pair, which is not a character"


class _Unfit(float):
    """A number that cannot be stored, in its place in the parsed value."""

    description: str


def _unfit_number(description: str) -> _Unfit:
    found = _Unfit()
    found.description = description
    return found


@dataclass(slots=True)
class _Parsing:
    """What json.loads calls, and the faults that it found. repeated: by the identity of an object, the object, which
    keeps it alive, and its repeated keys.
    """

    wide_numbers: bool
    may_have_halves: bool
    repeated: dict[int, tuple[JsonObject, list[str]]] = field(default_factory=dict[int, tuple[JsonObject, list[str]]])
    has_unfit: bool = False

    def object(self, pairs: list[tuple[str, JsonValue]]) -> JsonObject:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.repeated[id(found)] = found, [key for key, count in counts.items() if count > 1]
        return found

    def whole(self, text: str) -> int | float:
        if len(text) > MAX_DIGITS:
            return self._unfit(f"is a number with {len(text)} digits: at most {MAX_DIGITS} are allowed")
        return self._kept(int(text), text)

    def _kept(self, whole: int, text: str) -> int | float:
        if self.wide_numbers or abs(whole) <= MAX_NUMBER:
            return whole
        return self._unfit(f"is {text[:MAX_SHOWN]}, and a double is not exact beyond 2^53-1: write it as a string")

    def number(self, text: str) -> int | float:
        value = float(text)
        if repr(value) == text and not value.is_integer():
            return value
        exact = _decimal(text)
        if exact is None or abs(exact.adjusted()) > MAX_DIGITS:
            return self._unfit(f"is the number {text[:MAX_SHOWN]}, which is too large or too small")
        if exact == exact.to_integral_value():
            return self._kept(int(exact), text)
        if Decimal(repr(value)) != exact:
            return self._unfit(
                f"is the number {text[:MAX_SHOWN]}, which a double cannot represent exactly: write it as a string"
            )
        return value

    def constant(self, text: str) -> float:
        return self._unfit(f"is {text}, not a JSON number")

    def _unfit(self, description: str) -> float:
        self.has_unfit = True
        return _unfit_number(description)

    def faults(self, value: JsonValue, pointer: str) -> Iterator[tuple[str, str]]:
        """Yield the JSON Pointers and descriptions of the faults of a parsed value."""
        if self.repeated or self.has_unfit or (self.may_have_halves and not _is_encodable(value)):
            yield from self._faults(value, pointer)

    def _faults(self, value: JsonValue, pointer: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, _Unfit):
            yield pointer, value.description
        elif isinstance(value, str) and not _is_encodable(value):
            yield pointer, _HALF
        elif isinstance(value, dict):
            yield from self._faults_of_object(value, pointer)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._faults(item, f"{pointer}/{index}")

    def _faults_of_object(self, value: JsonObject, pointer: str) -> Iterator[tuple[str, str]]:
        _, repeated = self.repeated.get(id(value), (value, []))
        for key in repeated:
            yield f"{pointer}/{_shown(key)}", "is there more than once: each key must be unique in its object"
        for key, member in value.items():
            if not _is_encodable(key):
                yield pointer, f"has a key that {_HALF}"
            yield from self._faults(member, f"{pointer}/{_shown(key)}")


def _decimal(text: str) -> Decimal | None:
    """Return an exact number, or None if its exponent is out of all bounds."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _shown(key: str) -> str:
    return escaped(key) if _is_encodable(key) else "?"


def _is_encodable(value: JsonValue) -> bool:
    # An escape such as \ud800 is valid JSON but not Unicode.
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
