"""Faults in a random order. The seed is printed; CONFIGSVC_ROBUSTNESS_SEED=… repeats the order."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from random import Random

import pytest

from tests.feed.status import until
from tests.postgres import plain_connection
from tests.proxy import Proxy, proxied
from tests.robustness.faults import crashed, cut, half_open, kill_connections, locked, one_way, slow, stalled, stopped
from tests.robustness.form import FORM, PATIENCE_SECONDS, SEED
from tests.robustness.server import OwnServer
from tests.robustness.stage import Stage, playing
from tests.service import Service, running_service
from tests.storage.reading import silenced_notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """The targets of the faults: a server, the network before it, a service that must notice, and the traffic."""

    server: OwnServer
    proxy: Proxy
    service: Service
    stage: Stage

    async def passing(self) -> None:
        """End the fault as soon as it began."""

    async def writing(self) -> None:
        """Keep up the fault while others write."""
        await self.stage.traffic.more(5)

    async def noticed(self) -> None:
        """Keep up the fault until the service knows of it."""
        await until(lambda answer: not answer.live, self.service)


Fault = Callable[[Arena], AbstractAsyncContextManager[None]]
Duration = Callable[[Arena], Awaitable[None]]


def killed(application_name: str) -> Fault:
    """Kill the connections whose name has this prefix."""

    @asynccontextmanager
    async def fault(arena: Arena) -> AsyncGenerator[None]:
        async with plain_connection(arena.server.url) as session:
            await kill_connections(session, application_name)
        yield

    return fault


@asynccontextmanager
async def stranded(arena: Arena) -> AsyncGenerator[None]:
    """Make all present connections half-open."""
    arena.proxy.strand()
    yield


@asynccontextmanager
async def stranded_until_noticed(arena: Arena) -> AsyncGenerator[None]:
    """Make all present connections half-open, until a service knows of it."""
    async with plain_connection(arena.server.url) as session, half_open(session, arena.proxy):
        yield


@asynccontextmanager
async def silenced(arena: Arena) -> AsyncGenerator[None]:
    """Suppress every notification."""
    async with plain_connection(arena.server.url) as session, silenced_notifications(session):
        yield


@asynccontextmanager
async def all_locked(arena: Arena) -> AsyncGenerator[None]:
    """Lock every table."""
    async with plain_connection(arena.server.url) as session, locked(session):
        yield


FAULTS: dict[str, tuple[Fault, tuple[Duration, ...]]] = {
    "the listening connections are killed": (killed("configsvc feed"), (Arena.passing,)),
    "all connections are killed": (killed(""), (Arena.passing,)),
    "the database restarts": (lambda arena: stopped(arena.server), (Arena.passing, Arena.noticed)),
    "the database crashes": (lambda arena: crashed(arena.server), (Arena.passing, Arena.noticed)),
    "the network stalls": (lambda arena: stalled(arena.proxy), (Arena.passing, Arena.noticed)),
    "the network is cut": (lambda arena: cut(arena.proxy), (Arena.passing, Arena.noticed)),
    "nothing reaches the database": (lambda arena: one_way(arena.proxy, arena.proxy.to_server), (Arena.noticed,)),
    "nothing comes from the database": (lambda arena: one_way(arena.proxy, arena.proxy.to_client), (Arena.noticed,)),
    "the network is slow": (lambda arena: slow(arena.proxy), (Arena.writing,)),
    "connections are half-open": (stranded, (Arena.passing,)),
    "half-open connections are noticed": (stranded_until_noticed, (Arena.passing,)),
    "notifications are lost": (silenced, (Arena.writing,)),
    "the tables are locked": (all_locked, (Arena.passing, Arena.noticed)),
}


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_faults_in_random_order_break_no_promise(server: OwnServer) -> None:
    chance = Random(SEED)
    async with (
        proxied(server.url) as (proxy, url),
        running_service(url) as near,
        running_service(url) as far,
        playing(server.url, near, far) as stage,
    ):
        arena = Arena(server=server, proxy=proxy, service=near, stage=stage)
        for name in chance.choices(list(FAULTS), k=FORM.nemesis_faults):
            fault, durations = FAULTS[name]
            duration = chance.choice(durations)
            print(f"{name}, {duration.__name__}")
            async with fault(arena):
                await duration(arena)
            await stage.traffic.more(chance.randint(1, FORM.writes))
