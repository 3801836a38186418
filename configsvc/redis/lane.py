"""One task with one connection: it exchanges what has gathered, batch by batch, and reconnects with growing pauses."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from configsvc.redis.connections import Connection, connected
from configsvc.redis.url import RedisUrl

# Turns of the event loop before it counts as late: the answer may have arrived while the loop was busy.
LATE_TURNS = 4
# A late exchange that takes longer fails, and the connection is closed.
EXCHANGE_SECONDS = 1.0
# The interval at which a connection that has nothing to do is tried.
HEARTBEAT_SECONDS = 5.0
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 5.0


class Work(NamedTuple):
    """Work of one kind.

    exchange: do what has gathered, or try the server if there is nothing; return whether there is more. give_up: what
    has gathered is late, or lost. failed: the connection failed. works: an exchange succeeded.
    """

    exchange: Callable[[Connection], Awaitable[bool]]
    give_up: Callable[[], None]
    failed: Callable[[Exception], None]
    works: Callable[[], None]


class Lane:
    """The connection for work of one kind.

    An exchange is late after answer_seconds. Before each, others can join it for gather_seconds.
    """

    def __init__(self, url: RedisUrl, work: Work, *, answer_seconds: float, gather_seconds: float) -> None:
        self.failures = 0
        self._url = url
        self._work = work
        self._answer_seconds = answer_seconds
        self._gather_seconds = gather_seconds
        self._wanted = asyncio.Event()
        self._up = self._late = False
        self._attempt = 0
        # Of the exchange that is under way.
        self._limit: asyncio.Timeout | None = None

    @property
    def reachable(self) -> bool:
        """True while the server answers in time."""
        return self._up and not self._late

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
                self._work.failed(error)
            finally:
                self._up = False
                self._work.give_up()
            await asyncio.sleep(_pause(self._attempt))
            self._attempt += 1

    async def _use(self, connection: Connection) -> None:
        self._beat()
        try:
            while True:
                await self._wanted.wait()
                if self._gather_seconds:
                    await asyncio.sleep(self._gather_seconds)
                self._wanted.clear()
                await self._exchange(connection)
        finally:
            self._heartbeat.cancel()

    def _beat(self) -> None:
        self._wanted.set()
        self._heartbeat = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._beat)

    async def _exchange(self, connection: Connection) -> None:
        # One timer for both limits: most exchanges take tens of microseconds.
        async with asyncio.timeout(None) as limit:
            self._limit = limit
            timer = asyncio.get_running_loop().call_later(self._answer_seconds, self._look, limit, LATE_TURNS)
            try:
                if await self._work.exchange(connection):
                    self._wanted.set()
            finally:
                timer.cancel()
                self._limit = None
        self._up, self._late, self._attempt = True, False, 0
        self._work.works()

    def _look(self, limit: asyncio.Timeout, turns: int) -> None:
        if limit is not self._limit:
            return
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._look, limit, turns - 1)
            return
        self._late = True
        self._work.give_up()
        limit.reschedule(loop.time() + EXCHANGE_SECONDS)


def _pause(attempt: int) -> float:
    ceiling = min(RECONNECT_LAST_SECONDS, RECONNECT_FIRST_SECONDS * 2 ** min(attempt, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
