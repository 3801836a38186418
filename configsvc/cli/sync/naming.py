"""File names of a tree: `%` and two hexadecimal digits stand for a character, where a name makes no file name that all
systems keep.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath

APPLICATIONS = "applications"
SCHEMAS = "schemas"
SETTINGS = "_application.yaml"
# Of files with a content, and of those that may be meant to have one.
ENDINGS = (".yaml", ".yml", ".json")

_ESCAPE = re.compile(r"%(?:([0-9A-Fa-f]{2})|)")
_CAPITAL = re.compile("[A-Z]")
_LETTER = re.compile("[A-Za-z]")
# Files of Windows that stand for devices, whatever their ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)


class Ending(StrEnum):
    """The form of new files."""

    YAML = "yaml"
    JSON = "json"


class EscapeError(ValueError):
    """A % in a file name without two hexadecimal digits."""


def unescaped(part: str) -> str:
    """Return the part of a name that a file name stands for. Raises EscapeError."""

    def character(found: re.Match[str]) -> str:
        if not found[1]:
            raise EscapeError(part)
        return chr(int(found[1], 16))

    return _ESCAPE.sub(character, part)


def escaped(part: str, characters: re.Pattern[str] | None = None, *, is_folder: bool = False) -> str:
    """Return the file name for a part of a name, without an ending, with these characters escaped too."""
    if characters:
        part = characters.sub(_code, part)
    if part.startswith(".") or _DEVICE.match(part):
        part = _code(part[0]) + part[1:]
    if is_folder and part.endswith(ENDINGS):
        # The file of another configuration could have this name.
        stem, _, ending = part.rpartition(".")
        part = f"{stem}%2E{ending}"
    return part[:-1] + "%2E" if part.endswith(".") else part


def _code(found: re.Match[str] | str) -> str:
    return f"%{ord(found[0]):02X}"


def paths_of(names: Iterable[str], taken: Iterable[PurePosixPath] = ()) -> dict[str, PurePosixPath]:
    """Return a path without an ending for each name, beside those that are taken. Of names that differ only in capital
    letters, these are escaped: some systems take such files for one.
    """
    names = list(names)
    spellings: dict[str, set[str]] = {}
    for name in names:
        for prefix in _prefixes(name):
            spellings.setdefault(prefix.lower(), set()).add(prefix)
    spelt = {prefix.lower(): prefix for path in taken for prefix in _prefixes(str(path.with_suffix("")))}
    return {name: _path(name, spellings, spelt) for name in names}


def _path(name: str, spellings: Mapping[str, set[str]], taken: Mapping[str, str]) -> PurePosixPath:
    path = PurePosixPath()
    prefixes = _prefixes(name)
    for prefix, part in zip(prefixes, name.split("/"), strict=True):
        is_folder = prefix != name
        capitals = _CAPITAL if len(spellings[prefix.lower()]) > 1 else None
        own = path / escaped(part, capitals, is_folder=is_folder)
        is_free = taken.get(str(own).lower(), str(own)) == str(own)
        path = own if is_free else path / escaped(part, _LETTER, is_folder=is_folder)
    return path


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
