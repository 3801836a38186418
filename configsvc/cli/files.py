"""Files that are replaced as a whole, so that a reader sees the old content or the new one."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from configsvc.cli.failures import CliError

PRIVATE = 0o600


def current_content(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none. Raises CliError for what is no regular file."""
    try:
        return path.read_bytes() if _found(path) else None
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from None


def replace_file(path: Path, content: bytes, *, new_mode: int = PRIVATE, is_private: bool = False) -> None:
    """Replace a file, or create it. A link to it stays one. Its owner and mode stay, unless it is to be private: then
    it is for the user of this process alone. Raises CliError.
    """
    try:
        target = Path(os.path.realpath(path))
        found = _found(target)
        # Not named after the file, whose name may be as long as names can be. It is for its owner alone.
        descriptor, draft = tempfile.mkstemp(prefix=".configsvc.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if not is_private:
                    _take_over(file.fileno(), found, new_mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(target)
        finally:
            with suppress(FileNotFoundError):
                Path(draft).unlink()
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from None


def _found(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise CliError(f"cannot replace {path}: it is no regular file")
    return found


def _take_over(descriptor: int, found: os.stat_result | None, new_mode: int) -> None:
    """Give a new file the owner and the mode of the one that it replaces."""
    if found:
        own = os.fstat(descriptor)
        if (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
            os.fchown(descriptor, found.st_uid, found.st_gid)
    # After a new owner, which takes some bits away.
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode) if found else new_mode)
