"""Traffic and clients around a fault, and the judgement at the end."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.postgres import plain_connection
from tests.robustness import validators
from tests.robustness.clients import Client, clients_of_every_kind, event_clients
from tests.robustness.followers import Follower, event_followers_of, followers_of
from tests.robustness.form import FORM, SEED
from tests.robustness.traffic import APPLICATIONS, Traffic, read_marks
from tests.service import Service, connected
from tests.storage.reading import application, head
from tests.watch.history import History, read_history


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The target of a fault. The URL leads to the database past every proxy."""

    database_url: str
    traffic: Traffic
    clients: Sequence[Client]

    async def burst(self) -> None:
        """Wait for as many writes as a fault shall have around it."""
        await self.traffic.more(FORM.writes)

    async def until_bookmarks(self) -> None:
        """Wait until every client got a bookmark, so that streams that began before are live."""
        for client in self.clients:
            said = client.bookmarks
            await client.until(lambda client, said=said: client.bookmarks > said)


@asynccontextmanager
async def playing(database_url: str, *services: Service) -> AsyncGenerator[Stage]:
    """Run traffic and clients of every kind; at the end, check that all clients got everything and all promises were
    kept.
    """
    print(f"CONFIGSVC_ROBUSTNESS_SEED={SEED}")
    addresses = [service.address for service in services]
    http_addresses = [service.http_address for service in services]
    clients = [*clients_of_every_kind(addresses), *event_clients(http_addresses)]
    followers = [*followers_of(addresses), *event_followers_of(http_addresses)]
    await create_applications(database_url)
    async with watching(clients), following(followers), writing(database_url, *services) as traffic:
        yield Stage(database_url=database_url, traffic=traffic, clients=clients)
        await traffic.more(FORM.writes)
        await traffic.end()
        await until_delivered(database_url, [*clients, *followers])
    history = await read_history(database_url)
    judge(clients, history)
    judge_followers(followers, history)
    await judge_writes(database_url, traffic)


async def create_applications(database_url: str) -> None:
    """Create the applications that the traffic changes."""
    async with plain_connection(database_url) as session:
        for name in APPLICATIONS[:2]:
            await application(session, name)


@asynccontextmanager
async def watching(clients: Sequence[Client]) -> AsyncGenerator[None]:
    """Run the clients."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(client.run()) for client in clients]
        for client in clients:
            await client.until(lambda client: client.synced)
        yield
        for task in running:
            task.cancel()


@asynccontextmanager
async def following(followers: Sequence[Follower]) -> AsyncGenerator[None]:
    """Run the program of the guide."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(follower.run()) for follower in followers]
        for follower in followers:
            await follower.until_revision(0)
        yield
        for task in running:
            task.cancel()


@asynccontextmanager
async def writing(database_url: str, *services: Service, name: str = "") -> AsyncGenerator[Traffic]:
    """Run traffic under a name, already under way."""
    async with AsyncExitStack() as channels, asyncio.TaskGroup() as tasks:
        callees = [await channels.enter_async_context(connected(each.address, asyncio.Event())) for each in services]
        traffic = Traffic(callees, database_url, seed=SEED, name=name)
        running = tasks.create_task(traffic.run())
        await traffic.more(FORM.writes)
        yield traffic
        running.cancel()


async def until_delivered(database_url: str, clients: Sequence[Client | Follower]) -> None:
    """Wait until the clients have everything committed by now."""
    async with plain_connection(database_url) as session:
        revision = await head(session)
    for client in clients:
        await client.until_revision(revision)


def judge(clients: Sequence[Client], history: History) -> None:
    """Check all recordings against the log."""
    for client in clients:
        for life in client.lives:
            validators.judge(life, history)


def judge_followers(followers: Sequence[Follower], history: History) -> None:
    """Check every view that the program of the guide had against the log."""
    for follower in followers:
        validators.right(follower.sights, follower.selectors, history)


async def judge_writes(database_url: str, traffic: Traffic) -> None:
    """Check all answers against the log."""
    async with plain_connection(database_url) as session:
        validators.answered(traffic.writes, await read_marks(session))
