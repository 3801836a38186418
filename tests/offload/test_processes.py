"""The pool of processes for work that would block the event loop."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configsvc.api.uploads import MESSAGES_AT_ONCE, Uploads
from configsvc.offload import processes
from configsvc.offload.processes import ProcessDiedError, ProcessPool


@pytest.fixture(autouse=True)
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes as a service does outside of tests."""
    monkeypatch.setattr(processes, "START_METHOD", "spawn")


def work_for_long(begun: Path) -> None:
    begun.touch()
    time.sleep(120)


async def test_work_under_way_does_not_hold_up_the_end(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    async with asyncio.timeout(20), ProcessPool.open() as pool:
        work = asyncio.create_task(pool.call(work_for_long, begun))
        while not begun.exists():  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait((work,))


def answer(number: int) -> int:
    return number


def die() -> None:
    os._exit(1)


class Executor:
    """An executor whose process dies when the test says so."""

    def __init__(self, *_: object, **__: object) -> None:
        self.futures: list[Future[int]] = []
        self.is_open = True

    def submit(self, *_: object) -> Future[int]:
        future: Future[int] = Future()
        self.futures.append(future)
        return future

    def shutdown(self, *, cancel_futures: bool) -> None:
        self.is_open = False
        for future in self.futures if cancel_futures else ():
            future.cancel()


async def test_who_hears_late_of_a_process_that_died_goes_on_with_the_one_that_took_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Executor] = []
    monkeypatch.setattr(processes, "ProcessPoolExecutor", lambda *_, **__: made.append(Executor()) or made[-1])
    async with asyncio.timeout(20), ProcessPool.open() as pool:
        early, late = (asyncio.create_task(pool.call(answer, number)) for number in range(2))
        await until(lambda: bool(made) and len(made[0].futures) == 2)
        hears_early, hears_late = made[0].futures
        # Nothing remains to be cancelled at shutdown.
        made[0].futures.clear()
        hears_early.set_exception(BrokenProcessPool())
        await until(lambda: len(made) == 2 and len(made[1].futures) == 1)
        hears_late.set_exception(BrokenProcessPool())
        await until(lambda: len(made[-1].futures) == 2)
        assert (len(made), made[1].is_open) == (2, True)
        for number, future in enumerate(made[1].futures):
            future.set_result(number)
        assert (await early, await late) == (0, 1)


async def test_many_uploads_do_not_keep_an_operation_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor()
    monkeypatch.setattr(processes, "ProcessPoolExecutor", lambda *_, **__: executor)
    async with asyncio.timeout(20), ProcessPool.open() as pool:
        uploads: Any = Uploads(_Reading(), pool, SimpleNamespace(epoch_for=str))  # pyright: ignore[reportArgumentType]
        caller = SimpleNamespace(actor="ada", quota=True)
        streams = [asyncio.create_task(uploads.start(_one_message(), caller)) for _ in range(20)]
        await until(lambda: len(executor.futures) == MESSAGES_AT_ONCE)
        operation = asyncio.create_task(pool.call(answer, 1))
        await until(lambda: len(executor.futures) > MESSAGES_AT_ONCE)
        executor.futures[MESSAGES_AT_ONCE].set_result(1)
        assert await operation == 1
        for stream in streams:
            stream.cancel()
        await asyncio.wait(streams)


class _Reading:
    """A substitute for Imports that reads all messages."""

    async def start(self, messages: AsyncIterable[object], actor: str) -> None:
        async for _ in messages:
            pass


async def _one_message() -> AsyncGenerator[bytes]:
    yield b""


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # it can only be asked
        await asyncio.sleep(0.001)


async def test_a_call_that_always_kills_its_process_says_so_and_the_next_is_answered() -> None:
    async with asyncio.timeout(30), ProcessPool.open() as pool:
        with pytest.raises(ProcessDiedError):
            await pool.call(die)
        assert await pool.call(answer, 1) == 1
