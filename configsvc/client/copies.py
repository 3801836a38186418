"""The task that keeps the copy on disk up to date. The disk is used in threads."""

import asyncio
import time
from contextlib import suppress

from configsvc.client.disk import Copy, Disk
from configsvc.client.store import Store
from configsvc.client.threads import in_thread

# Between two copies, and, while nothing changes, for the age of the copy.
LEAST_SECONDS = 1.0
MOST_SECONDS = 300.0

_THREAD = "configsvc-disk"


class Copies:
    """Saves the view of a store after changes, and now and then."""

    def __init__(self, disk: Disk, store: Store) -> None:
        self._disk = disk
        self._store = store
        self._due = asyncio.Event()
        self._ends = asyncio.Event()

    def ask(self) -> None:
        """Save soon."""
        self._due.set()

    def end(self) -> None:
        """Save a last time, and end."""
        self._ends.set()
        self._due.set()

    async def load(self) -> None:
        """Let readers see the copy, with its age."""
        if copy := await in_thread(self._disk.load, _THREAD):
            self._store.swap(copy.view, (), source="disk")
            self._store.confirm(age=copy.age)

    async def run(self) -> None:
        """Save until told to end."""
        while True:
            await _wait(self._due, MOST_SECONDS)
            self._due.clear()
            await self._save()
            if self._ends.is_set():
                return
            await _wait(self._ends, LEAST_SECONDS)

    async def _save(self) -> None:
        """Save what the service has sent."""
        view = self._store.view
        if view and self._store.source == "service":
            copy = Copy(view=view, confirmed_at=time.time() - self._store.staleness)
            await in_thread(lambda: self._disk.save(copy), _THREAD)


async def _wait(event: asyncio.Event, limit_seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            await event.wait()
