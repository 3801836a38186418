"""TLS handshakes, counted and limited like the connections that they become."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 5.0


class Room(Protocol):
    """The connections of a server, of which there can be only so many."""

    @property
    def handshakes(self) -> "dict[Handshake, float]":
        """Handshakes that are under way, by their beginnings; oldest first."""
        ...

    @property
    def tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks of the server."""
        ...

    def make_room(self) -> bool:
        """Return whether there is room for one more, after making some if need be."""
        ...


class Handshake(asyncio.Protocol):
    """A connection whose TLS handshake is under way. It counts as one, unlike in a server that is told to use TLS."""

    def __init__(self, room: Room, context: ssl.SSLContext, new_connection: Callable[[], asyncio.Protocol]) -> None:
        self._room = room
        self._context = context
        self._new_connection = new_connection
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._room.make_room():
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._room.handshakes[self] = loop.time()
        self._task = loop.create_task(self._shake(self._transport))
        self._room.tasks.add(self._task)
        self._task.add_done_callback(self._room.tasks.discard)

    async def _shake(self, plain: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError:
            # Anyone can cause it without end.
            plain.abort()
            return
        finally:
            self._room.handshakes.pop(self, None)
        if secured is None or self._lost:
            plain.abort()
            return
        connection = self._new_connection()
        secured.set_protocol(connection)
        connection.connection_made(secured)
        if self._early:
            connection.data_received(b"".join(self._early))

    def data_received(self, data: bytes) -> None:
        """Keep what arrives together with the end of the handshake."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost = True
        self._room.handshakes.pop(self, None)

    def drop(self) -> None:
        """End the connection at once."""
        self._room.handshakes.pop(self, None)
        if self._transport:
            self._transport.abort()
