"""Files that are replaced when their new text is whole."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replaced(path: Path) -> Generator[TextIO]:
    """Yield a file that takes the place and the mode of another one when it is whole."""
    draft = path.with_name(f".{path.name[:80]}.partial")
    with draft.open("w", encoding="utf-8") as stream:
        try:
            if path.exists():
                os.fchmod(stream.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield stream
            stream.flush()
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
