"""The contents of a database, as text that can be read and compared."""

import re
from pathlib import Path

from tests.storage.reading import Session

_QUERY = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_COMMENTS = re.compile(r"^\s*--.*\n", re.MULTILINE)
_ONLY_TABLE = re.compile(r"^ *SELECT [^;]*\n *FROM (\w+);$", re.MULTILINE)

Catalogue = dict[str, str]


async def catalogue(session: Session) -> Catalogue:
    """Return the objects of the database by kind and name, each with its properties, one per line."""
    objects: dict[str, list[str]] = {}
    for row in await session.fetch(_QUERY):
        lines = _COMMENTS.sub("", row["line"] + "\n").splitlines()
        objects.setdefault(row["object"], []).extend(f"    {line}".rstrip() for line in lines if line.strip())
    texts = {name: "\n".join(lines) for name, lines in objects.items()}
    return {name: _unqualified(text) if name.startswith("view ") else text for name, text in texts.items()}


def _unqualified(text: str) -> str:
    """Return the text of a view of one table as PostgreSQL 16 writes it: 15 qualifies the columns."""
    table = _ONLY_TABLE.search(text)
    return text.replace(f" {table[1]}.", " ") if table else text


def rendered(objects: Catalogue) -> str:
    """Return the text of a catalogue."""
    return "".join(f"{name}\n{lines}\n\n" for name, lines in objects.items())


def parsed(text: str) -> Catalogue:
    """Return the catalogue of a text that `rendered` made."""
    return dict(entry.split("\n", 1) for entry in text.strip("\n").split("\n\n"))
