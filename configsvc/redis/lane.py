"""One task with one connection: it exchanges what has gathered, batch by batch, and reconnects with growing pauses."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from configsvc.aio import wait_for_event
from configsvc.redis.connections import Connection, connected
from configsvc.redis.url import RedisUrl

# An exchange that takes longer fails, and the connection is closed.
EXCHANGE_SECONDS = 1.0
# The interval at which a connection that has nothing to do is tried.
HEARTBEAT_SECONDS = 5.0
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 5.0


class Lane:
    """The connection of one kind of work.

    `exchange` does what has gathered since the last one, or tries the server if there is nothing. `lost` gives up what
    has gathered. `failed` gets each error, and `works` is called after each exchange.
    """

    def __init__(
        self,
        url: RedisUrl,
        exchange: Callable[[Connection], Awaitable[None]],
        lost: Callable[[], None],
        *,
        failed: Callable[[Exception], None],
        works: Callable[[], None],
    ) -> None:
        self.up = False
        self.failures = 0
        self._url = url
        self._exchange = exchange
        self._lost = lost
        self._failed = failed
        self._works = works
        self._wanted = asyncio.Event()
        self._attempt = 0

    def wake(self) -> None:
        """Let an exchange begin as soon as the running one has ended."""
        self._wanted.set()

    async def run(self) -> None:
        """Exchange until cancelled."""
        while True:
            try:
                async with connected(self._url) as connection:
                    await self._use(connection)
            except Exception as error:  # noqa: BLE001  # whatever a server sends, the service goes on without it
                self.failures += 1
                self._failed(error)
            finally:
                self.up = False
                self._lost()
            await asyncio.sleep(_pause(self._attempt))
            self._attempt += 1

    async def _use(self, connection: Connection) -> None:
        while True:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await self._exchange(connection)
            self.up = True
            self._attempt = 0
            self._works()
            await wait_for_event(self._wanted, HEARTBEAT_SECONDS)
            self._wanted.clear()


def _pause(attempt: int) -> float:
    ceiling = min(RECONNECT_LAST_SECONDS, RECONNECT_FIRST_SECONDS * 2 ** min(attempt, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
