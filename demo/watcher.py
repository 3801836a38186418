"""The client library for each application of the demo, and the changes that it shows."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from configsvc.client import Change, ConfigClient

# Three bookmarks come within this time: they tell of commits that changed nothing of an application.
STALE_SECONDS = 0.6
START_SECONDS = 15.0
POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A change of an application, and the time of its arrival by the monotonic clock."""

    application: str
    arrived: float
    change: Change

    @property
    def resource_id(self) -> str:
        """The id of the configuration."""
        found = self.change.after or self.change.before
        assert found is not None
        return found.id

    @property
    def kind(self) -> str:
        """The type of the change. A rename deletes one name and creates another."""
        if self.change.before is None:
            return "CREATED"
        return "UPDATED" if self.change.after else "DELETED"


class Watcher:
    """The clients of some applications."""

    def __init__(self, address: str, applications: Iterable[str]) -> None:
        self.clients = {
            name: ConfigClient(
                address, application=name, stale_after=STALE_SECONDS, on_stale="keep", start_timeout=START_SECONDS
            )
            for name in applications
        }
        self._changes: list[Sighting] = []

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start the clients, and close them at the end. Raises ConfigError."""
        # Closed first, the clients let those who read their changes end.
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as clients:
            for name, client in self.clients.items():
                await clients.enter_async_context(client)
                tasks.create_task(self._read(name, client))
            yield

    async def _read(self, application: str, client: ConfigClient) -> None:
        async for change in client.changes():
            self._changes.append(Sighting(application=application, arrived=time.monotonic(), change=change))

    def take(self) -> list[Sighting]:
        """Return what has arrived since the last time, in the order of the commits."""
        taken, self._changes = self._changes, []
        return sorted(taken, key=lambda sighting: sighting.change.revision)

    @property
    def revision(self) -> int:
        """The revision up to which everything has arrived."""
        return min(client.status.revision for client in self.clients.values())

    async def reached(self, revision: int) -> None:
        """Wait until everything up to the revision has arrived."""
        while self.revision < revision:  # noqa: ASYNC110  # a client says no more than its status
            await asyncio.sleep(POLL_SECONDS)
        # The views are there before those who wait for changes run.
        for _ in range(3):
            await asyncio.sleep(0)
