"""A network between the service and PostgreSQL that stalls, breaks, is slow, or passes one direction only."""

import time

from tests.feed.status import until_away, until_lag, until_live
from tests.proxy import far_service
from tests.robustness.faults import cut, half_open, one_way, slow, stalled
from tests.robustness.form import FORM
from tests.robustness.stage import Stage, playing, until_delivered
from tests.service import Service
from tests.storage.reading import Session, silenced_notifications


async def silence(stage: Stage, service: Service) -> None:
    """Check that clients get nothing for a while once the service knows that the database is away."""
    await until_away(service)
    said = [client.bookmarks for client in stage.clients]
    await until_lag(service, 0.5)
    assert [client.bookmarks for client in stage.clients] == said


async def test_nothing_is_said_while_the_network_to_the_database_stalls(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with stalled(proxy):
                await silence(stage, service)
            await until_live(service)
            await stage.burst()


async def test_nothing_is_said_while_the_network_to_the_database_is_cut(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with cut(proxy):
                await silence(stage, service)
            await until_live(service)
            await stage.burst()


async def test_nothing_is_said_while_nothing_reaches_the_database(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with one_way(proxy, proxy.to_server):
                await silence(stage, service)
            await until_live(service)
            await stage.burst()


async def test_nothing_is_said_while_nothing_comes_from_the_database(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with one_way(proxy, proxy.to_client):
                await silence(stage, service)
            await until_live(service)
            await stage.burst()


async def test_connections_that_are_half_open_are_noticed(database_url: str, psql: Session) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            started = time.monotonic()
            async with half_open(psql, proxy):
                pass
            print(f"measured: the feed noticed half-open connections after {time.monotonic() - started:.1f} s")
            await until_live(service)
            await stage.burst()


async def test_a_slow_network_loses_nothing(database_url: str) -> None:
    async with far_service(database_url) as (service, proxy), playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with slow(proxy):
                await stage.burst()


async def test_lost_notifications_are_made_up_for(service: Service, psql: Session, database_url: str) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with silenced_notifications(psql):
                await stage.burst()
                started = time.monotonic()
                await until_delivered(database_url, stage.clients)
                print(f"measured: changes without a notification came after {time.monotonic() - started:.1f} s")
