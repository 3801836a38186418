"""Processes: run PostgreSQL's programs, and find and stop its server."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from configsvc.embedded.account import Account
from configsvc.embedded.errors import EmbeddedPostgresError

# Seconds between checks of a process that is not a child and so cannot be waited for.
POLL = 0.02

# Seconds until a process that got SIGKILL has ended; one in an uninterruptible system call can take longer.
KILL_LIMIT = 1.0

# A process id that the kernel never assigns.
NO_PROCESS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A running server: its process, the folder of its socket and the state it reports."""

    process: psutil.Process
    socket_folder: Path
    state: str


def running_postmaster(data: Path) -> Postmaster | None:
    """Return the running server of a data folder, if any.

    The pid file alone proves nothing: a crash leaves it behind, and its number may belong to another program by now.
    """
    lines = _pid_file(data)
    process = _process(lines)
    if process is None or not _serves(process, data):
        return None
    line = dict(enumerate(lines))
    return Postmaster(process=process, socket_folder=Path(line.get(4, "")), state=line.get(7, "").strip())


def disown_pid(data: Path) -> None:
    """Make PostgreSQL ignore a pid file whose number belongs to another program by now.

    The file stays, with an unused number: PostgreSQL needs its other lines to find backends of a killed server, beside
    which it refuses to start.
    """
    lines = _pid_file(data)
    process = _process(lines)
    if not lines or not lines[0].strip().isdigit():
        # Perhaps empty after a power failure: PostgreSQL would refuse to start.
        (data / "postmaster.pid").unlink(missing_ok=True)
    elif process is not None and not _serves(process, data):
        (data / "postmaster.pid").write_text("\n".join([str(NO_PROCESS), *lines[1:], ""]))


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _process(lines: Sequence[str]) -> psutil.Process | None:
    try:
        return psutil.Process(int(lines[0]))
    except (IndexError, ValueError, psutil.Error):
        return None


def _serves(process: psutil.Process, data: Path) -> bool:
    # Not by the working folder, which root in a container may not read of another user's process.
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return False
    return alive(process) and ("-D", str(data)) in pairwise(arguments)


def alive(process: psutil.Process) -> bool:
    """Return whether a process still runs. A zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def ended(process: psutil.Process, limit: float) -> bool:
    """Wait at most `limit` seconds for a process to end. Return whether it ended."""
    try:
        async with asyncio.timeout(limit):
            while alive(process):  # noqa: ASYNC110 - other processes set no Event
                await asyncio.sleep(POLL)
    except TimeoutError:
        return False
    return True


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process, if it still exists."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


async def run(command: Sequence[str], *, account: Account | None, limit: float) -> str:
    """Run a program to its end, and return its output.

    The program gets a session of its own, so that a terminal's Ctrl-C does not reach it. A cancellation kills it and
    its children. Raises EmbeddedPostgresError if it fails or takes longer than `limit` seconds.
    """
    # Not a pipe: under uvloop the server inherits it, and would keep it open.
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(account.command(command) if account else command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
        await _finish(process, command[0], limit)
        output.seek(0)
        text = output.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {text}")
    return text


async def _finish(process: asyncio.subprocess.Process, program: str, limit: float) -> None:
    try:
        async with asyncio.timeout(limit):
            await process.wait()
    except TimeoutError as error:
        raise EmbeddedPostgresError(f"{program} took longer than {limit:.0f} s") from error
    finally:
        await _kill(process)


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like refer to another server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    # Its children are no children of ours, and end a moment later.
    for member in _group(process.pid):
        await ended(member, KILL_LIMIT)


def _group(number: int) -> list[psutil.Process]:
    members: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == number:
                members.append(process)
    return members
