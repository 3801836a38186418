"""Servers as processes: started, waited for, weighed, and ended by their own id."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 15.0
POLL_SECONDS = 0.02


class DoesNotStartError(RuntimeError):
    """A server ended, or did not answer in time; the text has the end of what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that takes connections."""

    address: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Processor time that it has taken, in steps of 10 ms."""
        times = self.process.cpu_times()
        return times.user + times.system

    def resident_kib(self) -> float:
        """Memory that it holds."""
        return self.process.memory_info().rss / 1024


def free_address() -> str:
    """An address of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def running(
    command: Sequence[str], address: str, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Running]:
    """Starts a server, waits until the address takes connections, and ends it. Raises DoesNotStartError."""
    with log.open("wb") as output:
        process = psutil.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _connectable(process, address, log)
        yield Running(address=address, process=process)
    finally:
        await asyncio.to_thread(_end, process)


async def _connectable(process: psutil.Popen, address: str, log: Path) -> None:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(START_LIMIT_SECONDS):
            while process.poll() is None:
                try:
                    _, writer = await asyncio.open_connection(host, int(port))
                except OSError:
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    writer.close()
                    return
    except TimeoutError:
        pass
    raise DoesNotStartError(f"{process.args} does not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _end(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_SECONDS)
