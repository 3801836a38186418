"""One of several processes on a port: serves until its supervisor says so or is gone."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import structlog

from configsvc.app.run import run_service
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, on_signals
from configsvc.process.supervisor import ALIVE, ALIVE_SECONDS, READY

log = structlog.get_logger()

SUPERVISOR_INPUT = 0
SUPERVISOR_OUTPUT = 1


async def work(settings: Settings, number: int) -> None:
    """Serves a migrated database on a shared port until a signal comes, and no second one makes it end faster: a
    service manager sends one to every process, and the supervisor another. Raises what `run_service` raises.
    """
    if settings.database_url is None:
        raise StartError("a worker is started by configsvc serve, with all its settings")
    stop = asyncio.Event()
    on_signals(stop.set)
    _stop_with_supervisor(stop)
    async with _signs_of_life():
        await run_service(
            settings,
            settings.database_url.get_secret_value(),
            number=number,
            stop=stop,
            ready=lambda _: _tell(READY),
        )


def _stop_with_supervisor(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def gone() -> None:
        # Nothing is ever written there: it can be read when it is closed.
        loop.remove_reader(SUPERVISOR_INPUT)
        log.warning("the supervisor is gone")
        stop.set()

    loop.add_reader(SUPERVISOR_INPUT, gone)


@asynccontextmanager
async def _signs_of_life() -> AsyncGenerator[None]:
    # A supervisor that reads nothing must not hold up this process.
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
