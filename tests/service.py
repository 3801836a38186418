"""A running service for a test: the real one, on a port of its own, over a database of its own."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from configapi.v1.access_service_pb2_grpc import AccessServiceStub
from configapi.v1.application_service_pb2_grpc import ApplicationServiceStub
from configapi.v1.audit_service_pb2_grpc import AuditServiceStub
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.operation_service_pb2_grpc import OperationServiceStub
from configapi.v1.schema_service_pb2_grpc import SchemaServiceStub
from configapi.v1.server_service_pb2_grpc import ServerServiceStub
from configapi.v1.source_service_pb2_grpc import SourceServiceStub
from configsvc.api.services import SERVICES
from configsvc.app.assembly import Servers
from configsvc.app.run import run_service
from configsvc.domain.content import JsonObject
from configsvc.process.settings import Settings
from tests.doors.client import HttpClient, http_client

if TYPE_CHECKING:
    from configapi.v1.access_service_pb2_grpc import AccessServiceAsyncStub
    from configapi.v1.application_service_pb2_grpc import ApplicationServiceAsyncStub
    from configapi.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceAsyncStub
    from configapi.v1.operation_service_pb2_grpc import OperationServiceAsyncStub
    from configapi.v1.schema_service_pb2_grpc import SchemaServiceAsyncStub
    from configapi.v1.server_service_pb2_grpc import ServerServiceAsyncStub
    from configapi.v1.source_service_pb2_grpc import SourceServiceAsyncStub

LIMIT_SECONDS = 20.0
# The transport of gRPC where a test does not choose one.
TRANSPORT = os.environ.get("CONFIGSVC_TEST_TRANSPORT", "grpcio")
# Between two looks at something that a test waits for.
POLL_SECONDS = 0.005


# The services by the attributes of a Service.
STUBS = {
    name: next(one for one in SERVICES if one.name == service)
    for name, service in {
        "access": "AccessService",
        "applications": "ApplicationService",
        "audit": "AuditService",
        "configurations": "ConfigurationService",
        "items": "OperationService",
        "operations": "Operations",
        "schemas": "SchemaService",
        "server": "ServerService",
        "sources": "SourceService",
    }.items()
}


class Door(Enum):
    """The ways into a service."""

    GRPC = "grpc"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Stubs for a running service, over one of its doors; `stop` ends it, as SIGTERM would.

    `address` and `channel` are those of gRPC, and empty if the stubs use HTTP; `http` is there whatever they use.
    """

    door: Door
    address: str
    # Empty unless the service serves HTTP.
    http_address: str
    channel: grpc.aio.Channel
    # None unless the service serves HTTP.
    http: HttpClient | None
    applications: "ApplicationServiceAsyncStub"
    configurations: "ConfigurationServiceAsyncStub"
    schemas: "SchemaServiceAsyncStub"
    access: "AccessServiceAsyncStub"
    audit: "AuditServiceAsyncStub"
    server: "ServerServiceAsyncStub"
    sources: "SourceServiceAsyncStub"
    items: "OperationServiceAsyncStub"
    # Its package has no types for asyncio.
    operations: Any
    # Its package has no types.
    health: Any
    stop: asyncio.Event


@asynccontextmanager
async def running_service(
    database_url: str,
    *,
    door: Door = Door.GRPC,
    grace_seconds: float = 5.0,
    credentials: grpc.ChannelCredentials | None = None,
    **more: Any,
) -> AsyncGenerator[Service]:
    """Serve a migrated database, in a task of its own, and wait until it is SERVING. The stubs use the door;
    `credentials` are the client's, `more` other settings.
    """
    stop = asyncio.Event()
    bound: asyncio.Future[Servers] = asyncio.get_running_loop().create_future()
    of_door: dict[str, Any] = {"http_listen": "127.0.0.1:0"} if door is Door.HTTP else {}
    settings = settings_of(**{"shutdown_grace_seconds": grace_seconds} | of_door | more)
    serving = asyncio.create_task(run_service(settings, database_url, stop=stop, started=bound.set_result))
    serving.add_done_callback(lambda task: bound.done() or bound.cancel())
    try:
        servers = await bound
        async with connected(f"127.0.0.1:{servers.rpc.port}", stop, credentials) as service:
            await wait_for_health(service, HealthCheckResponse.SERVING)
            if servers.http is None:
                yield service
                return
            http_address = f"127.0.0.1:{servers.http.port}"
            async with http_client(f"http://{http_address}") as http:
                both = replace(service, http_address=http_address, http=http)
                yield over_http(both, http) if door is Door.HTTP else both
    finally:
        if bound.done() and not bound.cancelled() and not stop.is_set():
            # Unless the test looks at the end of the service, nobody calls any more.
            bound.result().rpc.drain.quiet_seconds = 0.0
        stop.set()
        await serving


def settings_of(**settings: Any) -> Settings:
    """Return settings for a port of its own, whatever the folder's .env file says."""
    return Settings(**dict[str, Any](_env_file=None, listen="127.0.0.1:0", transport=TRANSPORT) | settings)


@asynccontextmanager
async def connected(
    address: str, stop: asyncio.Event, credentials: grpc.ChannelCredentials | None = None
) -> AsyncGenerator[Service]:
    """Yield stubs on their own channel, which shares no connection; without credentials, in clear text."""
    options = (
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # The address of a socket is not a name that a certificate could have.
        *((("grpc.ssl_target_name_override", "localhost"),) if credentials else ()),
    )
    async with (
        grpc.aio.secure_channel(address, credentials, options=options)
        if credentials
        else grpc.aio.insecure_channel(address, options=options)
    ) as channel:
        yield service_on(channel, address, stop)


def service_on(channel: grpc.aio.Channel, address: str, stop: asyncio.Event) -> Service:
    """Return stubs on a channel."""
    return Service(
        door=Door.GRPC,
        address=address,
        http_address="",
        channel=channel,
        http=None,
        applications=ApplicationServiceStub(channel),
        configurations=ConfigurationServiceStub(channel),
        schemas=SchemaServiceStub(channel),
        access=AccessServiceStub(channel),
        audit=AuditServiceStub(channel),
        server=ServerServiceStub(channel),
        sources=SourceServiceStub(channel),
        items=OperationServiceStub(channel),
        operations=OperationsStub(channel),
        health=HealthStub(channel),
        stop=stop,
    )


def over_http(service: Service, http: HttpClient) -> Service:
    """Return the service with stubs on the HTTP door; health stays on gRPC, as it is no part of the contract."""
    stubs = {name: http.stub(descriptor) for name, descriptor in STUBS.items()}
    return replace(service, door=Door.HTTP, address="", channel=_NO_CHANNEL, http=http, **stubs)


class _NoChannel:
    """The channel of stubs over HTTP."""

    def __getattr__(self, _: str) -> NoReturn:
        raise AssertionError("the test is about gRPC: mark it with grpc_only")


_NO_CHANNEL: Any = _NoChannel()


def method_of(service: Service, method: MethodDescriptor) -> Any:
    """Return the function of a stub that calls the method."""
    names = {descriptor.full_name: name for name, descriptor in STUBS.items()}
    return getattr(getattr(service, names[method.containing_service.full_name]), method.name)


async def wait_for_health(service: Service, wanted: HealthCheckResponse.ServingStatus.ValueType) -> None:
    """Wait until the server reports this health."""
    async with asyncio.timeout(LIMIT_SECONDS):
        async for response in service.health.Watch(HealthCheckRequest(service="")):
            if response.status == wanted:
                return


async def end_of(call: Any) -> grpc.StatusCode:
    """Return the end of a stream, after reading all earlier messages."""
    async with asyncio.timeout(LIMIT_SECONDS):
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError:
            pass
        return await call.code()


def struct(content: JsonObject) -> Struct:
    """Return a Struct with the content."""
    message = Struct()
    message.update(content)
    return message


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """Return the google.rpc.Status of an error."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    return Status.FromString(details)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of the error's ErrorInfo."""
    return error_info_of(error).reason


def reason_if_any(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of an error; empty if it comes from gRPC itself, as for a broken connection."""
    from_service = "grpc-status-details-bin" in dict(error.trailing_metadata() or ())
    return reason_of(error) if from_service else ""


def error_info_of(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Return the ErrorInfo of an error, which every error of the service has."""
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in status_of(error).details)
    return info


def violations_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the field violations of an error: description by field."""
    bad_request = BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status_of(error).details)
    return {violation.field: violation.description for violation in bad_request.field_violations}
