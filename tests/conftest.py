import multiprocessing
import re
import signal
from collections.abc import AsyncGenerator, Generator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from configsvc.offload import processes
from tests.api.calls import create_application
from tests.postgres import (
    cloned_database,
    execute,
    plain_connection,
    run,
    running_server,
    server_folder,
    with_database,
)
from tests.service import Service, running_service

if TYPE_CHECKING:
    import asyncpg

TEMPLATE = "template_migrated"

# Tests that run in the background of a shell, or under nohup, must not hand ignored signals to the programs they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The pools of services within this process fork from one that has all modules already, and no gRPC, which spares each
# of them half a second. The pools of programs, and those of tests/offload, are spawned.
processes.START_METHOD = "forkserver"
multiprocessing.set_forkserver_preload(["tests.offload.preloaded"])

# No test fails for the time that it takes: others use the machine too.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_server() -> Generator[str]:
    """Yield the URL of this worker's PostgreSQL server, on a database that no test uses."""
    with server_folder() as folder, running_server(folder) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Generator[str]:
    """Yield the address of this worker's Chromium. Skip where there is none."""
    # Imported here: few tests need it.
    from tests.chromium import CHROMIUM, running_chromium  # noqa: PLC0415

    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    with running_chromium() as address:
        yield address


@pytest.fixture
def data_dir() -> Generator[Path]:
    """Yield an empty folder for one test's own server, in memory if there is room."""
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> str:
    """Return the name of a database that holds the migrated schema and no rows."""
    # Imported here: the tests that need no database run while the schema is being worked on.
    from configsvc.storage.migrations import migrate  # noqa: PLC0415

    run(execute(postgres_server, f"CREATE DATABASE {TEMPLATE}"))
    run(migrate(with_database(postgres_server, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
async def database_url(postgres_server: str, template_database: str) -> AsyncGenerator[str]:
    """Yield the URL of a migrated, empty database of this test alone."""
    async with cloned_database(postgres_server, template_database) as url:
        yield url


@pytest.fixture
async def psql(database_url: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a session like one of psql, on this test's database."""
    async with plain_connection(database_url) as connection:
        yield connection


@pytest.fixture
async def service(database_url: str) -> AsyncGenerator[Service]:
    """Yield the service, running on this test's database."""
    async with running_service(database_url) as running:
        yield running


@pytest.fixture
async def shop(service: Service) -> Service:
    """Return the service with an application named shop."""
    await create_application(service, "shop")
    return service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_service(postgres_server: str, template_database: str) -> AsyncGenerator[Service]:
    """Yield a service for the tests of one module, each with pytest.mark.asyncio(loop_scope="module"), that change
    nothing another test looks at.
    """
    async with cloned_database(postgres_server, template_database) as url, running_service(url) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest, so that no process works on one alone at the end."""
    items.sort(key=_time_limit, reverse=True)


def _time_limit(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else 0.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how long the tests of the API take over each door."""
    seconds: dict[str, float] = {}
    for report in chain.from_iterable(terminalreporter.stats.values()):
        door = re.match(r"tests/api/.*\[(grpc|http)", getattr(report, "nodeid", ""))
        if door:
            seconds[door[1]] = seconds.get(door[1], 0.0) + getattr(report, "duration", 0.0)
    for name, taken in sorted(seconds.items()):
        terminalreporter.write_line(f"tests/api over {name}: {taken:.0f} s")
