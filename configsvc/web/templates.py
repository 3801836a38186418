"""Path templates of google.api.http, compiled: one look-up in a regular expression finds the route of a request.

The grammar is that of google/api/http.proto, with one variable for `**`, at the end of the path. Raw paths are matched,
so that an encoded slash stays in its segment. A colon begins a verb only if the contract has that verb: otherwise it
belongs to the segment.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

_VARIABLE = re.compile(r"\{([a-z_.]+)(?:=([^}]*))?\}")
_VERB = re.compile(r":([A-Za-z]+)\Z")
_SEGMENT = "[^/]+"
# What may stand for a variable: `*` one segment, `**` several.
_WILDCARDS = {"*": _SEGMENT, "**": f"{_SEGMENT}(?:/{_SEGMENT})*"}
_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")

Target = TypeVar("Target")
# The decoded variables of a path, by the paths of their fields.
Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed path template: a regular expression with a group for each variable, and the verb at its end, if any."""

    pattern: str
    fields: tuple[str, ...]
    verb: str


def template(text: str) -> Template:
    """Return the parsed template."""
    fields: list[str] = []
    pieces: list[str] = []
    path, verb = split_verb(text)
    end = 0
    for variable in _VARIABLE.finditer(path):
        pieces.append(re.escape(path[end : variable.start()]))
        fields.append(variable[1])
        pieces.append(f"({_within(variable[2] or '*')})")
        end = variable.end()
    pieces.append(re.escape(path[end:]))
    return Template(pattern="".join(pieces), fields=tuple(fields), verb=verb)


def _within(segments: str) -> str:
    return "/".join(_WILDCARDS.get(segment) or re.escape(segment) for segment in segments.split("/"))


def split_verb(path: str) -> tuple[str, str]:
    """Return a path without what follows its last colon, and that."""
    found = _VERB.search(path)
    return (path[: found.start()], found[1]) if found else (path, "")


class Matcher(Generic[Target]):
    """Finds which of some templates, all with one verb, a path matches."""

    def __init__(self, targets: Iterable[tuple[Template, Target]]) -> None:
        self._targets: dict[int, tuple[Target, tuple[str, ...]]] = {}
        alternatives: list[str] = []
        group = 1
        for found, target in targets:
            alternatives.append(f"({found.pattern})")
            # The group around a template closes last, so it is the last group of a match.
            self._targets[group] = target, found.fields
            group += 1 + len(found.fields)
        self._match = re.compile("|".join(alternatives)).fullmatch

    def match(self, path: str) -> tuple[Target, Variables] | None:
        """Return the target of a raw path without verb, and its decoded variables. Raises ValueError."""
        found = self._match(path)
        if found is None or found.lastindex is None:
            return None
        first = found.lastindex
        target, fields = self._targets[first]
        return target, {field: decoded(found[first + number]) for number, field in enumerate(fields, 1)}


def decoded(text: str) -> str:
    """Return percent-encoded text, decoded. Raises ValueError, also for a percent sign that encodes nothing."""
    if "%" not in text and text.isascii():
        return text
    if _MALFORMED.search(text):
        raise ValueError("has a % that is not followed by two hexadecimal digits: write %25 for a percent sign")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8, percent-encoded") from error
