"""TLS handshakes of HTTP, counted and limited like the connections that they become."""

import asyncio
import ssl
from typing import cast

from configsvc.web.connections import Connection
from configsvc.web.open_connections import HEAD_SECONDS, LINGER_SECONDS, Connections


class Handshake(asyncio.Protocol):
    """A connection whose TLS handshake is under way. It counts as one, unlike in a server that is told to use TLS."""

    def __init__(self, connections: Connections, context: ssl.SSLContext) -> None:
        self._shared = connections
        self._context = context
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._shared.make_room():
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._shared.handshakes[self] = loop.time()
        self._task = loop.create_task(self._shake(self._transport))
        self._shared.state.tasks.add(self._task)
        self._task.add_done_callback(self._shared.state.tasks.discard)

    async def _shake(self, plain: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HEAD_SECONDS,
                ssl_shutdown_timeout=LINGER_SECONDS,
            )
        except OSError:
            # Anyone can cause it without end.
            plain.abort()
            return
        finally:
            self._shared.handshakes.pop(self, None)
        if secured is None or self._lost:
            plain.abort()
            return
        connection = Connection(self._shared)
        secured.set_protocol(connection)
        connection.connection_made(secured)
        if self._early:
            connection.data_received(b"".join(self._early))

    def data_received(self, data: bytes) -> None:
        """Keep what arrives together with the end of the handshake."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost = True
        self._shared.handshakes.pop(self, None)

    def drop(self) -> None:
        """End the connection at once."""
        self._shared.handshakes.pop(self, None)
        if self._transport:
            self._transport.abort()
