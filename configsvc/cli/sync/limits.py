"""The service's rules for contents, schema documents and names, so that a tree is refused before anything is sent."""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from configsvc.cli.documents import Json, compact_json, is_array, is_object

MAX_CONTENT_BYTES = 256 * 1024
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_EXACT = 2**53 - 1
MAX_DIGITS = 1000
MAX_NAME_LENGTH = 256
MAX_COMMENTS_LENGTH = 1024
RESERVED_PREFIX = "$configsvc"

Path = tuple[str, ...]
Fault = tuple[Path, str]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_PRINCIPAL = re.compile(r"(user|group|certificate):[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,512}")


def content_faults(content: Json) -> Iterator[Fault]:
    """Yield what keeps a content from being stored, with the path to it."""
    yield from _document_faults(content, MAX_CONTENT_BYTES, wide=False)
    yield from _reserved(content, ())


def schema_faults(document: Json) -> Iterator[Fault]:
    """Yield what keeps a schema document from being stored, by itself: the rules of JSON Schema come later."""
    yield from _document_faults(document, MAX_DOCUMENT_BYTES, wide=True)


def _document_faults(document: Json, limit_bytes: int, *, wide: bool) -> Iterator[Fault]:
    if not is_object(document):
        yield (), "must be an object"
        return
    found = list(_member_faults(document, (), 1, wide=wide))
    yield from found
    if not found:
        size = _size(document, limit_bytes)
        if size > limit_bytes:
            yield (), f"has {size} bytes as compact JSON: at most {limit_bytes} are allowed"


def _member_faults(value: Json, path: Path, depth: int, *, wide: bool) -> Iterator[Fault]:
    if is_object(value):
        for name, member in value.items():
            if "\0" in name:
                yield (*path, name), "must not have the character U+0000 in its key"
            yield from _value_faults(member, (*path, name), depth, wide=wide)
    elif is_array(value):
        for index, element in enumerate(value):
            yield from _value_faults(element, (*path, str(index)), depth, wide=wide)


def _value_faults(value: Json, path: Path, depth: int, *, wide: bool) -> Iterator[Fault]:
    match value:
        case dict() | list():
            if depth == MAX_DEPTH:
                yield path, f"is nested too deep: at most {MAX_DEPTH} levels are allowed"
            else:
                yield from _member_faults(value, path, depth + 1, wide=wide)
        case str():
            if "\0" in value:
                yield path, "must not contain the character U+0000"
        case None | bool():
            pass
        case _:
            fault = _number_fault(value, wide=wide)
            if fault:
                yield path, fault


def _number_fault(value: int | Decimal, *, wide: bool) -> str | None:
    if isinstance(value, int):
        if len(str(value)) > MAX_DIGITS:
            return f"is a number with {len(str(value))} digits: at most {MAX_DIGITS} are allowed"
        return _whole_fault(value, _short(value), wide=wide)
    if abs(value.adjusted()) > MAX_DIGITS:
        return f"is the number {_short(value)}, which is too large or too small"
    if value == value.to_integral_value():
        return _whole_fault(int(value), _short(value), wide=wide)
    try:
        exact = Decimal(repr(float(value))) == value
    except (OverflowError, InvalidOperation):
        exact = False
    return (
        None
        if exact
        else f"is the number {_short(value)}, which a double cannot represent exactly: write it as a string"
    )


def _whole_fault(value: int, shown: str, *, wide: bool) -> str | None:
    if not wide and abs(value) > MAX_EXACT:
        return f"is {shown}, and a double is not exact beyond 2^53-1: write it as a string"
    return None


def _short(value: int | Decimal) -> str:
    return str(value)[:64]


def _size(document: Json, limit_bytes: int) -> int:
    """Return the size as compact JSON; exact only if it may exceed the limit."""
    size = len(compact_json(document).encode())
    return size if size <= limit_bytes else len(compact_json(_canonical(document)).encode())


def _canonical(value: Json) -> Json:
    """Return a value with numbers as short as the service writes them."""
    if is_object(value):
        return {name: _canonical(member) for name, member in value.items()}
    if is_array(value):
        return [_canonical(element) for element in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else Decimal(repr(float(value)))
    return value


def _reserved(value: Json, path: Path) -> Iterator[Fault]:
    if is_object(value):
        for name, member in value.items():
            if name.startswith(RESERVED_PREFIX):
                message = f"has a key that begins with {RESERVED_PREFIX}, which is reserved: choose another key"
                yield (*path, name), message
            yield from _reserved(member, (*path, name))
    elif is_array(value):
        for index, element in enumerate(value):
            yield from _reserved(element, (*path, str(index)))


def name_fault(name: str) -> str | None:
    """Return why a text is no name of an application or a schema, as the end of a sentence; None if it is one."""
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters: at most {MAX_NAME_LENGTH} are allowed"
    if not _NAME.fullmatch(name):
        return "is no valid name: a name begins with a letter or digit and contains only A-Z a-z 0-9 . _ -"
    return None


def configuration_name_fault(name: str) -> str | None:
    """Return why a text is no name of a configuration, as the end of a sentence; None if it is one."""
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters: at most {MAX_NAME_LENGTH} are allowed"
    first, *others = name.split("/")
    if not _NAME.fullmatch(first) or not all(map(_SEGMENT.fullmatch, others)) or {".", ".."} & set(others):
        return "is no valid name: a name begins with a letter or digit and contains only A-Z a-z 0-9 . _ - /"
    return None


def comments_fault(text: Json) -> str | None:
    """Return why a value is no comment, as the end of a sentence; None if it is one."""
    if not isinstance(text, str):
        return "must be a text"
    if len(text) > MAX_COMMENTS_LENGTH:
        return f"has {len(text)} characters: at most {MAX_COMMENTS_LENGTH} are allowed"
    return "must not contain the character U+0000" if "\0" in text else None


def is_id(value: Json) -> bool:
    """Return true for the form of an id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_principal(value: Json) -> bool:
    """Return true for the form of a principal."""
    return isinstance(value, str) and _PRINCIPAL.fullmatch(value) is not None
