"""Path templates of google.api.http: matches the raw path of a request, so that an encoded slash stays in its segment.

The grammar is that of google/api/http.proto, with one variable for `**`, at the end of the path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_VARIABLE = re.compile(r"\{([a-z_.]+)(?:=([^}]*))?\}")
_SEGMENT = r"[^/:]+"
# What may stand for a variable: `*` one segment, `**` several.
_WILDCARDS = {"*": _SEGMENT, "**": rf"{_SEGMENT}(?:/{_SEGMENT})*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed path template; `fields` are the paths of its variables, in their order."""

    pattern: re.Pattern[str]
    fields: tuple[str, ...]

    def matched(self, path: str) -> Mapping[str, str] | None:
        """Return the decoded variables of a raw path, with or without a last slash; None if it does not match.

        Raises UnicodeDecodeError if a variable is not UTF-8.
        """
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: decoded(value) for name, value in zip(self.fields, found.groups(), strict=True)}


def template(text: str) -> Template:
    """Return the parsed template."""
    fields: list[str] = []
    pieces: list[str] = []
    end = 0
    for variable in _VARIABLE.finditer(text):
        pieces.append(re.escape(text[end : variable.start()]))
        fields.append(variable[1])
        pieces.append(f"({_within(variable[2] or '*')})")
        end = variable.end()
    pieces.append(re.escape(text[end:]))
    return Template(pattern=re.compile("".join(pieces) + "/?"), fields=tuple(fields))


def _within(segments: str) -> str:
    return "/".join(_WILDCARDS.get(segment) or re.escape(segment) for segment in segments.split("/"))


def decoded(text: str) -> str:
    """Return percent-encoded text, decoded. Raises UnicodeDecodeError."""
    return unquote_to_bytes(text).decode()
