"""Places for what is large and waits for clients: one that does not read is not waited for without end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from configsvc.domain.errors import RateLimitedError

# How long somebody may have a place while others wait for one.
HELD_SECONDS = 10.0
WAIT_SECONDS = 30.0


class Places:
    """A number of places. Who finds none free asks who has had one for longest to give it up."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        # Since when each is held, the one held for longest first.
        self._held: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """The time in which a place is held. Raises RateLimitedError where none gets free, or where this one was held
        for long and others wait for it.
        """
        await self._take()
        held = asyncio.timeout(None)
        try:
            async with held:
                self._held[held] = asyncio.get_running_loop().time()
                try:
                    yield
                finally:
                    del self._held[held]
        except TimeoutError as error:
            if held.expired():
                text = "the client does not read, and other watches of its caller wait"
                raise RateLimitedError(text, retry_seconds=1.0) from error
            raise
        finally:
            self._free.release()

    async def _take(self) -> None:
        if self._free.locked():
            self._ask_for_one()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise RateLimitedError("too many other watches of the caller are not read", retry_seconds=1.0) from error

    def _ask_for_one(self) -> None:
        asked = next((held for held in self._held if held.when() is None), None)
        if asked:
            asked.reschedule(max(asyncio.get_running_loop().time(), self._held[asked] + HELD_SECONDS))
