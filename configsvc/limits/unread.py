"""Slots for large messages that wait for clients, which slow readers lose while others wait for a slot."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from configsvc.domain.errors import RateLimitedError

# How long a client may take to read one message while others wait for its slot, and how often that is checked.
UNREAD_SECONDS = 10.0
CHECK_SECONDS = 1.0


class ReclaimableSlots:
    """A fixed number of slots, given out in order of request and taken back from slow readers."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold a slot, after waiting for one."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[None]:
        """Limit the time in which a client, holding a slot, must read one message.

        Raises RateLimitedError after UNREAD_SECONDS, or as soon after that as others wait for a slot.
        """
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)

        def check() -> None:
            nonlocal timer
            if self._waiting:
                limit.reschedule(loop.time())
            else:
                timer = loop.call_later(CHECK_SECONDS, check)

        timer = loop.call_later(UNREAD_SECONDS, check)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if limit.expired():
                text = "slow reader: this watch was closed to let your other watches proceed"
                raise RateLimitedError(text, retry_seconds=1.0) from error
            raise
        finally:
            timer.cancel()
