"""SQL lives in the .sql files of this folder, each statement under a line `-- name: …`."""

import re
from functools import cache
from pathlib import Path

from configsvc.domain.models import IdRef, NameRef

_NAME_LINE = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(file: str) -> dict[str, str]:
    """Return the statements of one file by name."""
    text = (Path(__file__).parent / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME_LINE.split(text)
    return {name: statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}


def id_and_name(ref: IdRef | NameRef | None) -> tuple[str | None, str | None]:
    """Return the two parameters of a statement that takes an id or a name: None for the one that `ref` lacks."""
    match ref:
        case IdRef(id=resource_id):
            return resource_id, None
        case NameRef(name=name):
            return None, name
        case None:
            return None, None
