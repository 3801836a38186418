"""What asyncio lacks: work that outlives its caller, and reads that callers share."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


async def completed(work: asyncio.Future[Answer]) -> Answer:
    """What the work answers. It is not cancelled with who waits for it; that one stays until it is done, and then is
    cancelled: what a caller has begun counts as its own for as long as it takes.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_look)
        while not work.done():
            # Whoever cancels it again, as well.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((work,))
        raise


def _look(work: asyncio.Future[Answer]) -> None:
    # So that asyncio does not complain of an error that nobody is told of.
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
        _look(task)

    async def _read_next(self) -> Answer:
        async with self._turn:
            self._next = None
            return await self._read()
