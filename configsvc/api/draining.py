"""The end of a server: late calls wait until clients are told to go elsewhere, and are refused then."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from configsvc.domain.errors import ShuttingDownError

# A client that waits for its answer sends nothing, so calls soon stop coming unless clients send them regardless.
QUIET_SECONDS = 0.2
QUIET_LIMIT_SECONDS = 1.0


class Drain:
    """Calls that arrive while a server ends, and streams that never end by themselves."""

    def __init__(self) -> None:
        self.begun = False
        self.quiet_seconds = QUIET_SECONDS
        self._last_arrival = 0.0
        self._left = asyncio.Event()
        self._endless: set[asyncio.Timeout] = set()

    async def hold(self, limit_seconds: float) -> None:
        """Hold new calls from now on. Return when none has arrived for quiet_seconds, or after the limit."""
        loop = asyncio.get_running_loop()
        self.begun = True
        self._last_arrival = loop.time()
        give_up = self._last_arrival + min(limit_seconds, QUIET_LIMIT_SECONDS)
        while (left := min(self._last_arrival + self.quiet_seconds, give_up) - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)

    def refuse(self) -> None:
        """Refuse the calls that are held and all later ones, and end the streams that never end."""
        self._left.set()
        for limit in self._endless:
            limit.reschedule(asyncio.get_running_loop().time())

    async def refused(self) -> None:
        """Hold a call that arrived too late, then raise ShuttingDownError."""
        self._last_arrival = asyncio.get_running_loop().time()
        await self._left.wait()
        raise ShuttingDownError

    @asynccontextmanager
    async def endless(self) -> AsyncGenerator[None]:
        """Run what never ends by itself until calls are refused. Raises ShuttingDownError then."""
        if self._left.is_set():
            raise ShuttingDownError
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._endless.add(limit)
                yield
        except TimeoutError as error:
            if limit.expired():
                raise ShuttingDownError from error
            raise
        finally:
            self._endless.discard(limit)
