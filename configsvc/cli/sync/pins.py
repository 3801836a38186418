"""The `$schema` line of a file, which leads editors to the schema, and is the pin of the configuration."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from configsvc.cli.documents import is_object
from configsvc.cli.spans import Place
from configsvc.cli.sync.files import Document
from configsvc.cli.sync.naming import SCHEMAS
from configsvc.cli.sync.tree import Pin

MEMBER = "$schema"

_COMMENT = re.compile(r"#\s*yaml-language-server\s*:.*?\$schema=(\S+)")
# It begins with a scheme, or at the root of a site.
_NOT_RELATIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/|#|$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A `$schema` line with a relative path. schema: its target in the tree, None if there is no such file.
    is_in_schemas: its target would be in that folder. place: that of a comment; None for a member of the content.
    """

    path: str
    schema: str | None
    is_in_schemas: bool
    place: Place | None

    @property
    def is_member(self) -> bool:
        """True if it is a member of the content."""
        return self.place is None

    @property
    def pin(self) -> Pin | None:
        """The pin that it is."""
        return Pin(schema=self.schema) if self.schema is not None else None


def is_relative(value: object) -> bool:
    """Return true for a `$schema` that is a relative path."""
    return isinstance(value, str) and not _NOT_RELATIVE.match(value)


def lines_of(document: Document, schemas: dict[PurePosixPath, str]) -> Iterator[Line]:
    """Yield the `$schema` lines of a file. schemas: names of the tree's schemas, by the paths of their files."""
    content = document.content
    if document.path.suffix == ".yaml":
        for number, text, column in comments_at_top(document.text):
            found = _COMMENT.match(text)
            if found and is_relative(found[1]):
                yield _line(document, found[1], schemas, Place(number, column + found.start(1)))
    if is_object(content) and is_relative(content.get(MEMBER)):
        yield _line(document, content[MEMBER], schemas, None)


def comments_at_top(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield the comments before the first value, with their lines and columns."""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and stripped != "---" and not stripped.startswith(("#", "%")):
            return
        if stripped.startswith("#"):
            yield number, stripped, line.index("#") + 1


def _line(document: Document, path: str, schemas: dict[PurePosixPath, str], place: Place | None) -> Line:
    target = _target(path, document.path)
    return Line(path=path, schema=schemas.get(target), is_in_schemas=_is_in_schemas(target), place=place)


def path_to(schema: str, path: PurePosixPath) -> str:
    """Return the relative path from a file to that of a schema."""
    return posixpath.relpath(f"{SCHEMAS}/{schema}.json", path.parent)


def leads_to_a_schema(value: str, path: PurePosixPath) -> bool:
    """Return true if a relative path leads from a file to one that a tree takes for a schema."""
    return _is_in_schemas(_target(value, path))


def _target(value: str, path: PurePosixPath) -> PurePosixPath:
    """Return where a relative path leads to from a file."""
    return PurePosixPath(posixpath.normpath(path.parent / value))


def _is_in_schemas(target: PurePosixPath) -> bool:
    return target.parent == PurePosixPath(SCHEMAS)


def with_comment(text: str, path: str | None) -> str:
    """Return the text of a YAML file with this `$schema` line as a comment, or with none."""
    for number, comment, _ in comments_at_top(text):
        found = _COMMENT.match(comment)
        if found and is_relative(found[1]):
            lines = text.splitlines(keepends=True)
            changed = [] if path is None else [lines[number - 1].replace(found[1], path)]
            return "".join([*lines[: number - 1], *changed, *lines[number:]])
    return text if path is None else f"# yaml-language-server: $schema={path}\n{text}"
