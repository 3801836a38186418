"""Restores into the same cluster: whoever resumes from what was lost is told so."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.embedded import packaged_binaries
from tests.api.calls import create_application, failing
from tests.postgres import chosen_binaries, cloned_database, execute, plain_connection
from tests.service import reason_of, running_service
from tests.storage.reading import application, configuration, head
from tests.watch.recording import recorded

TABLES = (
    "SELECT array_agg(oid::regclass::text) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


def name_of(url: str) -> str:
    """Return the name of the database of a URL."""
    return urlsplit(url).path.removeprefix("/")


async def run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL."""
    binaries = chosen_binaries() or packaged_binaries()
    await asyncio.to_thread(subprocess.run, [binaries / program, *arguments], check=True, capture_output=True)


async def dropped_and_created(url: str, dump: Path, server: str) -> None:
    name = name_of(url)
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    await execute(server, f"CREATE DATABASE {name}")
    await run("pg_restore", "--dbname", url, str(dump))


async def cleaned(url: str, dump: Path, _: str) -> None:
    await run("pg_restore", "--clean", "--dbname", url, str(dump))


async def emptied(url: str, dump: Path, _: str) -> None:
    async with plain_connection(url) as session, session.transaction():
        await session.execute("SET LOCAL session_replication_role = replica")
        for name in await session.fetchval(TABLES):
            await session.execute(f"DELETE FROM {name}")
    await run("pg_restore", "--data-only", "--disable-triggers", "--dbname", url, str(dump))


@pytest.mark.parametrize("restore", [dropped_and_created, cleaned, emptied])
async def test_who_resumes_after_a_restore_into_the_same_cluster_gets_epoch_changed(
    database_url: str, postgres_server: str, tmp_path: Path, restore: Callable[[str, Path, str], Awaitable[None]]
) -> None:
    dump = tmp_path / "dump"
    async with plain_connection(database_url) as session:
        await application(session)
        await run("pg_dump", "--format=custom", f"--file={dump}", "--dbname", database_url)
        await configuration(session, "lost")
        last = await head(session)
    epoch = await epoch_of(database_url)
    await restore(database_url, dump, postgres_server)
    async with plain_connection(database_url) as session:
        await configuration(session, "other")
        assert await head(session) == last
    async with running_service(database_url) as service:
        request = WatchConfigurationsRequest(resume_token=f"{epoch}:{last}")
        async with recorded(service, request) as watch:
            assert reason_of(await watch.until_error()) == "EPOCH_CHANGED"


async def epoch_of(url: str) -> str:
    async with running_service(url) as service, recorded(service) as watch:
        return (await watch.until_synced()).epoch


async def test_an_epoch_stays_as_long_as_the_history_does(database_url: str) -> None:
    epoch = await epoch_of(database_url)
    async with plain_connection(database_url) as session:
        await application(session)
        await session.execute("VACUUM FULL")
        await session.execute("REINDEX SCHEMA public")
    assert await epoch_of(database_url) == epoch


async def test_a_copy_of_a_database_has_a_history_of_its_own(database_url: str, postgres_server: str) -> None:
    epoch = await epoch_of(database_url)
    async with cloned_database(postgres_server, name_of(database_url)) as copy:
        assert await epoch_of(copy) != epoch


async def test_an_operator_can_begin_a_new_epoch(database_url: str) -> None:
    epoch = await epoch_of(database_url)
    await execute(database_url, "UPDATE log_identity SET only_row = true")
    assert await epoch_of(database_url) != epoch


async def test_a_page_token_of_before_a_new_epoch_is_refused(database_url: str) -> None:
    async with running_service(database_url) as service:
        for name in ("bank", "shop"):
            await create_application(service, name)
        token = (await service.applications.ListApplications(ListApplicationsRequest(page_size=1))).next_page_token
        assert token
    await execute(database_url, "UPDATE log_identity SET only_row = true")
    async with running_service(database_url) as service:
        with failing(grpc.StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED"):
            await service.applications.ListApplications(ListApplicationsRequest(page_token=token))


async def test_a_restore_that_a_connected_feed_meets_changes_the_epoch(database_url: str, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    async with running_service(database_url) as service, plain_connection(database_url) as session:
        await application(session)
        await run("pg_dump", "--format=custom", f"--file={dump}", "--dbname", database_url)
        await configuration(session, "lost")
        async with recorded(service) as watch:
            epoch = (await watch.until_revision(2)).epoch
            await emptied(database_url, dump, "")
            await configuration(session, "other")
            assert reason_of(await watch.until_error()) == "EPOCH_CHANGED"
        async with recorded(service) as watch:
            assert (await watch.until_synced()).epoch != epoch
