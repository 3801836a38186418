"""The HTTP server: uvicorn's protocol in the event loop of the service, on sockets of its own."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial

from google.protobuf.descriptor import MethodDescriptor

from configsvc.api.methods import Methods, revocable
from configsvc.api.pages import has_pages, paged
from configsvc.api.services import SERVICES
from configsvc.domain.connections import ConnectionRules
from configsvc.limits.bodies import shared_bodies
from configsvc.process.handshakes import Handshake
from configsvc.process.ports import listening_sockets
from configsvc.web.browsers import BrowserRules
from configsvc.web.calls import Handler, Requests
from configsvc.web.connections import Connection
from configsvc.web.console import ConsoleSettings
from configsvc.web.door import Door
from configsvc.web.events import Frames
from configsvc.web.health import HealthPages
from configsvc.web.open_connections import Connections
from configsvc.web.origins import OriginReader
from configsvc.web.routes import Routes
from configsvc.web.streams import stream_handler, upload_handler, watch_handler
from configsvc.web.unary import unary_handler

BACKLOG = 2048
SWEEP_SECONDS = 1.0
# For the last answers to arrive.
LAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """An HTTP server bound to its address, not yet started."""

    connections: Connections
    health: HealthPages
    sockets: Sequence[socket.socket]
    tls: ssl.SSLContext | None
    listeners: list[asyncio.Server]

    @property
    def port(self) -> int:
        """The port of all its addresses."""
        return self.sockets[0].getsockname()[1]

    async def run(self) -> None:
        """Serve until cancelled; then cut off everybody who is left."""
        loop = asyncio.get_running_loop()
        try:
            for one in self.sockets:
                self.listeners.append(await loop.create_server(self._new_connection(), sock=one, backlog=BACKLOG))
            while True:
                self.connections.state.default_headers[:] = [(b"date", formatdate(usegmt=True).encode())]
                self.connections.sweep(loop.time())
                await asyncio.sleep(SWEEP_SECONDS)
        finally:
            self.cut()

    def _new_connection(self) -> Callable[[], asyncio.Protocol]:
        new = partial(Connection, self.connections)
        if self.tls is None:
            return new
        return partial(Handshake, self.connections, self.tls, new)

    def stop_accepting(self) -> None:
        """Accept no further connection, and end those without a request."""
        for listener in self.listeners:
            listener.close()
        self.connections.end_idle()

    async def stop(self) -> None:
        """Cancel the calls that are left, and end all connections once their clients have read the answers."""
        for task in tuple(self.connections.state.tasks):
            task.cancel()
        self.connections.end_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.connections.wait_empty()
        self.cut()

    def cut(self) -> None:
        """End all connections at once."""
        for listener in self.listeners:
            listener.close()
        for one in (*self.connections.handshakes, *self.connections.all):
            one.drop()


def build_http_server(
    servicers: Mapping[str, object],
    methods: Methods,
    listen: str,
    rules: ConnectionRules,
    *,
    tls: ssl.SSLContext | None,
    health: HealthPages,
    browsers: BrowserRules,
    console: ConsoleSettings,
) -> HttpServer:
    """Build a server from servicers by service name. Raises StartError."""
    origins = OriginReader(rules.trusted_proxies, methods.admission.authenticator)
    requests, frames = Requests(origins, shared_bodies(), methods.large), Frames(methods.large)
    handlers = {
        method: _handler(method, methods, servicers[service.name], requests, frames)
        for service in SERVICES
        for method in service.methods
    }
    app = Door(Routes(SERVICES), handlers, health, browsers, console)
    return HttpServer(
        connections=Connections(app, rules.most, age_seconds=rules.age_seconds),
        health=health,
        sockets=listening_sockets(listen, backlog=BACKLOG, shared=rules.shared_port),
        tls=tls,
        listeners=[],
    )


def _handler(
    descriptor: MethodDescriptor, methods: Methods, servicer: object, requests: Requests, frames: Frames
) -> Handler:
    method, implementation = methods.of(descriptor), getattr(servicer, descriptor.name)
    if descriptor.client_streaming:
        return upload_handler(method, requests.origins, frames, implementation)
    poll = getattr(servicer, "poll", None)
    if descriptor.name == "WatchConfigurations" and poll:
        return watch_handler(method, requests, frames, implementation, poll)
    if descriptor.server_streaming:
        return stream_handler(method, requests, frames, implementation)
    if has_pages(descriptor):
        implementation = paged(implementation, methods.epoch_for)
    lasts = descriptor.name in getattr(servicer, "LASTS", ())
    answer = revocable(method, implementation) if lasts else implementation
    takes_bytes = descriptor.name in getattr(servicer, "TAKES_BYTES", ())
    return unary_handler(method, requests, answer, takes_bytes=takes_bytes, lasts=lasts)
