"""SQL lives in the .sql files of this folder, each statement under a line `-- name: …`."""

import re
from functools import cache
from pathlib import Path

_NAME_LINE = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(file: str) -> dict[str, str]:
    """Return the statements of one file by name."""
    text = (Path(__file__).parent / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME_LINE.split(text)
    return {name: statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}
