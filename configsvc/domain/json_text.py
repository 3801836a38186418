"""Lossless parsing of JSON text: a number that Python cannot represent exactly is a fault, never rounded."""

import json
from decimal import Decimal

from configsvc.domain.content import JsonObject, JsonValue, canonical_content, check_content_size
from configsvc.domain.errors import Violations

MAX_DIGITS = 1000


class _InexactError(Exception):
    """A number that cannot be represented exactly. The text says why."""


def content_from_text(text: str, field: str, violations: Violations, *, limit_bytes: int) -> JsonObject:
    """Return the canonical content of a JSON object. Add every fault that keeps it from being stored.

    Whole numbers may have MAX_DIGITS digits. A fraction must be exact as a double.
    """
    try:
        value: JsonValue = json.loads(text, parse_int=_whole, parse_float=_number, parse_constant=_no_number)
        text.encode()
        _check_encodable(value)
    except (ValueError, RecursionError, _InexactError) as error:
        violations.add(field, _description(error))
        return {}
    if not isinstance(value, dict):
        violations.add(field, "must be a JSON object")
        return {}
    found = Violations()
    content = canonical_content(value, field, found)
    if not found and len(text.encode()) > limit_bytes:
        check_content_size(content, field, found, limit_bytes=limit_bytes)
    violations.extend(found)
    return content


def _description(error: Exception) -> str:
    match error:
        case RecursionError():
            return "is nested too deep"
        case UnicodeEncodeError():
            return "contains half of a surrogate pair, which is not a character"
        case json.JSONDecodeError():
            return f"is not JSON: {error}"
        case _:
            return str(error)


def _check_encodable(value: JsonValue) -> None:
    # An escape such as \ud800 is valid JSON but not Unicode.
    json.dumps(value, ensure_ascii=False).encode()


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _InexactError(f"contains a number with {len(text)} digits: at most {MAX_DIGITS} are allowed")
    return int(text)


def _number(text: str) -> int | float:
    exact = Decimal(text)
    if abs(exact.adjusted()) > MAX_DIGITS:
        raise _InexactError(f"contains the number {text[:64]}, which is too large or too small")
    if exact == exact.to_integral_value():
        return int(exact)
    value = float(text)
    if Decimal(repr(value)) != exact:
        raise _InexactError(
            f"contains the number {text[:64]}, which a double cannot represent exactly: write it as a string"
        )
    return value


def _no_number(text: str) -> float:
    raise _InexactError(f"contains {text}, not a JSON number")
