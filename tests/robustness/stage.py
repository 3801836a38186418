"""Traffic and clients around a fault, and the judgement at the end."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.log.reading import application, head
from tests.postgres import plain_connection
from tests.robustness import validators
from tests.robustness.clients import Client, clients_of_every_kind
from tests.robustness.form import FORM, SEED
from tests.robustness.traffic import APPLICATIONS, Traffic, read_marks
from tests.service import Service, connected
from tests.watch.history import read_history


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a fault strikes. The URL leads to the database past every proxy."""

    database_url: str
    traffic: Traffic
    clients: Sequence[Client]

    async def burst(self) -> None:
        """Returns when enough was written that something is under way at every moment."""
        await self.traffic.more(FORM.writes)

    async def until_delivered(self) -> None:
        """Returns when every client has what is committed by now."""
        async with plain_connection(self.database_url) as session:
            revision = await head(session)
        for client in self.clients:
            await client.until_revision(revision)

    async def judge(self) -> None:
        """Holds all that was recorded and answered against the log."""
        history = await read_history(self.database_url)
        for client in self.clients:
            for life in client.lives:
                validators.judge(life, history)
        await self.judge_writes()

    async def judge_writes(self) -> None:
        """Holds what was answered against the log."""
        async with plain_connection(self.database_url) as session:
            validators.answered(self.traffic.writes, await read_marks(session))


@asynccontextmanager
async def playing(database_url: str, *services: Service) -> AsyncGenerator[Stage]:
    """Traffic and clients of every kind. In the end all clients get everything, and all promises were kept."""
    addresses = [service.address for service in services]
    async with running(database_url, addresses, clients_of_every_kind(addresses)) as stage:
        yield stage
        await quiet(stage)
    await stage.judge()


async def quiet(stage: Stage) -> None:
    """Ends the traffic and lets the clients catch up."""
    await stage.burst()
    await stage.traffic.end()
    await stage.until_delivered()


@asynccontextmanager
async def running(database_url: str, addresses: Sequence[str], clients: Sequence[Client]) -> AsyncGenerator[Stage]:
    """Traffic and clients, without a judgement."""
    print(f"CONFIGSVC_ROBUSTNESS_SEED={SEED}")
    async with plain_connection(database_url) as session:
        for name in APPLICATIONS[:2]:
            await application(session, name)
    async with AsyncExitStack() as channels, asyncio.TaskGroup() as tasks:
        services = [await channels.enter_async_context(connected(address, asyncio.Event())) for address in addresses]
        traffic = Traffic(services, database_url, SEED)
        writing = tasks.create_task(traffic.run())
        watching = [tasks.create_task(client.run()) for client in clients]
        stage = Stage(database_url=database_url, traffic=traffic, clients=clients)
        await stage.burst()
        yield stage
        for task in (writing, *watching):
            task.cancel()
