"""The open connections of an HTTP server: how many there are, and how long each may wait."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from configsvc.telemetry.families import Families, gauge, labelled_counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from configsvc.process.handshakes import Handshake
    from configsvc.web.connections import Connection

# For the headers of a request, from the beginning of the connection or from their first byte.
HEAD_SECONDS = 10.0
# Longer than proxies keep a connection that they do not use.
IDLE_SECONDS = 75.0
# For the client to read an answer that is the last one, and to stop sending.
LINGER_SECONDS = 5.0
# Without any progress.
UNREAD_SECONDS = 60.0


class Connections:
    """The connections of one server, by what they wait for. Each dictionary is in the order of its times."""

    def __init__(self, app: Any, limit: int, *, age_seconds: float) -> None:
        self.app = app
        self.config = _config(app)
        self.state = ServerState()
        self.draining = False
        self.age_seconds = age_seconds
        self.refused: dict[int, int] = {}
        self.handshakes: dict[Handshake, float] = {}
        self.arriving: dict[Connection, float] = {}
        self.idle: dict[Connection, float] = {}
        self.ending: dict[Connection, float] = {}
        self.unread: dict[Connection, tuple[float, int]] = {}
        self._limit = limit
        self._emptied = asyncio.Event()

    @property
    def all(self) -> "set[Connection]":
        """Every connection whose handshake is over."""
        return cast("set[Connection]", self.state.connections)

    @property
    def tasks(self) -> "set[asyncio.Task[Any]]":
        """The tasks of requests and handshakes."""
        return self.state.tasks

    def __len__(self) -> int:
        return len(self.handshakes) + len(self.state.connections)

    def collect(self) -> Families:
        """Yield the metrics."""
        yield gauge("http_connections", "Open connections of HTTP.", len(self))
        refused = {(str(status),): count for status, count in tuple(self.refused.items())}
        yield labelled_counter("http_refused_requests", "Requests that reached no method.", ("status",), refused)

    def left(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""
        self.state.connections.discard(cast("Any", connection))
        for waiting in (self.arriving, self.idle, self.ending, self.unread):
            cast("dict[Connection, Any]", waiting).pop(connection, None)
        if not self.state.connections:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self.state.connections:
            self._emptied.clear()
            await self._emptied.wait()

    def make_room(self) -> bool:
        """Return whether there is room for one more, at the cost of the one that has sent no request for longest."""
        if len(self) < self._limit:
            return True
        for waiting in (self.arriving, self.handshakes, self.idle, self.ending):
            if waiting:
                next(iter(waiting)).drop()
                return True
        return False

    def end_idle(self) -> None:
        """End those without a request, once their last answers are sent."""
        for connection in (*self.idle, *self.arriving):
            if not connection.head_begun:
                connection.transport.close()

    def sweep(self, now: float) -> None:
        """End those that are late."""
        for connection in _late(self.idle, now - IDLE_SECONDS):
            connection.end()
        for connection in _late(self.arriving, now - HEAD_SECONDS):
            connection.end_late_head()
        for connection in _late(self.ending, now - LINGER_SECONDS):
            connection.end_lingering(now)
        for connection, (since, size) in list(self.unread.items()):
            if since > now - UNREAD_SECONDS:
                break
            connection.end_unread(size, now)


def _config(app: Any) -> Config:
    config = Config(
        app,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        # It has nothing to say that the log should have: anyone can send what is not HTTP.
        log_level="critical",
        access_log=False,
    )
    config.load()
    return config


def _late(waiting: "dict[Connection, float]", limit: float) -> "Sequence[Connection]":
    late: list[Connection] = []
    for connection, since in waiting.items():
        if since > limit:
            break
        late.append(connection)
    return late
