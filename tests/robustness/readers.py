"""Readers that ask for the latest, and remember what they were shown and between which heads."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import grpc

from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from tests.postgres import plain_connection
from tests.robustness.form import SEED
from tests.robustness.traffic import APPLICATIONS, NAMES
from tests.service import Service, connected, reason_if_any
from tests.storage.reading import Session, head

READERS = 4
PAUSE_SECONDS = 0.01
LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestRead:
    """One read. `shown` is the id and version, None if nothing had the key; it has a revision only if it was found.

    `floor` and `ceiling` are the heads of the database just before the call and just after its answer.
    """

    application: str
    name: str
    floor: int
    ceiling: int
    revision: int | None
    shown: tuple[str, int] | None


class Readers:
    """Readers of several services, with all that they were shown."""

    def __init__(self, services: Sequence[Service], database_url: str) -> None:
        self.reads: list[LatestRead] = []
        self._services = services
        self._database_url = database_url

    async def more(self, number: int) -> None:
        """Wait for that many more answers."""
        wanted = len(self.reads) + number
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.reads) < wanted:  # noqa: ASYNC110  # simpler than a condition in every reader
                await asyncio.sleep(0.01)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(READERS):
                tasks.create_task(self._read_on(Random(f"{SEED} reader{number}")))

    async def _read_on(self, chance: Random) -> None:
        async with plain_connection(self._database_url) as session:
            while True:
                key = ConfigurationKey(application=chance.choice(APPLICATIONS), name=chance.choice(NAMES))
                await self._read(session, chance.choice(self._services), key)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, session: Session, service: Service, key: ConfigurationKey) -> None:
        floor = await head(session)
        revision, shown = None, None
        try:
            response = await service.configurations.GetConfiguration(GetConfigurationRequest(key=key, latest=True))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return
            if reason_if_any(error) != "RESOURCE_NOT_FOUND":
                raise
        else:
            revision, shown = response.revision, (response.configuration.id, response.configuration.version)
        ceiling = await head(session)
        self.reads.append(
            LatestRead(
                application=key.application,
                name=key.name,
                floor=floor,
                ceiling=ceiling,
                revision=revision,
                shown=shown,
            )
        )


@asynccontextmanager
async def reading_latest(database_url: str, *services: Service) -> AsyncGenerator[Readers]:
    """Run readers of the services, whose database is asked past every proxy."""
    async with AsyncExitStack() as channels, asyncio.TaskGroup() as tasks:
        callees = [await channels.enter_async_context(connected(each.address, asyncio.Event())) for each in services]
        readers = Readers(callees, database_url)
        running = tasks.create_task(readers.run())
        yield readers
        running.cancel()
