"""File locks between the processes of one data folder. The kernel drops them when a process dies, however it dies."""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from configsvc.embedded.errors import EmbeddedPostgresError

# Seconds between two attempts. A thread that blocks in flock could not be cancelled.
POLL = 0.02


class LockFile:
    """One open lock file, unlocked at first. Two of them in one process exclude each other like two processes do."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(f"the lock file {path} can't be opened: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def share(self) -> None:
        """Holds the lock together with others. To be called where nobody can hold it alone."""
        fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def alone(self) -> bool:
        """Takes the lock for this holder alone, if no other holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Gives the lock up."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


@asynccontextmanager
async def exclusive(path: Path, limit: float) -> AsyncGenerator[None]:
    """Holds a lock file alone. Raises EmbeddedPostgresError when that takes longer than `limit` seconds."""
    with LockFile(path) as lock:
        try:
            async with asyncio.timeout(limit):
                while not lock.alone():  # noqa: ASYNC110 - other processes set no Event
                    await asyncio.sleep(POLL)
        except TimeoutError as error:
            raise EmbeddedPostgresError(f"another process has held {path} for {limit:.0f} s") from error
        yield
