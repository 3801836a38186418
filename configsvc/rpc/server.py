"""The gRPC server: our services, health and reflection on one address."""

import asyncio
import logging
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import structlog
from google.longrunning import operations_proto_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from configapi.v1 import (
    access_service_pb2,
    application_service_pb2,
    audit_service_pb2,
    configuration_service_pb2,
    operation_service_pb2,
    schema_service_pb2,
    server_service_pb2,
)
from configsvc.access.admission import Admission
from configsvc.api.methods import Methods, revocable
from configsvc.limits.bodies import Bodies
from configsvc.rpc import library_services
from configsvc.rpc.credentials import ReadCredentials, credentials_reader
from configsvc.rpc.handlers import stream_handler, unary_handler, upload_handler
from configsvc.rpc.reflection import add_reflection
from configsvc.telemetry.calls import CallMetrics, InFlight
from configsvc.telemetry.refusals import Refusals
from configsvc.wire.parsing import parsed

log = structlog.get_logger()

# The package has no type hints.
_health: Any = health

SERVICES: tuple[ServiceDescriptor, ...] = (
    application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"],
    configuration_service_pb2.DESCRIPTOR.services_by_name["ConfigurationService"],
    operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"],
    operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"],
    schema_service_pb2.DESCRIPTOR.services_by_name["SchemaService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"],
)

# Otherwise a health watcher that does not read would block the status for all others.
HEALTH_LIMIT_SECONDS = 2.0
CONNECTION_GRACE_SECONDS = 300

MAX_METADATA_BYTES = 32 * 1024
# Requests that are arriving at a time: those of all callers that are not told apart, and those of health and
# of reflection.
SHARED_BODIES = 32
LIBRARY_BODIES = 16
# Of a connection. A client that has as many waits with further calls, or opens another connection.
MAX_STREAMS = 1000
# Each takes about 15 KiB. Some descriptors are left for the database and files.
MAX_CONNECTIONS = 20_000
OTHER_DESCRIPTORS = 200

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
    ("grpc.http2.lookahead_bytes", 64 * 1024),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
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
    health_servicer: Any
    in_flight: InFlight
    refusals: Refusals
    ports: tuple[int, ...]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.ports[0]

    async def start(self) -> None:
        """Start, with health NOT_SERVING."""
        await self.set_serving(False)
        await self.grpc_server.start()

    async def set_serving(self, serving: bool) -> None:
        """Set the health of the server and of each service."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for service in ("", *(service.full_name for service in SERVICES)):
            try:
                async with asyncio.timeout(HEALTH_LIMIT_SECONDS):
                    await self.health_servicer.set(service, status)
            except TimeoutError:
                log.warning("slow reader: a health watch is not being read", service=service)

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls; return when the calls in flight are done or, after the grace period, cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.grpc_server.stop(grace_seconds))
            try:
                async with asyncio.timeout(grace_seconds):
                    await self.in_flight.wait_idle()
            except TimeoutError:
                log.warning("grace period over: calls in flight were cancelled", grace_seconds=grace_seconds)
            # Health and reflection streams never end by themselves.
            await self.grpc_server.stop(0)
        self.refusals.end_window()


def build_server(
    servicers: Mapping[str, object],
    admission: Admission,
    addresses: Sequence[Address],
    metrics: CallMetrics,
    *,
    shared_port: bool,
    connection_age_seconds: float,
) -> Server:
    """Build a server from servicers by service name. Raises AddressInUseError.

    Servers share a port only if all of them set `shared_port`. Connections older than `connection_age_seconds` are
    closed (0: none); their calls have CONNECTION_GRACE_SECONDS to end.
    """
    _GRPC_LOG.addFilter(_shows_no_header)
    grpc_server = grpc.aio.server(options=_options(shared_port, connection_age_seconds))
    in_flight, refusals = InFlight(), Refusals()
    methods = Methods(admission=admission, metrics=metrics, in_flight=in_flight, refusals=refusals)
    read = credentials_reader(admission.authenticator)
    bodies = Bodies(SHARED_BODIES)
    for service in SERVICES:
        servicer = servicers[service.name]
        handlers = {method.name: _handler(method, methods, servicer, read, bodies) for method in service.methods}
        generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
        grpc_server.add_generic_rpc_handlers((generic,))
    health_servicer = _health.aio.HealthServicer()
    grpc_server.add_generic_rpc_handlers((_health_handlers(health_servicer),))
    add_reflection(
        grpc_server, [*(service.full_name for service in SERVICES), health.SERVICE_NAME], Bodies(LIBRARY_BODIES)
    )
    return Server(
        grpc_server=grpc_server,
        health_servicer=health_servicer,
        in_flight=in_flight,
        refusals=refusals,
        ports=tuple(_port(grpc_server, address) for address in addresses),
    )


def _options(shared_port: bool, connection_age_seconds: float) -> list[tuple[str, int]]:
    options = [
        *OPTIONS,
        ("grpc.so_reuseport", int(shared_port)),
        ("grpc.max_allowed_incoming_connections", _connections()),
    ]
    if connection_age_seconds:
        options += [
            ("grpc.max_connection_age_ms", round(connection_age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_SECONDS * 1000),
        ]
    return options


def _connections() -> int:
    """Return how many connections may be open: never so many that no descriptor is left for anything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(descriptors - OTHER_DESCRIPTORS, descriptors // 2))


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


def _health_handlers(servicer: Any) -> grpc.GenericRpcHandler:
    bodies = Bodies(LIBRARY_BODIES)
    handlers = {
        "Check": library_services.unary_handler(servicer.Check, HealthCheckRequest, bodies),
        "Watch": library_services.stream_handler(servicer.Watch, HealthCheckRequest, bodies),
    }
    return grpc.method_handlers_generic_handler(health.SERVICE_NAME, handlers)


def _handler(
    descriptor: MethodDescriptor, methods: Methods, servicer: object, read: ReadCredentials, bodies: Bodies
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    method, implementation = methods.of(descriptor), getattr(servicer, descriptor.name)
    if descriptor.client_streaming:
        return grpc.stream_unary_rpc_method_handler(upload_handler(method, read, implementation))
    takes_bytes = descriptor.name in getattr(servicer, "TAKES_BYTES", ())
    parse = bytes if takes_bytes else partial(parsed, message_factory.GetMessageClass(descriptor.input_type))
    # No deserializer and no serializer: grpcio answers a request that it cannot parse with UNKNOWN.
    if descriptor.server_streaming:
        return grpc.stream_stream_rpc_method_handler(stream_handler(method, read, bodies, parse, implementation))
    lasts = descriptor.name in getattr(servicer, "LASTS", ())
    answer = revocable(method, implementation) if lasts else implementation
    return grpc.stream_unary_rpc_method_handler(unary_handler(method, read, bodies, parse, answer))
