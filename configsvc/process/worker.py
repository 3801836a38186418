"""One of several processes on a port. It serves until its supervisor stops it, or is gone itself."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import structlog

from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, on_signals
from configsvc.process.supervisor import ALIVE, ALIVE_SECONDS, READY

log = structlog.get_logger()

SUPERVISOR_INPUT = 0
SUPERVISOR_OUTPUT = 1

RunService: TypeAlias = Callable[..., Awaitable[None]]


async def work(settings: Settings, number: int, run_service: RunService) -> None:
    """Serve a migrated database on a shared port until a signal arrives.

    A second signal changes nothing: a service manager sends one to every process, and the supervisor another. Raises
    StartError, or what `run_service` raises.
    """
    if settings.database_url is None:
        raise StartError("workers are started by configsvc serve only, with all their settings")
    stop = asyncio.Event()
    on_signals(stop.set)
    _stop_with_supervisor(stop)

    def ready(_server: object) -> None:
        _tell(READY)

    async with _signs_of_life():
        await run_service(
            settings,
            settings.database_url.get_secret_value(),
            number=number,
            stop=stop,
            ready=ready,
        )


def _stop_with_supervisor(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def gone() -> None:
        # Nothing is ever written to this pipe: it becomes readable when it is closed.
        loop.remove_reader(SUPERVISOR_INPUT)
        log.warning("stopping: the supervisor is gone")
        stop.set()

    loop.add_reader(SUPERVISOR_INPUT, gone)


@asynccontextmanager
async def _signs_of_life() -> AsyncGenerator[None]:
    # A supervisor that reads nothing must not block this process.
    os.set_blocking(SUPERVISOR_OUTPUT, False)
    living = asyncio.create_task(_live(), name="signs of life")
    try:
        yield
    finally:
        living.cancel()
        await asyncio.wait([living])


async def _live() -> None:
    while True:
        _tell(ALIVE)
        await asyncio.sleep(ALIVE_SECONDS)


def _tell(what: bytes) -> None:
    with suppress(BlockingIOError, ConnectionError):
        os.write(SUPERVISOR_OUTPUT, what)
