"""The HTTP server: uvicorn in the event loop of the service, on a socket of its own."""

import contextlib
import socket
import ssl
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import uvicorn
from google.protobuf.descriptor import MethodDescriptor

from configsvc.api.methods import Methods, revocable
from configsvc.api.pages import has_pages, paged
from configsvc.api.services import SERVICES
from configsvc.domain.peers import TrustedProxies
from configsvc.limits.bodies import Bodies
from configsvc.web.browsers import BrowserRules, is_loopback
from configsvc.web.calls import Handler
from configsvc.web.connections import Connection
from configsvc.web.door import Door
from configsvc.web.events import Frames
from configsvc.web.health import HealthPages
from configsvc.web.origins import OriginReader
from configsvc.web.routes import Routes
from configsvc.web.streams import stream_handler, upload_handler, watch_handler
from configsvc.web.unary import unary_handler

# Requests that are arriving at a time, of all callers that are not told apart.
SHARED_BODIES = 32
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
MAX_CONNECTIONS = 20_000


class HttpAddressInUseError(Exception):
    """The server cannot listen on an address."""


class _Uvicorn(uvicorn.Server):
    """uvicorn without its handlers of signals: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture nothing."""
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """An HTTP server bound to its address, not yet started."""

    uvicorn: _Uvicorn
    health: HealthPages
    sockets: tuple[socket.socket, ...]
    port: int

    async def run(self) -> None:
        """Serve until `stop` is called, or cut off everybody when cancelled."""
        try:
            await self.uvicorn.serve(sockets=list(self.sockets))
        finally:
            for connection in list(self.uvicorn.server_state.connections):
                connection.transport.abort()

    def stop_accepting(self) -> None:
        """Accept no further connection: clients go to another process."""
        for server in getattr(self.uvicorn, "servers", ()):
            server.close()

    def stop(self) -> None:
        """End all connections; calls have ended by now, or get no more time."""
        self.uvicorn.should_exit = True
        self.uvicorn.force_exit = True


def build_http_server(
    servicers: Mapping[str, object],
    methods: Methods,
    listen: str,
    *,
    tls: ssl.SSLContext | None,
    trusted_proxies: TrustedProxies,
    health: HealthPages,
    origins: frozenset[str],
    shared_port: bool,
) -> HttpServer:
    """Build a server from servicers by service name. Raises HttpAddressInUseError."""
    read = OriginReader(trusted_proxies, reads_tokens=methods.admission.authenticator.reads_tokens)
    bodies, frames = Bodies(SHARED_BODIES), Frames(methods.large)
    handlers = {
        method: _handler(method, methods, servicers[service.name], read, bodies, frames)
        for service in SERVICES
        for method in service.methods
    }
    config = uvicorn.Config(
        Door(Routes(SERVICES), handlers, health, BrowserRules(origins=origins, local_only=is_loopback(listen))),
        loop="none",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
    )
    config.load()
    config.ssl = tls
    sockets = _bound(listen, shared_port=shared_port)
    return HttpServer(uvicorn=_Uvicorn(config), health=health, sockets=sockets, port=sockets[0].getsockname()[1])


def _bound(listen: str, *, shared_port: bool) -> tuple[socket.socket, ...]:
    host, _, port = listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        dual = host.strip("[]") == "::" and socket.has_dualstack_ipv6()
        bound = socket.create_server(
            address[:2], family=family, backlog=BACKLOG, reuse_port=shared_port, dualstack_ipv6=dual
        )
    except OSError as error:
        raise HttpAddressInUseError(
            f"cannot listen on {listen}: it is in use, or not an address of this machine"
        ) from error
    return (bound,)


def _handler(
    descriptor: MethodDescriptor, methods: Methods, servicer: object, read: OriginReader, bodies: Bodies, frames: Frames
) -> Handler:
    method, implementation = methods.of(descriptor), getattr(servicer, descriptor.name)
    if descriptor.client_streaming:
        return upload_handler(method, read, frames, implementation)
    poll = getattr(servicer, "poll", None)
    if descriptor.name == "WatchConfigurations" and poll:
        return watch_handler(method, read, bodies, frames, implementation, poll)
    if descriptor.server_streaming:
        return stream_handler(method, read, bodies, frames, implementation)
    if has_pages(descriptor):
        implementation = paged(implementation, methods.epoch_for)
    lasts = descriptor.name in getattr(servicer, "LASTS", ())
    answer = revocable(method, implementation) if lasts else implementation
    takes_bytes = descriptor.name in getattr(servicer, "TAKES_BYTES", ())
    return unary_handler(method, read, bodies, answer, methods.large, takes_bytes=takes_bytes, lasts=lasts)
