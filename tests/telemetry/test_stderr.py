"""Standard error that nobody reads, that is full or closed: no call and no signal depends on it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.telemetry.stderr import WAITING_CHARACTERS
from tests.api.calls import create, create_application, get, patch
from tests.app.scraping import Metrics
from tests.process.running import CONFIGSVC, LIMIT_SECONDS, Program, program
from tests.service import Service, connected, wait_for_health

PIPE_BYTES = 65_536
WRITES = 20


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def opened(path: Path | str, flags: int) -> Generator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def new_fifo(folder: Path) -> Path:
    fifo = folder / "stderr"
    os.mkfifo(fifo)
    return fifo


@contextmanager
def full_fifo(folder: Path) -> Generator[tuple[Path, int]]:
    """Yield a named pipe that takes nothing, as it is full and nobody reads it, and a descriptor to read it."""
    fifo = new_fifo(folder)
    with opened(fifo, os.O_RDWR | os.O_NONBLOCK) as both_ends:
        assert os.write(both_ends, b" " * (PIPE_BYTES - 1) + b"\n") == PIPE_BYTES
        yield fifo, both_ends


@contextmanager
def started(code: str) -> Generator["subprocess.Popen[str]"]:
    """Run Python code with pipes, and expect it to end."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@asynccontextmanager
async def served(
    folder: Path, url: str, redirection: str, *, workers: int = 1, **settings: Any
) -> AsyncGenerator[tuple[Program, Service]]:
    """Run the program with its standard error redirected by the shell, until it serves."""
    command = ("sh", "-c", f'exec "$0" "$@" {redirection}', *CONFIGSVC)
    address = free_address()
    async with (
        program(
            folder, "serve", command=command, listen=address, database_url=url, workers=str(workers), **settings
        ) as running,
        connected(address, asyncio.Event()) as service,
    ):
        await until_serving(service)
        yield running, service


async def text_until(descriptor: int, text: str) -> str:
    """Return what can be read until it contains the text, and then the rest of the line."""
    found = ""
    async with asyncio.timeout(LIMIT_SECONDS):
        while text not in found or not found.endswith("\n"):
            try:
                found += os.read(descriptor, PIPE_BYTES).decode()
            except BlockingIOError:
                await asyncio.sleep(0.01)
    return found


async def until_serving(service: Service) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        await service.channel.channel_ready()
    await wait_for_health(service, HealthCheckResponse.SERVING)


async def use(service: Service) -> None:
    """Write, read and watch, with a line in the log for most of it."""
    await create_application(service)
    await create(service, "web", {"a": 0})
    await asyncio.gather(*(patch(service, "web", {"a": number}) for number in range(1, WRITES)))
    changed = await patch(service, "web", {"a": WRITES})
    assert await get(service, "web", min_revision=changed.revision) == changed
    watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
    await watch.read()
    watch.cancel()
    await wait_for_health(service, HealthCheckResponse.SERVING)


async def end(running: Program) -> None:
    running.signal(signal.SIGTERM)
    assert await running.exit_code() == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>{fifo}", "2>/dev/full >&- <&-"])
async def test_the_service_starts_serves_and_stops_while_its_log_cannot_be_written(
    tmp_path: Path, database_url: str, redirection: str, workers: int
) -> None:
    with full_fifo(tmp_path) as (fifo, _):
        redirected = redirection.format(fifo=fifo)
        async with served(tmp_path, database_url, redirected, workers=workers) as (running, service):
            await use(service)
            await end(running)


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_service_serves_and_stops_after_the_reader_of_its_log_has_gone(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    fifo = new_fifo(tmp_path)
    with ExitStack() as reader:
        reading = reader.enter_context(opened(fifo, os.O_RDONLY | os.O_NONBLOCK))
        async with served(tmp_path, database_url, f"2>{fifo}", workers=workers) as (running, service):
            await text_until(reading, '"ready"')
            reader.close()
            await use(service)
            await end(running)


async def test_lines_that_waited_for_a_reader_are_written_in_order_and_the_last_ones_too(
    tmp_path: Path, database_url: str
) -> None:
    with full_fifo(tmp_path) as (fifo, reading):
        async with served(tmp_path, database_url, f"2>{fifo}") as (running, service):
            await use(service)
            running.signal(signal.SIGTERM)
            lines = (await text_until(reading, '"stopped"')).splitlines()
            assert await running.exit_code() == 0
    entries = [json.loads(line) for line in lines if line.strip()]
    methods = [entry["method"] for entry in entries if entry["event"] == "call"]
    assert methods.count("ConfigurationService/UpdateConfiguration") == WRITES
    times = [entry["timestamp"] for entry in entries]
    assert times == sorted(times)


async def test_lost_lines_are_counted_and_reported_once_the_log_can_be_written(
    tmp_path: Path, database_url: str
) -> None:
    fifo = new_fifo(tmp_path)
    metrics = Metrics(address=free_address())
    with ExitStack() as reader:
        reading = reader.enter_context(opened(fifo, os.O_RDONLY | os.O_NONBLOCK))
        async with served(tmp_path, database_url, f"2>{fifo}", metrics_listen=metrics.address) as (running, service):
            await text_until(reading, '"ready"')
            assert await metrics.value("configsvc_log_lines_lost_total") == 0
            reader.close()
            await create_application(service)
            await metrics.until("configsvc_log_lines_lost_total", 1)
            await create(service, "web")
            await metrics.until("configsvc_log_lines_lost_total", 2)
            with opened(fifo, os.O_RDONLY | os.O_NONBLOCK) as reading_again:
                await patch(service, "web", {"a": 1})
                lines = (await text_until(reading_again, "UpdateConfiguration")).splitlines()
                await end(running)
    reported, call = (json.loads(line) for line in lines)
    assert reported["event"] == "log lines lost: standard error could not be written"
    assert (reported["lines"], reported["level"]) == (2, "warning")
    assert call["event"] == "call"


def test_the_memory_of_waiting_lines_is_bounded_and_each_line_is_written_or_counted() -> None:
    code = """
import sys
from configsvc.telemetry.stderr import WAITING_CHARACTERS, install_standard_error, lost_lines
install_standard_error()
line = "x" * 999
for _ in range(4 * WAITING_CHARACTERS // 1000):
    print(line, file=sys.stderr)
print(4 * WAITING_CHARACTERS // 1000, lost_lines(), flush=True)
sys.stdin.read()
"""
    with started(code) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdin
        written, lost = map(int, process.stdout.readline().split())
        process.stdin.close()
        lines = process.stderr.read().splitlines()
    assert 0 < (written - lost) * 1000 <= 2 * WAITING_CHARACTERS + 2 * PIPE_BYTES
    assert lines.count("x" * 999) == written - lost
    reports = [
        int(line.split()[1]) for line in lines if line.endswith("log lines lost: standard error could not be written")
    ]
    assert sum(reports) == lost


WRITERS = {
    "a logger without handlers": "logging.getLogger('grpc').error('marked')",
    "a logger with a handler": "logging.basicConfig(); logging.error('marked')",
    "a warning": "warnings.warn('marked')",
    "print": "print('marked', file=sys.stderr)",
    "the end of a thread": "thread = threading.Thread(target=lambda: int('marked')); thread.start(); thread.join()",
    "the loop's handler": "asyncio.new_event_loop().call_exception_handler({'message': 'marked'})",
    "a finalizer": "type('Faulty', (), {'__del__': lambda _: int('marked')})()",
    "structlog": "configure_logs('info', 'json'); structlog.get_logger().info('marked')",
    "the command line": "typer.echo('marked', err=True)",
    "an error that ends the process": "raise RuntimeError('marked')",
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("is_read", [True, False])
def test_whatever_writes_to_standard_error_waits_for_no_reader(writer: str, is_read: bool) -> None:
    code = f"""
import asyncio, logging, sys, threading, warnings, structlog, typer
from configsvc.telemetry.logs import configure_logs
from configsvc.telemetry.stderr import install_standard_error
install_standard_error()
print("x" * 200_000, file=sys.stderr)
{WRITERS[writer]}
"""
    with started(code) as process:
        assert process.stderr
        if is_read:
            assert "marked" in process.stderr.read()
        process.wait(LIMIT_SECONDS)
        assert process.returncode == (1 if "ends the process" in writer else 0)
