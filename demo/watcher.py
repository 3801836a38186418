"""A watch that records its events and replays them into a view."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from configapi.v1.change_pb2 import CHANGE_TYPE_UNSPECIFIED
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    ConfigurationEvent,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)

if TYPE_CHECKING:
    from configapi.v1.configuration_pb2 import Configuration
    from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceAsyncStub

# Bookmarks report commits that changed no configuration.
PROGRESS_INTERVAL = Duration(nanos=200_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An event, its commit, and the time of its arrival by the monotonic clock."""

    revision: int
    arrived: float
    event: ConfigurationEvent


class Watcher:
    """A watch of all configurations."""

    def __init__(self, configurations: "ConfigurationServiceAsyncStub") -> None:
        self._configurations = configurations
        self._progress = asyncio.Condition()
        self._incomplete: list[Sighting] = []
        self._synced = False
        self.revision = 0
        self.view: dict[str, Configuration] = {}
        self.changes: list[Sighting] = []

    async def run(self) -> None:
        """Watch until cancelled. Raises AioRpcError."""
        async for message in self._configurations.WatchConfigurations(
            WatchConfigurationsRequest(progress_interval=PROGRESS_INTERVAL)
        ):
            self._receive(message, time.monotonic())
            async with self._progress:
                self._progress.notify_all()

    async def synced(self) -> None:
        """Wait until the snapshot is complete."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._synced)

    async def reached(self, revision: int) -> None:
        """Wait until everything up to the revision has arrived."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.revision >= revision)

    def _receive(self, message: WatchConfigurationsResponse, arrived: float) -> None:
        self._incomplete += (
            Sighting(revision=message.revision, arrived=arrived, event=event) for event in message.events
        )
        # Everything up to a token is applied together: a commit, or the snapshot.
        if message.resume_token:
            for sighting in self._incomplete:
                self._apply(sighting)
            self._incomplete.clear()
            self.revision = message.revision
            self._synced = self._synced or message.synced

    def _apply(self, sighting: Sighting) -> None:
        event = sighting.event
        if event.effect == EFFECT_REMOVE:
            self.view.pop(event.configuration.id, None)
        elif event.effect == EFFECT_SET:
            self.view[event.configuration.id] = event.configuration
        if event.change != CHANGE_TYPE_UNSPECIFIED:
            self.changes.append(sighting)
