"""Arrivals of messages at many watchers of one process."""

import asyncio
from collections.abc import Awaitable, Callable

from bench.loads.http2 import CallFailedError
from bench.loads.messages import CONTENT_BYTES

# Streams to open at once; the next ones follow the greetings of these. A server refuses some of many more.
BATCH = 100


class Arrivals:
    """The arrivals at streams, each of which begins with the same number of greetings. `open_one` opens a stream."""

    def __init__(self, greetings: int, open_one: Callable[[], Awaitable[None]]) -> None:
        self._greetings = greetings
        self._open_one = open_one
        self._count = 0
        self._arrivals: list[int] = []
        self._expected = 0
        self._smallest = CONTENT_BYTES
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self, *, watchers: int | None = None) -> list[int] | int:
        """Open streams up to a number, or wait for a message on each and return time.monotonic_ns of each arrival."""
        if watchers is None:
            arrivals = await self._messages(self._count)
            if self._smallest < CONTENT_BYTES:
                raise CallFailedError("a message of a change has no configuration")
            return arrivals
        while self._count < watchers:
            batch = min(BATCH, watchers - self._count)
            for _ in range(batch):
                await self._open_one()
            self._count += batch
            await self._messages(batch * self._greetings)
            # Greetings may be empty.
            self._smallest = CONTENT_BYTES
        return self._count

    def received(self, arrived: int, size: int) -> None:
        """Note a message."""
        self._arrivals.append(arrived)
        self._smallest = min(self._smallest, size)
        self._check()

    def ended(self) -> None:
        """Note that a stream has ended, which none may."""
        if not self._complete.done():
            self._complete.set_exception(CallFailedError("a watch ended"))

    async def _messages(self, expected: int) -> list[int]:
        self._expected = expected
        self._check()
        await self._complete
        self._complete = asyncio.get_running_loop().create_future()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def _check(self) -> None:
        if self._expected and len(self._arrivals) >= self._expected and not self._complete.done():
            self._complete.set_result(None)
            self._expected = 0
