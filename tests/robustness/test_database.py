"""PostgreSQL goes away, refuses or holds up work, in the midst of traffic."""

import asyncio

from tests.log.reading import Session
from tests.postgres import terminate
from tests.robustness.form import FORM
from tests.robustness.server import OwnServer
from tests.robustness.stage import playing
from tests.service import Service, running_service

LIMIT_SECONDS = 30.0


async def kill(session: Session, application_name: str) -> None:
    """Ends sessions whose name begins so, as soon as there are any."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await terminate(session, application_name):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


async def test_the_listening_connection_is_killed_in_mid_burst(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(3 * FORM.rounds):
            await kill(psql, "configsvc feed")
            await stage.burst()


async def test_all_connections_are_killed_in_mid_burst(service: Service, psql: Session, database_url: str) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(3 * FORM.rounds):
            await kill(psql, "")
            await stage.burst()


async def test_the_database_restarts(server: OwnServer) -> None:
    async with running_service(server.url) as service, playing(server.url, service) as stage:
        for _ in range(FORM.rounds):
            await server.stop()
            await server.start()
            await stage.burst()


async def test_the_database_crashes_and_recovers(server: OwnServer) -> None:
    async with running_service(server.url) as service, playing(server.url, service) as stage:
        for _ in range(FORM.rounds):
            await server.crash()
            await server.start()
            await stage.burst()
