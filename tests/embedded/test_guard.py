"""A server that ends by itself: started again, or else the program ends and says where the log is."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from configsvc.embedded import embedded_postgres
from configsvc.embedded.process import running_postmaster
from tests.api.calls import create, create_application, get
from tests.embedded.test_embedded import processes, query, server_pid, until
from tests.postgres import PARAMETERS, chosen_binaries
from tests.process.running import CONFIGSVC, Program, program
from tests.service import connected, wait_for_health

# Soon gives up a server that ended.
SHORTENED = (
    "from configsvc.cli.main import main; from configsvc.embedded import guard; guard.PAUSES = (0.0, 0.1); main()"
)
IMPATIENT = (sys.executable, "-c", SHORTENED)


@asynccontextmanager
async def embedded_service(
    folder: Path, workers: str = "1", *, command: tuple[str, ...] = CONFIGSVC
) -> AsyncGenerator[tuple[Program, str]]:
    settings = {"listen": "127.0.0.1:0", "data_dir": str(folder), "workers": workers}
    async with program(folder, "serve", command=command, **settings) as running:
        yield running, (await running.wait_for("ready"))["listen"]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_is_killed_is_started_again_and_the_service_goes_on(data_dir: Path, workers: str) -> None:
    async with embedded_service(data_dir, workers) as (running, address):
        async with connected(address, asyncio.Event()) as service:
            await create_application(service)
            created = await create(service, "web", {"a": 1})
            killed = server_pid(data_dir)
            os.kill(killed, signal.SIGKILL)
            await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
            await wait_for_health(service, HealthCheckResponse.SERVING)
            assert server_pid(data_dir) != killed
            assert await get(service, "web", min_revision=created.revision) == created
            await create(service, "again")
        (ended,) = running.events("embedded PostgreSQL ended")
        assert ended["log"] == str(data_dir / "postgres.log")
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert processes(data_dir) == []


async def test_a_server_that_does_not_start_again_ends_the_service_with_an_error_that_names_its_log(
    data_dir: Path,
) -> None:
    # Side by side, as both wait for all attempts.
    async with asyncio.TaskGroup() as tasks:
        for workers in ("1", "2"):
            folder = data_dir / workers
            folder.mkdir()
            tasks.create_task(end_with_nonsense(folder, workers))


async def end_with_nonsense(folder: Path, workers: str) -> None:
    async with embedded_service(folder, workers) as (running, _):
        with (folder / "postgres" / "postgresql.auto.conf").open("a") as settings:
            settings.write("nonsense\n")
        os.kill(server_pid(folder), signal.SIGKILL)
        assert await running.exit_code() == 1
    check_the_error(running, folder, "contains errors")


def check_the_error(running: Program, folder: Path, cause: str) -> None:
    """Check that the last line names the log, which has the cause, and that nothing is left."""
    assert running.lines[-1].startswith("configsvc: the embedded PostgreSQL ended, and again after")
    assert running.lines[-1].endswith(f"see its log {folder}/postgres.log")
    assert cause in (folder / "postgres.log").read_text()
    assert "Traceback" not in running.text
    assert processes(folder) == []


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """Mount a disk with little more room than an empty server takes."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_server_that_ends_on_a_full_disk_ends_the_service_with_an_error_that_names_its_log(
    data_dir: Path,
) -> None:
    with small_disk(data_dir) as disk:
        async with embedded_service(disk, command=IMPATIENT) as (running, _):
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(4096)):
                    pass
            os.kill(server_pid(disk), signal.SIGKILL)
            assert await running.exit_code() == 1
        check_the_error(running, disk, "No space left on device")


def is_another_and_ready(folder: Path, killed: int) -> bool:
    found = running_postmaster(folder / "postgres")
    return found is not None and found.process.pid != killed and found.state == "ready"


async def test_users_that_share_a_server_start_it_again_once(data_dir: Path) -> None:
    def user():
        return embedded_postgres(data_dir, binaries=chosen_binaries(), parameters=PARAMETERS)

    async with user() as one, user() as two:
        killed = server_pid(data_dir)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: is_another_and_ready(data_dir, killed))
        assert await query(one, "SELECT 1") == 1
        assert await query(two, "SELECT 1") == 1
    assert processes(data_dir) == []
