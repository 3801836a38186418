"""Servers as processes: start, wait, weigh, and end each by its own ID."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 15.0
POLL_SECONDS = 0.02
WEIGH_SECONDS = 0.5


class DoesNotStartError(RuntimeError):
    """A server that ended or did not answer in time; the message has the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that accepts connections."""

    address: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the processor time of the server and its child processes, in steps of 10 ms."""
        return self._of_family(_cpu_seconds)

    def resident_kib(self) -> float:
        """Return the resident memory of the server alone."""
        return _resident_kib(self.process)

    async def most_resident_kib(self, stop: asyncio.Event) -> float:
        """Return the peak of the resident memory of the server and its child processes until `stop` is set."""
        most = 0.0
        while not stop.is_set():
            most = max(most, self._of_family(_resident_kib))
            await asyncio.sleep(WEIGH_SECONDS)
        return most

    def _of_family(self, quantity: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            try:
                total += quantity(process)
            except psutil.NoSuchProcess:
                continue
        return total


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _resident_kib(process: psutil.Process) -> float:
    return process.memory_info().rss / 1024


def free_address() -> str:
    """Return a local address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def running(
    command: Sequence[str],
    address: str,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> AsyncGenerator[Running]:
    """Start a server, yield it once the address accepts connections, and end it. Raises DoesNotStartError."""
    with log.open("wb") as output:
        process = psutil.Popen(
            command,
            cwd=directory,
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
    raise DoesNotStartError(f"{process.args} did not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _end(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_SECONDS)
