"""The gRPC server over libnghttp2: our services, health and reflection on its addresses."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from configsvc.api import health
from configsvc.api.draining import Drain
from configsvc.api.exchanges import Handler, handler_of
from configsvc.api.health import Health
from configsvc.api.library_services import LibraryStreams
from configsvc.api.methods import Methods
from configsvc.api.reflection import REFLECTION_METHOD, reflection_handlers
from configsvc.api.services import SERVICES
from configsvc.domain.connections import ConnectionRules
from configsvc.http2.callers import CallerReader
from configsvc.http2.connections import Calls, Framer
from configsvc.http2.deadlines import Deadlines
from configsvc.http2.listeners import BACKLOG, Address, Listening, listening
from configsvc.http2.open_sockets import OpenSockets
from configsvc.http2.sockets import Socket
from configsvc.limits.bodies import library_bodies, shared_bodies
from configsvc.process.handshakes import Handshake
from configsvc.telemetry.calls import InFlight
from configsvc.telemetry.refusals import Refusals

log = structlog.get_logger()

# For the other processes on the port, which were told to stop at the same time.
NEIGHBOURS_SECONDS = 0.5
# For the last answers to arrive.
LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server bound to its addresses, not yet started. `ports` are in the order of the addresses."""

    connections: OpenSockets
    health: Health
    in_flight: InFlight
    drain: Drain
    refusals: Refusals
    shared_port: bool
    addresses: tuple[Listening, ...]
    listeners: list[asyncio.Server]

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of its addresses."""
        return tuple(one.port for one in self.addresses)

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.ports[0]

    async def start(self) -> None:
        """Start, with health NOT_SERVING."""
        loop = asyncio.get_running_loop()
        for address in self.addresses:
            new = self._new_connection(address)
            for one in address.sockets:
                # uvloop tells the two kinds apart.
                create = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
                self.listeners.append(await create(new, sock=one, backlog=BACKLOG))

    def _new_connection(self, address: Listening) -> Callable[[], asyncio.Protocol]:
        new = partial(Socket, self.connections)
        return new if address.tls is None else partial(Handshake, self.connections, address.tls, new)

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        await self.connections.run()

    async def stop(self, grace_seconds: float, end_watches: Callable[[], Awaitable[None]]) -> None:
        """Refuse new calls; return when the calls in flight are answered or, after the grace period, cancelled."""
        loop = asyncio.get_running_loop()
        self._stop_accepting()
        self.connections.leave()
        # What a refused client sends next goes elsewhere: not to another process on the port that is about to tell its
        # own clients.
        await asyncio.sleep(min(NEIGHBOURS_SECONDS, grace_seconds) if self.shared_port else 0)
        self.drain.refuse()
        await end_watches()
        ends = loop.time() + grace_seconds
        try:
            async with asyncio.timeout_at(ends):
                await self.in_flight.wait_idle()
                # Their last bytes are on the way to clients that may read slowly.
                await self.connections.wait_sent()
        except TimeoutError:
            log.warning("grace period over: calls in flight were cancelled", grace_seconds=grace_seconds)
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self.connections.wait_empty()
        except TimeoutError:
            # Connections end by themselves, except those of clients that do not respond.
            pass
        await self.cut()
        self.refusals.end_window()

    def _stop_accepting(self) -> None:
        for listener in self.listeners:
            listener.close()

    async def cut(self) -> None:
        """End at once: cancel the calls in flight, if any are left."""
        self._stop_accepting()
        for address in self.addresses:
            for one in address.sockets:
                one.close()
        await self.connections.cut()


def build_server(
    servicers: Mapping[str, object],
    methods: Methods,
    addresses: Sequence[Address],
    rules: ConnectionRules,
) -> Server:
    """Build a server from servicers by service name. Raises StartError."""
    names = [service.full_name for service in SERVICES]
    health_of_all = Health(names)
    calls = Calls(
        handlers={
            f"/{name}".encode(): handler
            for name, handler in {
                **_own_handlers(servicers, methods),
                **_library_handlers(names, health_of_all, methods.drain),
            }.items()
        },
        callers=CallerReader(methods.admission.authenticator, rules.trusted_proxies),
        framer=Framer(),
        deadlines=Deadlines(),
    )
    return Server(
        connections=OpenSockets(calls, rules.most, age_seconds=rules.age_seconds),
        health=health_of_all,
        in_flight=methods.in_flight,
        drain=methods.drain,
        refusals=methods.refusals,
        shared_port=rules.shared_port,
        addresses=tuple(listening(address, shared=rules.shared_port) for address in addresses),
        listeners=[],
    )


def _own_handlers(servicers: Mapping[str, object], methods: Methods) -> dict[str, Handler]:
    bodies = shared_bodies()
    return {
        f"{service.full_name}/{method.name}": handler_of(method, methods, servicers[service.name], bodies)
        for service in SERVICES
        for method in service.methods
    }


def _library_handlers(names: list[str], of_all: Health, drain: Drain) -> dict[str, Handler]:
    streams = LibraryStreams(drain, library_bodies())
    of_health = of_all.handlers(streams, library_bodies())
    of_reflection = reflection_handlers([*names, health.SERVICE], streams)
    return {
        **{f"{health.SERVICE}/{name}": handler for name, handler in of_health.items()},
        **{f"{service}/{REFLECTION_METHOD}": handler for service, handler in of_reflection.items()},
    }
