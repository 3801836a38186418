"""JSON whose objects are read member by member, so that what is in one can stay the text that it is."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

# Reads the value that begins at an index; returns it, and the index after it.
Reader = Callable[[str, int], tuple[Any, int]]

_any: Reader = json.JSONDecoder().raw_decode
# Numbers stay text: nothing is made of them, and those of thousands of digits are no error.
_skip: Reader = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_space = re.compile(r"[ \t\r\n]*").match
_colon = re.compile(r"[ \t\r\n]*:[ \t\r\n]*").match


def read(text: str, reader: Reader) -> Any:
    """Return the value of a whole text. Raises ValueError."""
    try:
        value, end = reader(text, _after_space(text, 0))
        if _after_space(text, end) == len(text):
            return value
    except IndexError:
        pass
    raise ValueError("it is not JSON")


def raw(text: str, start: int) -> tuple[str, int]:
    """Return a value as its text."""
    _, end = _skip(text, start)
    return text[start:end], end


def object_of(readers: Mapping[str, Reader]) -> Reader:
    """Return a reader of objects, some of whose members have readers of their own."""

    def read_object(text: str, start: int) -> tuple[dict[str, Any], int]:
        _expect(text, start, "{")
        found: dict[str, Any] = {}
        at = _after_space(text, start + 1)
        if text[at] == "}":
            return found, at + 1
        while True:
            _expect(text, at, '"')
            key, at = _any(text, at)
            found[key], at = readers.get(key, _any)(text, _after_colon(text, at))
            is_last, at = _after_member(text, at, "}")
            if is_last:
                return found, at

    return read_object


def list_of(reader: Reader) -> Reader:
    """Return a reader of arrays."""

    def read_list(text: str, start: int) -> tuple[list[Any], int]:
        _expect(text, start, "[")
        found: list[Any] = []
        at = _after_space(text, start + 1)
        if text[at] == "]":
            return found, at + 1
        while True:
            value, at = reader(text, at)
            found.append(value)
            is_last, at = _after_member(text, at, "]")
            if is_last:
                return found, at

    return read_list


def _after_member(text: str, at: int, end: str) -> tuple[bool, int]:
    """Return whether a member or element is the last one, and the index of what comes next."""
    if text[at] not in {",", end}:
        at = _after_space(text, at)
    if text[at] == end:
        return True, at + 1
    _expect(text, at, ",")
    return False, _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _space(text, at)
    assert found
    return found.end()


def _after_colon(text: str, at: int) -> int:
    found = _colon(text, at)
    if found is None:
        raise ValueError("it is not JSON")
    return found.end()


def _expect(text: str, at: int, character: str) -> None:
    if text[at] != character:
        raise ValueError("it is not JSON")
