"""The content of a configuration: a JSON object within limits that every client and the database can hold exactly."""

import json
import math

from configsvc.domain.errors import Violations

JsonValue = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
JsonObject = dict[str, JsonValue]

MAX_CONTENT_BYTES = 256 * 1024
# Most libraries read protocol buffers to a depth of 100 messages, and each level of an object takes three.
MAX_CONTENT_DEPTH = 32
MAX_NUMBER = 2**53 - 1


def encode_json(value: JsonValue) -> str:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def canonical_content(content: JsonObject, field: str, violations: Violations) -> JsonObject:
    """The content with whole numbers as integers. Adds a fault, with its JSON Pointer after field, for each value
    that cannot be kept.
    """
    return _canonical_object(content, field, 1, violations)


def _canonical_object(content: JsonObject, pointer: str, depth: int, violations: Violations) -> JsonObject:
    canonical: JsonObject = {}
    for key, value in content.items():
        member = f"{pointer}/{escaped(key)}"
        if "\0" in key:
            violations.add(member, "is a key with the character U+0000")
        canonical[key] = _canonical(value, member, depth, violations)
    return canonical


def _canonical(value: JsonValue, pointer: str, depth: int, violations: Violations) -> JsonValue:
    if isinstance(value, dict | list):
        if depth == MAX_CONTENT_DEPTH:
            violations.add(pointer, f"is nested too deep: at most {MAX_CONTENT_DEPTH} levels are allowed")
            return None
        if isinstance(value, dict):
            return _canonical_object(value, pointer, depth + 1, violations)
        return [_canonical(item, f"{pointer}/{index}", depth + 1, violations) for index, item in enumerate(value)]
    if isinstance(value, float):
        return _canonical_number(value, pointer, violations)
    if isinstance(value, str) and "\0" in value:
        violations.add(pointer, "holds the character U+0000")
    return value


def _canonical_number(value: float, pointer: str, violations: Violations) -> int | float | None:
    if not math.isfinite(value):
        violations.add(pointer, f"is {value}: JSON has no such number")
        return None
    if abs(value) > MAX_NUMBER:
        violations.add(pointer, f"is {value!r}: beyond 2^53-1 a double is not exact; write it as a string")
        return None
    return int(value) if value.is_integer() else value


def escaped(key: str) -> str:
    """A key as a JSON Pointer (RFC 6901) writes it."""
    return key.replace("~", "~0").replace("/", "~1")


def check_content_size(content: JsonObject, field: str, violations: Violations) -> None:
    """Adds a fault if the content is larger than MAX_CONTENT_BYTES as compact JSON in UTF-8."""
    size = len(encode_json(content).encode())
    if size > MAX_CONTENT_BYTES:
        violations.add(field, f"has {size} bytes as compact JSON: at most {MAX_CONTENT_BYTES} are allowed")


def merge_patch(target: JsonObject, patch: JsonObject) -> JsonObject:
    """Applies a JSON merge patch (RFC 7396) whose patch and target are objects."""
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
    """Whether two canonical values are the same JSON; unlike ==, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right
