"""The open connections of a server: how many there are, and what happens to them from time to time."""

import asyncio
from typing import TYPE_CHECKING, Any

from configsvc.http2.connections import Calls
from configsvc.http2.sockets import Socket

if TYPE_CHECKING:
    from configsvc.process.handshakes import Handshake

TICK_SECONDS = 1.0
SENT_SECONDS = 0.02
# For the client to read the last bytes, and to close the connection.
LINGER_SECONDS = 5.0
# Without any progress.
UNREAD_SECONDS = 30.0


class OpenSockets:
    """The connections of one server."""

    def __init__(self, calls: Calls, limit: int, *, age_seconds: float) -> None:
        self.calls = calls
        self.all: dict[Socket, None] = {}
        # Those that wait for their clients to read, and those that are over but for their last bytes; oldest first.
        self.unread: dict[Socket, None] = {}
        self.closing: dict[Socket, None] = {}
        self.handshakes: dict[Handshake, float] = {}
        # Those of handshakes.
        self.tasks: set[asyncio.Task[Any]] = set()
        self.leaving = False
        self._limit = limit
        self._age_seconds = age_seconds
        self._emptied = asyncio.Event()

    def add(self, one: Socket) -> bool:
        """Return whether there is room for one more, which counts from now on."""
        if self.leaving or not self.make_room():
            return False
        self.all[one] = None
        return True

    def make_room(self) -> bool:
        """Return whether there is room for one more, at the cost of one that has sent nothing yet if need be."""
        if len(self.all) + len(self.handshakes) < self._limit:
            return True
        silent = next(iter(self.handshakes), None) or next((one for one in self.all if not one.is_begun), None)
        if silent is not None:
            silent.drop()
        return silent is not None

    def discard(self, one: Socket) -> None:
        """Forget a connection that has ended."""
        for among in (self.all, self.unread, self.closing):
            among.pop(one, None)
        if not self.all:
            self._emptied.set()

    def limit_age(self, one: Socket) -> None:
        """Have the connection end when it is old."""
        if self._age_seconds and one.keepalive is not None:
            one.keepalive.limit_age(one.opened, self._age_seconds)

    def leave(self) -> None:
        """Tell all clients to make no further calls."""
        self.leaving = True
        for one in tuple(self.all):
            one.leave()

    async def wait_sent(self) -> None:
        """Wait until the clients have been sent everything."""
        while self.unread:  # noqa: ASYNC110  # rare, and short
            await asyncio.sleep(SENT_SECONDS)

    async def cut(self) -> None:
        """End all connections at once, and wait for the end of their calls."""
        for one in (*self.handshakes, *self.all):
            one.drop()
        # Dropped transports tell of it in the next turn of the event loop, and calls end in the one after that.
        for _ in range(3):
            await asyncio.sleep(0)

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self.all:
            self._emptied.clear()
            await self._emptied.wait()

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick(loop.time())

    def _tick(self, now: float) -> None:
        for one in tuple(self.all):
            one.tick(now)
        for one in tuple(self.unread):
            one.check_unread(now, UNREAD_SECONDS)
        for one in tuple(self.closing):
            if one.closing_since is not None and now - one.closing_since > LINGER_SECONDS:
                one.drop()
