"""File locks between the processes of one data folder. The kernel releases them when a process dies."""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from configsvc.embedded.errors import EmbeddedPostgresError

# Seconds between attempts. Polled, as a thread that blocks in flock cannot be cancelled.
POLL = 0.02


class LockFile:
    """An open lock file, unlocked at first. Two of them exclude each other even in one process."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot open the lock file {path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def share(self) -> None:
        """Take a shared lock. Callers must make sure that nobody holds an exclusive one."""
        fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def alone(self) -> bool:
        """Take an exclusive lock if no one else holds the lock. Return whether it was taken."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


@asynccontextmanager
async def exclusive(path: Path, limit: float) -> AsyncGenerator[None]:
    """Hold an exclusive lock. Raises EmbeddedPostgresError if taking it lasts longer than `limit` seconds."""
    with LockFile(path) as lock:
        try:
            async with asyncio.timeout(limit):
                while not lock.alone():  # noqa: ASYNC110 - other processes set no Event
                    await asyncio.sleep(POLL)
        except TimeoutError as error:
            raise EmbeddedPostgresError(f"another process has locked {path} for {limit:.0f} s") from error
        yield
