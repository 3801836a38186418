"""Places for what is large and waits for clients: none that does not read has one for ever while others wait for it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from configsvc.domain.errors import RateLimitedError

# How long a client may take to read a message while others wait for its place, and how often is looked after that.
UNREAD_SECONDS = 10.0
LOOK_SECONDS = 1.0


class Places:
    """A number of places. Who waits for one gets it in turn, for those of clients that do not read are taken back."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """The time in which a place is held."""
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
    async def unread(self) -> AsyncGenerator[None]:
        """The time in which a client, which has a place, is waited for to read one message. Raises RateLimitedError
        when it takes long and others wait for a place.
        """
        loop = asyncio.get_running_loop()
        reading = asyncio.timeout(None)

        def look() -> None:
            nonlocal timer
            if self._waiting:
                reading.reschedule(loop.time())
            else:
                timer = loop.call_later(LOOK_SECONDS, look)

        timer = loop.call_later(UNREAD_SECONDS, look)
        try:
            async with reading:
                yield
        except TimeoutError as error:
            if reading.expired():
                text = "the client does not read, and other watches of its caller wait"
                raise RateLimitedError(text, retry_seconds=1.0) from error
            raise
        finally:
            timer.cancel()
