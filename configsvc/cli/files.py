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
        if not stat.S_ISREG(path.stat().st_mode):
            raise CliError(f"cannot replace {path}: it is no regular file")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from None


def replace_file(path: Path, content: bytes, *, new_mode: int = PRIVATE, keep_mode: bool = True) -> None:
    """Replace a file, or create it. Its owner stays, a link to it stays one, and so does its mode with `keep_mode`.
    Raises CliError.
    """
    try:
        # A link to the file stays one.
        target = Path(os.path.realpath(path))
        descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _take_over(file.fileno(), target, new_mode, keep_mode=keep_mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(target)
        finally:
            with suppress(FileNotFoundError):
                Path(draft).unlink()
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from None


def _take_over(descriptor: int, target: Path, new_mode: int, *, keep_mode: bool) -> None:
    """Give a new file the owner and the mode of the one that it replaces."""
    mode = new_mode
    with suppress(FileNotFoundError):
        found = target.stat()
        mode = stat.S_IMODE(found.st_mode) if keep_mode else new_mode
        own = os.fstat(descriptor)
        if (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
            os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, mode)
