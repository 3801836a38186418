"""Processes for work that would hold up the event loop: started when there is some, ended when there is none."""

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

log = structlog.get_logger()

Answer = TypeVar("Answer")

PROCESSES = 1
IDLE_SECONDS = 60.0


class ProcessDiedError(Exception):
    """The process died, of this call or of another at the time."""


class ProcessPool:
    """Runs functions in another process, one after the other. How many wait is for the callers to bound, each kind of
    work for itself: what waits holds its arguments, and one kind is not to keep another waiting.
    """

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._used = asyncio.Event()
        self._running = 0

    async def call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """What the function answers, which is one of a module, of arguments that can be pickled.

        Raises what it raises. It is called again when the process dies, once; ProcessDiedError when that one dies too.
        """
        try:
            return await self.call_once(function, *arguments)
        except ProcessDiedError:
            return await self.call_once(function, *arguments)

    async def call_once(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """The same, but raises ProcessDiedError when the first process dies."""
        self._running += 1
        self._used.set()
        try:
            return await self._call(function, *arguments)
        finally:
            self._running -= 1

    async def _call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        if self._executor is None:
            # Spawned: a fork of a process that runs gRPC may hang.
            self._executor = ProcessPoolExecutor(
                PROCESSES, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_process
            )
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        except BrokenProcessPool as error:
            # All who waited for that process hear of it; the first lets another take its place, and only that one.
            if self._executor is executor:
                log.warning("a process of the pool died: another takes its place")
                await self._end()
            raise ProcessDiedError from error

    async def end_when_idle(self) -> None:
        """Ends the processes whenever nothing was asked of them for a while, until it is cancelled."""
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
        """A pool whose processes end with the block."""
        pool = cls()
        try:
            yield pool
        finally:
            # What they still do, nobody waits for, and it may take long.
            for process in multiprocessing.active_children():
                process.terminate()
            await pool._end()


def _prepare_process() -> None:
    # The messages of operations come without gRPC where it cannot be imported: what runs here needs none.
    sys.modules["google.longrunning.operations_grpc_pb2"] = None  # pyright: ignore[reportArgumentType]
    # A terminal's Ctrl-C goes to all processes; the one that serves decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)
