"""The content of a configuration: a JSON object that every client and the database represent exactly."""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator

from pydantic_core import to_json

from configsvc.domain.errors import InvalidRequestError, Violation, Violations

JsonValue = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
JsonObject = dict[str, JsonValue]

MAX_CONTENT_BYTES = 256 * 1024
# Most protobuf libraries accept 100 nested messages, and each level of an object takes three.
MAX_CONTENT_DEPTH = 32
MAX_NUMBER = 2**53 - 1
# The limit of the database, in its own form of JSON.
MAX_STORED_BYTES = 1024 * 1024
# PostgreSQL writes a number like 5e-324 without its exponent.
_EXPONENT_BYTES = 340
# Members of objects that begin so are kept for what contents will mean one day: references, parameters, includes.
RESERVED_PREFIX = "$configsvc"
_RESERVED = f"has a key that begins with {RESERVED_PREFIX}, which is reserved: choose another key"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SMALL_NUMBER = re.compile(r"(?:\.(\d+))?e-(\d+)")

# PostgreSQL's limit for whole numbers: documents that were written in SQL may have such. Python's is 4,300 by default.
sys.set_int_max_str_digits(131_072)


def encode_json(value: JsonValue) -> str:
    """Return compact JSON text."""
    return to_json(value).decode()


def copy_of_json(value: JsonObject) -> JsonObject:
    """Return a deep copy in which no two parts share an object."""
    return json.loads(encode_json(value))


def canonical_content(content: JsonObject, field: str, violations: Violations) -> JsonObject:
    """Return the content with whole numbers as integers.

    Add a fault, with its JSON Pointer after `field`, for each value that cannot be stored.
    """
    try:
        return {_kept(key): _canonical(value, 1) for key, value in content.items()}
    except _UnfitError:
        _add_faults(content, field, 1, violations)
        return {}


def canonical_list(items: list[JsonValue], field: str, violations: Violations) -> list[JsonValue]:
    """Return the items as `canonical_content` does the members of an object."""
    try:
        return [_canonical(item, 1) for item in items]
    except _UnfitError:
        _add_faults(items, field, 1, violations)
        return []


class _UnfitError(Exception):
    """A value that cannot be stored. A second pass finds its JSON Pointer."""


def _canonical(value: JsonValue, depth: int) -> JsonValue:
    if isinstance(value, str):
        return _kept(value)
    if isinstance(value, float):
        if _number_fault(value):
            raise _UnfitError
        return int(value) if value.is_integer() else value
    if not isinstance(value, dict | list):
        return value
    if depth == MAX_CONTENT_DEPTH:
        raise _UnfitError
    if isinstance(value, dict):
        return {_kept(key): _canonical(item, depth + 1) for key, item in value.items()}
    return [_canonical(item, depth + 1) for item in value]


def _kept(text: str) -> str:
    if "\0" in text:
        raise _UnfitError
    return text


def _fault(value: JsonValue, depth: int) -> str | None:
    if isinstance(value, str):
        return "must not contain the character U+0000" if "\0" in value else None
    if isinstance(value, float):
        return _number_fault(value)
    if isinstance(value, dict | list) and depth == MAX_CONTENT_DEPTH:
        return f"is nested too deep: at most {MAX_CONTENT_DEPTH} levels are allowed"
    return None


def _number_fault(value: float) -> str | None:
    if not math.isfinite(value):
        return f"is {value}, not a JSON number"
    if abs(value) > MAX_NUMBER:
        return f"is {value!r}, and a double is not exact beyond 2^53-1: write it as a string"
    return None


def _add_faults(value: JsonValue, pointer: str, depth: int, violations: Violations) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            member = f"{pointer}/{escaped(key)}"
            if "\0" in key:
                violations.add(member, "must not have the character U+0000 in its key")
            _add_fault(item, member, depth, violations)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _add_fault(item, f"{pointer}/{index}", depth, violations)


def _add_fault(value: JsonValue, pointer: str, depth: int, violations: Violations) -> None:
    fault = _fault(value, depth)
    if fault:
        violations.add(pointer, fault)
    else:
        _add_faults(value, pointer, depth + 1, violations)


def escaped(key: str) -> str:
    """Return a key escaped for a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def check_content_size(
    content: JsonObject | list[JsonValue], field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES
) -> None:
    """Add a fault if the content exceeds limit_bytes as compact JSON in UTF-8."""
    check_text_size(encode_json(content), field, violations, limit_bytes=limit_bytes)


def check_text_size(text: str, field: str, violations: Violations, *, limit_bytes: int = MAX_CONTENT_BYTES) -> None:
    """Add a fault if compact JSON text exceeds limit_bytes in UTF-8."""
    size = len(text.encode())
    if size > limit_bytes:
        violations.add(field, f"has {size} bytes as compact JSON: at most {limit_bytes} are allowed")


def add_reserved_members(content: JsonObject, text: str, field: str, violations: Violations) -> None:
    """Add a fault for each member, at any depth, that begins with RESERVED_PREFIX. `text`: the content, encoded."""
    # Few have one, and only those are searched.
    if f'"{RESERVED_PREFIX}' in text:
        for pointer in _reserved_members(content, field):
            violations.add(pointer, _RESERVED, "RESERVED_KEY")


def _reserved_members(value: JsonValue, pointer: str) -> Iterator[str]:
    items: Iterable[tuple[object, JsonValue]] = ()
    if isinstance(value, dict):
        yield from (f"{pointer}/{escaped(key)}" for key in value if key.startswith(RESERVED_PREFIX))
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from _reserved_members(item, f"{pointer}/{escaped(str(key))}")


def check_storable(content: JsonObject, text: str) -> None:
    """Check that a new content, and its compact JSON text, can be stored. Raises InvalidRequestError."""
    with Violations() as violations:
        add_reserved_members(content, text, "config", violations)
    _check_stored_size(text)


def _check_stored_size(text: str) -> None:
    # Few can exceed the limit, and only those are measured.
    if 2 * len(text.encode()) + text.count("e-") * _EXPONENT_BYTES > MAX_STORED_BYTES < stored_bytes(text):
        description = "is larger than 1 MiB as PostgreSQL writes it (numbers without exponents)"
        raise InvalidRequestError((Violation(field="config", description=description),))


def stored_bytes(text: str) -> int:
    """Return the size of compact JSON text as PostgreSQL writes it: with spaces, and numbers without exponents."""
    bare = _STRING.sub("", text)
    grown = sum(_growth(match) for match in _SMALL_NUMBER.finditer(bare))
    return len(text.encode()) + bare.count(",") + bare.count(":") + grown


def _growth(small_number: re.Match[str]) -> int:
    # 1.5e-7 becomes 0.00000015: as many digits after the point as it had, and the exponent's.
    fraction, exponent = small_number[1] or "", int(small_number[2])
    return len("0.") - 1 + len(fraction) + exponent - len(small_number[0])


def merge_patch(target: JsonObject, patch: JsonObject) -> JsonObject:
    """Return the target after a JSON merge patch (RFC 7396). Both must be objects."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            current = merged.get(key)
            merged[key] = merge_patch(current if isinstance(current, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def same_json(left: JsonValue, right: JsonValue) -> bool:
    """Return whether two canonical values are the same JSON. Unlike with ==, true is not 1."""
    # Most are not even equal, which is known in a tenth of the time.
    return left == right and _same_kinds(left, right)


def _same_kinds(left: JsonValue, right: JsonValue) -> bool:
    """Return whether two equal values have booleans in the same places."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_same_kinds(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return all(map(_same_kinds, left, right))
    return isinstance(left, bool) == isinstance(right, bool)
