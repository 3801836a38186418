"""A PostgreSQL that goes away, refuses work or delays it, in the midst of traffic."""

from pathlib import Path

from tests.feed.status import until_away
from tests.postgres import plain_connection, server_folder
from tests.robustness.faults import (
    EVERYTHING,
    crashed,
    crowded,
    kill_connections,
    locked,
    read_only,
    stopped,
)
from tests.robustness.form import FORM
from tests.robustness.server import OwnServer, own_server
from tests.robustness.stage import playing
from tests.service import Service, running_service
from tests.storage.reading import Session


async def test_the_listening_connection_is_killed_in_mid_burst(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(3 * FORM.rounds):
            await kill_connections(psql, "configsvc feed")
            await stage.burst()


async def test_all_connections_are_killed_in_mid_burst(service: Service, psql: Session, database_url: str) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(3 * FORM.rounds):
            await kill_connections(psql, "")
            await stage.burst()


async def test_the_database_restarts(server: OwnServer) -> None:
    async with running_service(server.url) as service, playing(server.url, service) as stage:
        for _ in range(FORM.rounds):
            async with stopped(server):
                pass
            await stage.burst()


async def test_the_database_crashes_and_recovers(server: OwnServer) -> None:
    async with running_service(server.url) as service, playing(server.url, service) as stage:
        for _ in range(FORM.rounds):
            async with crashed(server):
                pass
            await stage.burst()


async def test_all_tables_are_locked_for_longer_than_the_feed_waits(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            async with locked(psql):
                await until_away(service)
            await stage.burst()


async def test_tables_are_rewritten_and_changed_under_traffic(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for number in range(FORM.rounds):
            for table in EVERYTHING.split(", "):
                await psql.execute(f"VACUUM FULL {table}")
                await psql.execute(f"ALTER TABLE {table} ADD COLUMN added_{number} text")
                await stage.traffic.more(2)
                await psql.execute(f"ALTER TABLE {table} DROP COLUMN added_{number}")
                await stage.traffic.more(2)


async def test_others_take_every_connection_of_the_database(prepared_server: Path) -> None:
    with server_folder() as folder:
        async with (
            own_server(prepared_server, folder, {"max_connections": "30"}) as server,
            plain_connection(server.url) as session,
            running_service(server.url) as service,
            playing(server.url, service) as stage,
        ):
            for _ in range(FORM.rounds):
                async with crowded(server.url, session):
                    await until_away(service)
                await stage.burst()


async def test_a_database_that_takes_no_writes_is_watched_on(server: OwnServer) -> None:
    async with (
        plain_connection(server.url) as session,
        running_service(server.url) as service,
        playing(server.url, service) as stage,
    ):
        for _ in range(FORM.rounds):
            async with read_only(session):
                await stage.until_bookmarks()
            await stage.burst()
