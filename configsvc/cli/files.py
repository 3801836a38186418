"""Files that are replaced as a whole, so that a reader sees the old content or the new one."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from errno import ELOOP, ENOENT
from io import BufferedWriter
from pathlib import Path
from secrets import token_hex

from configsvc.cli.failures import CliError

PRIVATE = 0o600


def current_content(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none. Raises CliError for what is no regular file."""
    try:
        return path.read_bytes() if _found(path) else None
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from None


def replace_file(path: Path, content: bytes, *, new_mode: int = PRIVATE, is_private: bool = False) -> None:
    """Replace a file, or create it, as `replaced` does; a private one is for the user of this process alone, whatever
    was there. Raises CliError.
    """
    try:
        with replaced(path, new_mode=new_mode, is_private=is_private) as file:
            file.write(content)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from None


@contextmanager
def replaced(path: Path, *, new_mode: int | None = None, is_private: bool = False) -> Generator[BufferedWriter]:
    """Yield a file that takes the place of another one when it is whole. A link to that stays one.

    Its owner and mode stay, unless the new one is to be private. A file that was not there gets new_mode, or the mode
    that the process gives new files. Raises OSError, and CliError for what is no regular file.
    """
    target = Path(os.path.realpath(path))
    found = _found(target)
    # Not named after the file, whose name may be as long as names can be.
    draft = target.with_name(f".configsvc.{token_hex(8)}")
    mode = PRIVATE if found or is_private or new_mode is not None else 0o666
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            if not is_private:
                _take_over(file.fileno(), found, new_mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _found(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except OSError as error:
        # A link that leads to itself leads to no file, either.
        if error.errno in {ENOENT, ELOOP}:
            return None
        raise
    if not stat.S_ISREG(found.st_mode):
        raise CliError(f"cannot replace {path}: it is no regular file")
    return found


def _take_over(descriptor: int, found: os.stat_result | None, new_mode: int | None) -> None:
    """Give a new file the owner and the mode of the one that it replaces."""
    if found:
        own = os.fstat(descriptor)
        if (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
            os.fchown(descriptor, found.st_uid, found.st_gid)
        # After a new owner, which takes some bits away.
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    elif new_mode is not None:
        os.fchmod(descriptor, new_mode)
