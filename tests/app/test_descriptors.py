"""File descriptors: the standard ones are open, the limit is the highest, and the log says when none is left."""

import asyncio
import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api.calls import create_application
from tests.process.running import CONFIGSVC, Program, program
from tests.service import connected


def in_shell(commands: str) -> tuple[str, ...]:
    """Run the program in a process that was prepared by a shell."""
    return ("sh", "-c", f'{commands}; exec "$0" "$@"', *CONFIGSVC)


def processes(running: Program) -> list[psutil.Process]:
    """Return the program and its workers."""
    workers = [event["pid"] for event in running.events("worker ready")]
    return [psutil.Process(pid) for pid in (running.process.pid, *workers)]


@pytest.mark.parametrize("workers", [1, 2])
async def test_each_process_may_open_as_many_files_as_the_hard_limit_says(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    settings = {"listen": "127.0.0.1:0", "database_url": database_url, "workers": str(workers)}
    async with program(tmp_path, "serve", command=in_shell("ulimit -S -n 300"), **settings) as running:
        await running.wait_for("ready")
        limits = [process.rlimit(resource.RLIMIT_NOFILE) for process in processes(running)]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits == [(hard, hard)] * (1 if workers == 1 else 3)


async def test_closed_standard_descriptors_are_opened_on_nothing(tmp_path: Path, database_url: str) -> None:
    settings: dict[str, Any] = {"listen": "127.0.0.1:0", "database_url": database_url}
    # Only the log can be seen.
    async with program(tmp_path, "serve", command=in_shell("exec 2>&1 <&- >&-"), **settings) as running:
        await running.wait_for("ready")
        opened = Path(f"/proc/{running.process.pid}/fd")
        assert [str((opened / str(number)).readlink()) for number in (0, 1)] == ["/dev/null"] * 2


async def test_the_log_says_when_no_file_descriptor_is_left_and_when_there_are_some_again(
    tmp_path: Path, database_url: str
) -> None:
    settings: dict[str, Any] = {"listen": "127.0.0.1:0", "database_url": database_url}
    async with program(tmp_path, "serve", **settings) as running:
        host, _, port = (await running.wait_for("ready"))["listen"].partition(":")
        pid = running.process.pid
        with ExitStack() as connections:
            # So few that the server's own limit of connections does not come first.
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            limit = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 2
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
            for _ in range(20):
                connections.enter_context(socket.create_connection((host, int(port))))
            shortage = await running.wait_for(
                "out of file descriptors: new connections of clients and to the database fail or wait"
            )
        await running.wait_for("file descriptors are available again")
        async with connected(f"{host}:{port}", asyncio.Event()) as service:
            await create_application(service)
    assert (shortage["level"], shortage["reason"], shortage["limit"]) == ("error", "Too many open files", limit)
    assert "ulimit -n" in shortage["advice"]
