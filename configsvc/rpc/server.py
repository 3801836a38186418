"""The gRPC server: our services, health and reflection on one address."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor

from configsvc.api import health
from configsvc.api.draining import Drain
from configsvc.api.exchanges import handler_of
from configsvc.api.health import Health
from configsvc.api.library_services import LibraryStreams
from configsvc.api.methods import Methods
from configsvc.api.reflection import REFLECTION_METHOD, reflection_handlers
from configsvc.api.services import SERVICES
from configsvc.domain.connections import MAX_METADATA_BYTES, MAX_STREAMS, STREAM_WINDOW_BYTES, ConnectionRules
from configsvc.domain.sizes import MAX_REQUEST_BYTES
from configsvc.limits.bodies import Bodies, library_bodies, shared_bodies
from configsvc.rpc import compression
from configsvc.rpc.credentials import CallReader, call_reader
from configsvc.rpc.exchanges import RpcHandler, stream_rpc, unary_rpc
from configsvc.rpc.tenants import RefusedTenants
from configsvc.telemetry.calls import InFlight
from configsvc.telemetry.refusals import Refusals

log = structlog.get_logger()

CONNECTION_GRACE_SECONDS = 300
# For the other processes on the port, which were told to stop at the same time.
NEIGHBOURS_SECONDS = 0.5
# For the last answers to arrive: gRPC cancels a call whose answer it has sent, if it has not arrived.
LINGER_SECONDS = 1.0


OPTIONS: tuple[tuple[str, int], ...] = (
    # Detects a vanished peer after 30 s; grpc.keepalive_timeout_ms alone never fires.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients may ping every 10 s, with or without a call.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Limits on calls that arrived and have not begun. Past the first, gRPC silently cancels some of them; past the
    # second, or after these seconds, all. After a restart ten thousand watches come back at once.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    ("grpc.server_max_unrequested_time_in_server", 600),
    # Limits how long a silent connection is kept before its handshake.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A stranger's connection with no call under way ends. Clients connect again when they need to.
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    # A stream's window: what a client may send before anybody asks for it. Probing would let it grow to 4 MiB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    compression.OPTION,
    # A call's headers: room for two tokens. Between different limits gRPC rejects calls at random.
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
)


# grpcio logs the value of any header that is not UTF-8, which may be most of a token.
_GRPC_LOG = logging.getLogger("grpc._cython.cygrpc")


def _shows_no_header(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Invalid encoding")


class AddressInUseError(Exception):
    """The server cannot listen on an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address to listen on: host:port or unix:path. Without credentials, connections are in clear text."""

    listen: str
    credentials: grpc.ServerCredentials | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server bound to its addresses, not yet started. `ports` are in the order of the addresses."""

    grpc_server: grpc.aio.Server
    health: Health
    in_flight: InFlight
    drain: Drain
    refusals: Refusals
    shared_port: bool
    ports: tuple[int, ...]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.ports[0]

    async def start(self) -> None:
        """Start, with health NOT_SERVING."""
        await self.grpc_server.start()

    async def run(self) -> None:
        """Return when cancelled: grpcio looks after its connections by itself."""
        await asyncio.Event().wait()

    async def stop(self, grace_seconds: float, end_watches: Callable[[], Awaitable[None]]) -> None:
        """Refuse new calls; return when the calls in flight are answered or, after the grace period, cancelled.

        gRPC cancels what arrives after it has told clients to go elsewhere: calls should be held before.
        """
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self.grpc_server.stop(grace_seconds))
            # The task has told them once it waits. What a refused client sends next goes elsewhere: not to another
            # process on the port that is about to tell its own clients.
            await asyncio.sleep(min(NEIGHBOURS_SECONDS, grace_seconds) if self.shared_port else 0)
            self.drain.refuse()
            await end_watches()
            try:
                async with asyncio.timeout(grace_seconds):
                    await self.in_flight.wait_idle()
            except TimeoutError:
                log.warning("grace period over: calls in flight were cancelled", grace_seconds=grace_seconds)
            # Connections end by themselves, except those of clients that do not respond.
            await asyncio.wait((stopping,), timeout=LINGER_SECONDS)
            await self.cut()
        self.refusals.end_window()

    async def cut(self) -> None:
        """End at once: cancel the calls in flight, if any are left."""
        await self.grpc_server.stop(0)


def build_server(
    servicers: Mapping[str, object],
    methods: Methods,
    addresses: Sequence[Address],
    rules: ConnectionRules,
) -> Server:
    """Build a server from servicers by service name. Raises AddressInUseError.

    Calls of a connection that is too old have CONNECTION_GRACE_SECONDS to end.
    """
    _GRPC_LOG.addFilter(_shows_no_header)
    grpc_server = grpc.aio.server(options=_options(rules))
    read = call_reader(methods.admission.authenticator, rules.trusted_proxies)
    bodies = shared_bodies()
    grpc_server.add_generic_rpc_handlers((RefusedTenants(),))
    for service in SERVICES:
        servicer = servicers[service.name]
        handlers = {method.name: _rpc(method, methods, servicer, read, bodies) for method in service.methods}
        generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
        grpc_server.add_generic_rpc_handlers((generic,))
    names = [service.full_name for service in SERVICES]
    streams = LibraryStreams(methods.drain, library_bodies())
    health_of_all = Health(names)
    of_health = {
        name: (stream_rpc if name == "Watch" else unary_rpc)(handler, read)
        for name, handler in health_of_all.handlers(streams, library_bodies()).items()
    }
    grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(health.SERVICE, of_health),))
    for service, handler in reflection_handlers([*names, health.SERVICE], streams).items():
        of_reflection = {REFLECTION_METHOD: stream_rpc(handler, read)}
        grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, of_reflection),))
    return Server(
        grpc_server=grpc_server,
        health=health_of_all,
        in_flight=methods.in_flight,
        drain=methods.drain,
        refusals=methods.refusals,
        shared_port=rules.shared_port,
        ports=tuple(_port(grpc_server, address) for address in addresses),
    )


def _options(rules: ConnectionRules) -> list[tuple[str, int]]:
    options = [
        *OPTIONS,
        ("grpc.so_reuseport", int(rules.shared_port)),
        ("grpc.max_allowed_incoming_connections", rules.most),
    ]
    if rules.age_seconds:
        options += [
            ("grpc.max_connection_age_ms", round(rules.age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_SECONDS * 1000),
        ]
    return options


def _port(grpc_server: grpc.aio.Server, address: Address) -> int:
    listen, credentials = address.listen, address.credentials
    try:
        if credentials is None:
            return grpc_server.add_insecure_port(listen)
        return grpc_server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise AddressInUseError(
            f"cannot listen on {listen}: it is in use, or not an address of this machine"
        ) from error


def _rpc(
    descriptor: MethodDescriptor, methods: Methods, servicer: object, read: CallReader, bodies: Bodies
) -> RpcHandler:
    handler = handler_of(descriptor, methods, servicer, bodies)
    return (stream_rpc if descriptor.server_streaming else unary_rpc)(handler, read)
