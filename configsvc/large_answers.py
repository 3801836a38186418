"""Answers that take long to make: pages of large configurations."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from configsvc.completion import completed
from configsvc.storage.database import connection_share

Made = TypeVar("Made")


class LargeAnswers:
    """Makes them in a thread, one at a time, so that other calls go on; of each caller one stands in the queue."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def made(self, make: Callable[[], Made]) -> Made:
        """What is made."""
        share = connection_share.get()
        async with share.answers if share else nullcontext(), self._turn:
            # A thread cannot be told to end, and its place is not free before.
            return await completed(asyncio.ensure_future(asyncio.to_thread(make)))
