"""Several processes on one port: starts them, replaces those that end, and ends them together."""

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
from configsvc.process.exposure import check_exposure
from configsvc.process.ports import shared_port
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, database_url, on_signals, prepare_database, say_ready

log = structlog.get_logger()

# What a worker writes to its standard output, a byte at a time: that it serves, and now and then that it lives.
READY = b"r"
ALIVE = b"."
ALIVE_SECONDS = 2.0
# A worker that is silent twice in a row for so long is killed: the kernel goes on giving it connections. Not at once,
# since after a pause of the whole machine what the workers have written is still to be read.
SILENCE_SECONDS = 15.0
# What may come after the grace: writes under way, which have a limit of their own.
AFTER_GRACE_SECONDS = 100.0

# A worker that lived for so long was sound.
SOUND_SECONDS = 10.0
PAUSE_FIRST_SECONDS = 0.5
PAUSE_LAST_SECONDS = 30.0


async def supervise(settings: Settings) -> None:
    """Serves with several workers until SIGTERM, SIGINT or SIGHUP; a second one ends them without grace.

    Raises StartError, or CancelledError if it was told to stop before there were workers.
    """
    check_exposure(settings)
    for address in _addresses(settings).values():
        _check_sharing(address)
    this_task = asyncio.current_task()
    assert this_task is not None
    on_signals(this_task.cancel)
    with _shared_ports(settings) as bound:
        async with database_url(bound) as url:
            await prepare_database(bound, url)
            # The workers migrate nothing.
            secrets = {"database_url": SecretStr(url), "migrate_database_url": None}
            workers = Workers(bound.model_copy(update=secrets))
            on_signals(workers.stop)
            await workers.run()


@contextmanager
def _shared_ports(settings: Settings) -> Generator[Settings]:
    """Keeps the ports of all addresses, and yields the settings with the numbers that port 0 stands for."""
    with ExitStack() as kept:
        bound = {name: kept.enter_context(shared_port(address)) for name, address in _addresses(settings).items()}
        yield settings.model_copy(update=bound)


def _addresses(settings: Settings) -> dict[str, str]:
    """Those that are set, by the names of their settings."""
    addresses = {"listen": settings.listen, "mtls_listen": settings.mtls_listen}
    return {name: address for name, address in addresses.items() if address}


def _check_sharing(listen: str) -> None:
    if listen.startswith("unix:"):
        raise StartError(
            f"{listen} cannot be shared by workers, for the kernel spreads connections over TCP ports only: listen on "
            "host:port, or serve with one worker (CONFIGSVC_WORKERS=1)"
        )
    if platform.system() != "Linux":
        raise StartError("only Linux spreads connections over workers: serve with one (CONFIGSVC_WORKERS=1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a worker has ended; the exit code of a signal is negative."""

    pid: int | None
    exit_code: int
    how: str


class Workers:
    """The processes that serve, each from its own start to its end and then the next in its place.

    The standard input of each is a pipe that only this process holds open, so that none outlives it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._processes: dict[int, Process] = {}
        self._served: set[int] = set()
        self._stopping = asyncio.Event()
        self._failure: StartError | None = None

    def stop(self) -> None:
        """Tells every worker to drain and end; called again, ends them at once."""
        kill = self._stopping.is_set()
        log.info("stopping", grace_seconds=0 if kill else self._settings.shutdown_grace_seconds)
        self._stopping.set()
        for process in self._processes.values():
            _send(process, signal.SIGKILL if kill else signal.SIGTERM)

    async def run(self) -> None:
        """Keeps all workers running until stop. Raises StartError if one cannot even start."""
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(self._kill_who_is_late(), name="limit of the end")
            async with asyncio.TaskGroup() as keeping:
                for number in range(self._settings.workers):
                    keeping.create_task(self._keep(number), name=f"worker {number}")
            late.cancel()
        log.info("stopped")
        if self._failure:
            raise self._failure

    async def _kill_who_is_late(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(self._settings.shutdown_grace_seconds + AFTER_GRACE_SECONDS)
        for number, process in self._processes.items():
            log.error("worker does not end and is killed", worker=number, pid=process.pid)
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
        """One worker from its start to its end."""
        try:
            process = await self._start(number)
        except OSError as error:
            # What the machine is short of now, memory perhaps, it may have again in a moment.
            return _End(pid=None, exit_code=0, how=f"cannot be started: {error}")
        code = await self._attend(number, process)
        return _End(pid=process.pid, exit_code=code, how=_how(code))

    async def _start(self, number: int) -> Process:
        # Settings go through the environment, for anyone may read a command line. A session of its own: a terminal's
        # Ctrl-C is for this process, which passes it on. -P: the working folder holds no modules of ours.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "configsvc", "worker", str(number)),
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
        """The exit code of the worker, when it has ended."""
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
        log.error("worker does not answer and is killed", worker=number, pid=process.pid)
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
        self._failure = StartError(f"worker {number} ended with {end.how} before it served; it has said why")
        self.stop()


def pause_seconds(short_lives: int) -> float:
    """How long the place of a worker stays empty, by how many in a row have ended soon after their start."""
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
