"""A PostgreSQL for the tests: a server for each worker, a migrated template, a clone of it for each test."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from configsvc.embedded import embedded_postgres

Result = TypeVar("Result")

# Nothing here outlives the test run, so nothing has to reach the disk.
PARAMETERS = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}

# A clone is four hundred files, which take several times as long on a disk. A container has only 64 MB there.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 * 1024**3


def chosen_binaries() -> Path | None:
    """Return the PostgreSQL to test against: None for the embedded one."""
    folder = os.environ.get("CONFIGSVC_TEST_POSTGRES_BIN")
    return Path(folder) if folder else None


@contextmanager
def server_folder() -> Generator[Path]:
    """Yield an empty folder for a server's data.

    pytest's tmp_path does not do: every start of pytest closes that folder's root to other users, also during another
    run's initdb, which runs as another user when root tests.
    """
    parent = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES else None
    with tempfile.TemporaryDirectory(prefix="configsvc-test-", dir=parent) as folder:
        yield Path(folder).resolve()


@contextmanager
def running_server(folder: Path) -> Generator[str]:
    """Yield the URL of a server in a folder. It has a loop of its own, so that any test's loop may use it."""
    started, stop = Event(), Event()
    url = ""

    async def keep() -> None:
        nonlocal url
        async with embedded_postgres(folder, binaries=chosen_binaries(), parameters=PARAMETERS) as url:
            started.set()
            await asyncio.to_thread(stop.wait)

    with ThreadPoolExecutor(max_workers=1) as threads:
        keeper = threads.submit(asyncio.run, keep())
        keeper.add_done_callback(lambda _: started.set())
        started.wait()
        try:
            if keeper.done():
                keeper.result()
            yield url
        finally:
            stop.set()
            keeper.result()


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=10)


@asynccontextmanager
async def cloned_database(server: str, template: str) -> AsyncGenerator[str]:
    """Yield the URL of a copy of a database; at the end, drop the copy with whatever is still connected to it."""
    name = f"test_{uuid.uuid4().hex}"
    await execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield with_database(server, name)
    finally:
        await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def run(work: Coroutine[None, None, Result]) -> Result:
    """Run async work for a session fixture, which has no loop."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(asyncio.run, work).result()


@asynccontextmanager
async def plain_connection(url: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a connection like psql's, without the settings of the service."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        yield connection
    finally:
        # The test may have cut it off.
        connection.terminate()


async def terminate(connection: "asyncpg.Connection[asyncpg.Record]", application_name: str) -> int:
    """End the other sessions of the database whose name has this prefix; return their number."""
    return await connection.fetchval(
        """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE starts_with(application_name, $1) AND datname = current_database() AND pid <> pg_backend_pid()""",
        application_name,
    )
