"""Additions to asyncio: work that outlives its caller, shared reads, and waiting for an event with a limit."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


async def finish(work: asyncio.Future[Answer]) -> Answer:
    """Wait for work and return its result. If cancelled, first let the work finish, then raise CancelledError.

    So what a caller began counts toward its limits until it is done.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_retrieve_error)
        while not work.done():
            # Further cancellations wait too.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((work,))
        raise


@asynccontextmanager
async def running(work: Coroutine[None, None, Answer]) -> AsyncGenerator[asyncio.Task[Answer]]:
    """Run work beside the block, and cancel it at the end of the block. Raises then what the work has raised.

    Unlike a TaskGroup, it does not cancel the block when the work fails.
    """
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()


def _retrieve_error(work: asyncio.Future[Answer]) -> None:
    # Otherwise asyncio logs an error that nobody awaits.
    if not work.cancelled():
        work.exception()


class SharedRead(Generic[Answer]):
    """One read shared by all callers that ask before it begins, as ten thousand watches do that reconnect at once."""

    def __init__(self, read: Callable[[], Awaitable[Answer]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Answer] | None = None
        self._running: set[asyncio.Task[Answer]] = set()

    async def read(self) -> Answer:
        """Return the result of a read that begins after this call. Raises what the read raises."""
        if self._next is None:
            # In a context of its own: it counts against no single caller's limits.
            self._next = asyncio.create_task(self._read_next(), context=Context())
            self._running.add(self._next)
            self._next.add_done_callback(self._finished)
        return await asyncio.shield(self._next)

    def _finished(self, task: asyncio.Task[Answer]) -> None:
        self._running.discard(task)
        _retrieve_error(task)

    async def _read_next(self) -> Answer:
        async with self._turn:
            self._next = None
            return await self._read()


async def wait_for_event(event: asyncio.Event, limit_seconds: float) -> bool:
    """Wait for an event, no longer than the limit. Return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            await event.wait()
    return event.is_set()
