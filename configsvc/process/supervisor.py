"""The supervisor of several processes on one port: it starts them, replaces those that end, and stops them together."""

import asyncio
import os
import platform
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from configsvc.aio import wait_for_event
from configsvc.process.certificates import check_certificates
from configsvc.process.exposure import check_exposure
from configsvc.process.ports import shared_port
from configsvc.process.settings import Settings
from configsvc.process.startup import (
    StartError,
    database_url,
    ignored_signals,
    on_signals,
    prepare_database,
    say_ready,
)

log = structlog.get_logger()

# Bytes that a worker writes to its standard output: once when it serves, and regularly as a sign of life.
READY = b"r"
ALIVE = b"."
ALIVE_SECONDS = 2.0
# A worker that is silent for so long twice in a row is killed, as the kernel keeps giving it connections. Not after the
# first time: if the whole machine was paused, the workers' output is still unread.
SILENCE_SECONDS = 15.0
# Time after the grace for running writes, which have a limit of their own.
AFTER_GRACE_SECONDS = 100.0

# A worker that lived for so long is replaced at once.
SOUND_SECONDS = 10.0
PAUSE_FIRST_SECONDS = 0.5
PAUSE_LAST_SECONDS = 30.0


async def supervise(settings: Settings) -> None:
    """Serve with several workers until SIGTERM, SIGINT or SIGHUP; a second signal kills them without grace.

    Raises StartError, or CancelledError if a signal arrives before the workers start.
    """
    check_exposure(settings)
    for address in _addresses(settings).values():
        _check_sharing(address)
    check_certificates(settings)
    this_task = asyncio.current_task()
    assert this_task is not None
    on_signals(this_task.cancel)
    with _shared_ports(settings) as bound:
        async with database_url(bound) as url:
            await prepare_database(bound, url)
            # Workers do not migrate.
            secrets = {"database_url": SecretStr(url), "migrate_database_url": None}
            workers = Workers(bound.model_copy(update=secrets))
            on_signals(workers.stop)
            running = asyncio.create_task(workers.run(), name="workers")
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                # The embedded PostgreSQL does not stay up.
                workers.stop()
                await running
                raise


@contextmanager
def _shared_ports(settings: Settings) -> Generator[Settings]:
    """Reserve all addresses, and yield the settings with the bound ports instead of port 0."""
    with ExitStack() as kept:
        bound = {name: kept.enter_context(shared_port(address)) for name, address in _addresses(settings).items()}
        yield settings.model_copy(update=bound)


def _addresses(settings: Settings) -> dict[str, str]:
    """Return the configured addresses by the names of their settings."""
    addresses = {
        "listen": settings.listen,
        "mtls_listen": settings.mtls_listen,
        "http_listen": settings.http_listen,
    }
    return {name: address for name, address in addresses.items() if address}


def _check_sharing(listen: str) -> None:
    if listen.startswith("unix:"):
        raise StartError(
            f"{listen} cannot be shared by workers: listen on host:port, or serve with one worker (CONFIGSVC_WORKERS=1)"
        )
    if platform.system() != "Linux":
        raise StartError("several workers require Linux: serve with one worker (CONFIGSVC_WORKERS=1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The end of a worker. The exit code of a signal is negative."""

    pid: int | None
    exit_code: int
    how: str


class Workers:
    """The worker processes. Each that ends is replaced.

    The standard input of each is a pipe that only this process holds open, so that no worker outlives it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._processes: dict[int, Process] = {}
        self._served: set[int] = set()
        self._stopping = asyncio.Event()
        self._failure: StartError | None = None

    def stop(self) -> None:
        """Stop every worker gracefully; the second call kills them."""
        kill = self._stopping.is_set()
        settings = self._settings
        delay, grace = (0.0, 0.0) if kill else (settings.drain_delay_seconds, settings.shutdown_grace_seconds)
        log.info("stopping", delay_seconds=delay, grace_seconds=grace)
        self._stopping.set()
        for process in self._processes.values():
            _send(process, signal.SIGKILL if kill else signal.SIGTERM)

    async def run(self) -> None:
        """Keep all workers running until `stop` is called. Raises StartError if one cannot start."""
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(self._kill_late_workers(), name="shutdown limit")
            async with asyncio.TaskGroup() as keeping:
                for number in range(self._settings.workers):
                    keeping.create_task(self._keep(number), name=f"worker {number}")
            late.cancel()
        log.info("stopped")
        if self._failure:
            raise self._failure

    async def _kill_late_workers(self) -> None:
        await self._stopping.wait()
        settings = self._settings
        await asyncio.sleep(settings.drain_delay_seconds + settings.shutdown_grace_seconds + AFTER_GRACE_SECONDS)
        for number, process in self._processes.items():
            log.error("worker killed: it did not stop in time", worker=number, pid=process.pid)
            _send(process, signal.SIGKILL)

    async def _keep(self, number: int) -> None:
        short_lives = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            end = await self._live(number)
            if self._stopping.is_set():
                return
            if end.exit_code > 0 and number not in self._served:
                self._fail(number, end)
                return
            short_lives = 0 if time.monotonic() - began >= SOUND_SECONDS else short_lives + 1
            pause = pause_seconds(short_lives)
            log.warning("worker ended", worker=number, pid=end.pid, how=end.how, replaced_in_seconds=round(pause, 3))
            await wait_for_event(self._stopping, pause)

    async def _live(self, number: int) -> _End:
        """Run one worker to its end."""
        try:
            process = await self._start(number)
        except OSError as error:
            # A shortage, of memory for example, may pass.
            return _End(pid=None, exit_code=0, how=f"start failed: {error}")
        code = await self._attend(number, process)
        return _End(pid=process.pid, exit_code=code, how=_how(code))

    async def _start(self, number: int) -> Process:
        # Settings go through the environment, as anyone can read a command line. A new session: a terminal's Ctrl-C
        # reaches only this process, which passes it on. -P: modules must not come from the working folder.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "configsvc", "worker", str(number)),
            # uvloop gives it the default actions.
            *(f"--ignore={ignored.name}" for ignored in ignored_signals()),
            stdin=PIPE,
            stdout=PIPE,
            env=_foreign_environment() | self._settings.environment(),
            start_new_session=True,
        )
        log.info("worker started", worker=number, pid=process.pid)
        self._processes[number] = process
        if self._stopping.is_set():
            _send(process, signal.SIGTERM)
        return process

    async def _attend(self, number: int, process: Process) -> int:
        """Wait for a worker to end, and return its exit code."""
        try:
            await self._listen(number, process)
            return await process.wait()
        finally:
            if process.returncode is None:
                _send(process, signal.SIGKILL)
            del self._processes[number]

    async def _listen(self, number: int, process: Process) -> None:
        assert process.stdout is not None
        silences = 0
        while silences < 2:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    said = await process.stdout.read(1)
            except TimeoutError:
                silences += 1
                continue
            if not said:
                return
            silences = 0
            if said == READY:
                self._ready(number, process)
        log.error("worker killed: it does not respond", worker=number, pid=process.pid)
        _send(process, signal.SIGKILL)

    def _ready(self, number: int, process: Process) -> None:
        log.info("worker ready", worker=number, pid=process.pid)
        first = number not in self._served
        self._served.add(number)
        if first and len(self._served) == self._settings.workers:
            url = self._settings.database_url
            assert url is not None
            say_ready(self._settings, url.get_secret_value(), workers=self._settings.workers)

    def _fail(self, number: int, end: _End) -> None:
        log.error("worker cannot start", worker=number, pid=end.pid, how=end.how)
        self._failure = StartError(f"worker {number} ended with {end.how} before it was ready: see its log")
        self.stop()


def pause_seconds(short_lives: int) -> float:
    """Return the time before a worker is replaced, given how many in a row ended soon after their start."""
    if short_lives < 2:
        return 0.0
    ceiling = min(PAUSE_LAST_SECONDS, PAUSE_FIRST_SECONDS * 2.0 ** min(short_lives - 2, 16))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311


def _foreign_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("CONFIGSVC_")}


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
