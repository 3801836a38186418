"""Unix sockets, each of one service: gRPC replaces a socket that another service listens on, and removes any."""

import fcntl
import os
import secrets
import socket
import stat
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from configsvc.process.startup import StartError

SCHEME = "unix:"
# Without the terminating zero.
MAX_PATH_BYTES = 107


class UnixSocket:
    """A reserved path. The server binds `address`, a private name, which `publish` makes public."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._private = path.parent / _private_name()
        self._identity: tuple[int, int] | None = None

    @property
    def address(self) -> str:
        """The address to bind."""
        return SCHEME + quote(os.fsencode(self._private))

    def publish(self) -> None:
        """Replace what a killed service left behind, if anything. Raises StartError."""
        try:
            self._identity = _identity(self._private)
            self._private.rename(self._path)
        except OSError as error:
            raise StartError(f"cannot listen on {SCHEME}{self._path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the socket, but not one that replaced it."""
        with suppress(OSError):
            if self._identity == _identity(self._path):
                self._path.unlink()


def _private_name() -> str:
    return f".{secrets.token_hex(3)}"


@contextmanager
def unix_socket(listen: str) -> Generator[UnixSocket]:
    """Reserve the path of unix:PATH against other services, and remove its socket in the end. Raises StartError."""
    with ExitStack() as kept:
        try:
            # gRPC decodes it too.
            path = Path(os.fsdecode(unquote_to_bytes(listen.removeprefix(SCHEME))))
            _check_name(path)
            kept.enter_context(_locked(path.with_name(f"{path.name}.lock")))
            _check_unused(path)
        except (OSError, ValueError, _UnusableError) as error:
            raise StartError(f"cannot listen on {listen}: {_reason(error)}") from error
        made = UnixSocket(path)
        kept.callback(made.remove)
        yield made


class _UnusableError(Exception):
    """The reason why a path cannot be used."""


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _check_name(path: Path) -> None:
    size = max(len(os.fsencode(path)), len(os.fsencode(path.parent / _private_name())))
    if size > MAX_PATH_BYTES:
        raise _UnusableError(f"its path takes {size} bytes, of at most {MAX_PATH_BYTES}: use a shorter path")
    if path.name.startswith("@"):
        raise _UnusableError("abstract sockets are not supported: use a path, which has an owner and permissions")
    if path.is_dir():
        raise _UnusableError("it is a folder: add the name of the socket")


def _check_unused(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise _UnusableError("it exists and is not a socket: remove it, or use another path")
    if _somebody_listens(path):
        raise _UnusableError("another program listens on it: stop that one, or use another path")


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        # A full queue of connections must not block.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # Its queue is full, or it takes datagrams, or belongs to somebody else.
            return True
    return True


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold a lock file, and remove it in the end."""
    try:
        file = _lock(path)
    except FileNotFoundError:
        raise _UnusableError(f"the folder {path.parent} does not exist: create it") from None
    except BlockingIOError:
        raise _UnusableError("another service uses it: stop that one, or use another path") from None
    except OSError as error:
        raise _UnusableError(f"cannot create {path}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            if _is_at(file, path):
                path.unlink()
        os.close(file)


def _lock(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        if _is_at(file, path):
            return file
        # Its last owner has removed it since.
        os.close(file)


def _is_at(file: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.lstat())
    return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
