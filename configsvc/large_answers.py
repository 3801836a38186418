"""Answers that take long to make: pages and messages of large configurations."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from configsvc.completion import completed
from configsvc.storage.database import connection_share

Made = TypeVar("Made")


class LargeAnswers:
    """Makes them in a thread, one at a time, so that other calls go on; of each caller one stands in the queue."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def page(self) -> AsyncGenerator[None]:
        """The time in which what an answer is made of is in memory: of each caller a few such pages at a time."""
        share = connection_share.get()
        async with share.pages if share else nullcontext():
            yield

    async def made(self, make: Callable[[], Made], known: Callable[[], Made | None] = lambda: None) -> Made:
        """What is made, unless it is known when its turn has come."""
        share = connection_share.get()
        async with share.answers if share else nullcontext():
            return known() or await self._made(make, known)

    async def _made(self, make: Callable[[], Made], known: Callable[[], Made | None]) -> Made:
        async with self._turn:
            # A thread cannot be told to end, and its place is not free before.
            return known() or await completed(asyncio.ensure_future(asyncio.to_thread(make)))
