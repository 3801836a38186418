"""File names of a tree: `%` and two hexadecimal digits stand for a character, where a name makes no file name that all
systems keep.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

APPLICATIONS = "applications"
SCHEMAS = "schemas"
SETTINGS = "_application.yaml"

_ESCAPE = re.compile(r"%(?:([0-9A-Fa-f]{2})|)")
_CAPITAL = re.compile("[A-Z]")
# Files of Windows that stand for devices, whatever their ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)


class EscapeError(ValueError):
    """A % in a file name without two hexadecimal digits."""


def unescaped(part: str) -> str:
    """Return the part of a name that a file name stands for. Raises EscapeError."""

    def character(found: re.Match[str]) -> str:
        if not found[1]:
            raise EscapeError(part)
        return chr(int(found[1], 16))

    return _ESCAPE.sub(character, part)


def escaped(part: str, *, capitals: bool = False) -> str:
    """Return the file name for a part of a name, without an ending."""
    if capitals:
        part = _CAPITAL.sub(_code, part)
    if part.startswith(".") or _DEVICE.match(part):
        part = _code(part[0]) + part[1:]
    return part[:-1] + "%2E" if part.endswith(".") else part


def _code(found: re.Match[str] | str) -> str:
    return f"%{ord(found[0]):02X}"


def paths_of(names: Iterable[str]) -> dict[str, PurePosixPath]:
    """Return a path without an ending for each name. Of names that differ only in capital letters, these are escaped:
    some systems take such files for one.
    """
    names = list(names)
    spellings: dict[str, set[str]] = {}
    for name in names:
        for prefix in _prefixes(name):
            spellings.setdefault(prefix.lower(), set()).add(prefix)
    return {name: _path(name, spellings) for name in names}


def _path(name: str, spellings: Mapping[str, set[str]]) -> PurePosixPath:
    parts = zip(name.split("/"), _prefixes(name), strict=True)
    return PurePosixPath(*(escaped(part, capitals=len(spellings[prefix.lower()]) > 1) for part, prefix in parts))


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def twins(paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Return the paths that differ from another one only in capital letters, each with the one before it."""
    first: dict[str, PurePosixPath] = {}
    found: dict[PurePosixPath, PurePosixPath] = {}
    for path in paths:
        for part in (*reversed(path.parents[:-1]), path):
            other = first.setdefault(str(part).lower(), part)
            if other != part:
                found.setdefault(part, other)
    return found
