"""Slots for large messages that wait for their clients; a slow reader loses its slot when others wait for one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from configsvc.domain.errors import RateLimitedError

# A client may take this long to read a message. After that, a check every second ends the wait if others need the slot.
UNREAD_SECONDS = 10.0
CHECK_SECONDS = 1.0


class UnreadSlots:
    """A fixed number of slots, given out in turn. Nobody waits for ever: slow readers lose theirs."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold a slot, waiting for it."""
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
        """Bound the time in which the client of a slot reads one message.

        Raises RateLimitedError when it takes long and others wait for a slot.
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
