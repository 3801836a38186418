"""Processes for work that would block the event loop, started on demand and ended when idle."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog

from configsvc.aio import wait_for_event
from configsvc.domain.errors import OutOfDescriptorsError
from configsvc.telemetry.descriptors import is_shortage
from configsvc.telemetry.stderr import install_standard_error

log = structlog.get_logger()

Answer = TypeVar("Answer")

PROCESSES = 1
# A fork of a process that runs gRPC may hang.
START_METHOD = "spawn"
IDLE_SECONDS = 60.0


class ProcessDiedError(Exception):
    """The process died during this call, because of it or of another one."""


class ProcessPool:
    """A pool that runs functions in another process, one at a time.

    Callers must limit how many calls wait, per kind of work: waiting calls keep their arguments in memory, and no kind
    may block another.
    """

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._used = asyncio.Event()
        self._running = 0

    async def call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Return the result of a module's function, called with arguments that can be pickled.

        Repeats the call once if the process dies. Raises what the function raises, ProcessDiedError or
        OutOfDescriptorsError.
        """
        try:
            return await self.call_once(function, *arguments)
        except ProcessDiedError:
            return await self.call_once(function, *arguments)

    async def call_once(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Do what `call` does, without repeating. Raises ProcessDiedError if the process dies."""
        self._running += 1
        self._used.set()
        try:
            return await self._call(function, *arguments)
        finally:
            self._running -= 1

    async def _call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        try:
            return await self._submitted(function, *arguments)
        except OSError as error:
            if not is_shortage(error):
                raise
            # Half started: it would never answer.
            await self._end()
            raise OutOfDescriptorsError from error

    async def _submitted(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                PROCESSES, mp_context=multiprocessing.get_context(START_METHOD), initializer=_prepare_process
            )
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        except BrokenProcessPool as error:
            # Every call that waited for this process gets the error; only the first replaces the process.
            if self._executor is executor:
                log.warning("pool process died; starting another")
                await self._end()
            raise ProcessDiedError from error

    async def end_when_idle(self) -> None:
        """End idle processes, until cancelled."""
        while True:
            await self._used.wait()
            self._used.clear()
            if not await wait_for_event(self._used, IDLE_SECONDS) and not self._running:
                await self._end()

    async def _end(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncGenerator["ProcessPool"]:
        """Yield a pool whose processes end with the block."""
        pool = cls()
        try:
            yield pool
        finally:
            # Nobody waits for their work any more, which may take long.
            for process in multiprocessing.active_children():
                process.terminate()
            await pool._end()


def _prepare_process() -> None:
    install_standard_error()
    # Keeps gRPC out: without this module, the messages of operations load without it.
    sys.modules["google.longrunning.operations_grpc_pb2"] = None  # pyright: ignore[reportArgumentType]
    # A terminal's Ctrl-C or end reaches all processes; the serving one decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)
