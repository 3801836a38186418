"""The network between the service and PostgreSQL stalls, breaks, is slow, or lets one direction through only."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.log.reading import Session, silenced_bells
from tests.proxy import Proxy, Way, far_service
from tests.robustness.form import FORM
from tests.robustness.stage import Stage, playing
from tests.service import Service
from tests.watch.status import until, until_away, until_lag, until_live


@asynccontextmanager
async def away(stage: Stage, service: Service) -> AsyncGenerator[None]:
    """The database is away under this, and the service knows: nobody is told anything until it is back."""
    await until_away(service)
    said = [client.bookmarks for client in stage.clients]
    yield
    await until_lag(service, 0.5)
    assert [client.bookmarks for client in stage.clients] == said


async def test_nothing_is_said_while_the_network_to_the_database_stalls(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            proxy.freeze()
            async with away(stage, service):
                pass
            proxy.restore()
            await until_live(service)
            await stage.burst()


async def test_nothing_is_said_while_the_network_to_the_database_is_cut(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            await proxy.cut()
            async with away(stage, service):
                pass
            proxy.restore()
            await until_live(service)
            await stage.burst()


async def test_connections_that_are_half_open_are_noticed(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            started = time.monotonic()
            proxy.strand()
            await until(lambda answer: not answer.live, service)
            print(f"the feed noticed half-open connections after {time.monotonic() - started:.1f} s")
            await stage.burst()
            print(f"writes went on after {time.monotonic() - started:.1f} s")


async def test_a_slow_network_only_makes_slow(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            for way in (proxy.to_server, proxy.to_client):
                way.delay = (0.0, 0.1)
            await stage.burst()
            proxy.restore()


def to_server(proxy: Proxy) -> Way:
    return proxy.to_server


def to_client(proxy: Proxy) -> Way:
    return proxy.to_client


@pytest.mark.parametrize("blocked", [to_server, to_client])
async def test_a_network_that_lets_one_direction_through_only(
    database_url: str, blocked: Callable[[Proxy], Way]
) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            blocked(proxy).flowing.clear()
            async with away(stage, service):
                pass
            proxy.restore()
            await until_live(service)
            await stage.burst()


async def test_lost_notifications_are_made_up_for(service: Service, psql: Session, database_url: str) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with silenced_bells(psql):
                await stage.burst()
                started = time.monotonic()
                await stage.until_delivered()
            print(f"found by the feed itself after {time.monotonic() - started:.1f} s")
