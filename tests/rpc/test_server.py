"""The served methods, reflection and health."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from tests.api.calls import (
    create,
    create_application,
    failing,
    get,
    head,
    list_request,
)
from tests.proxy import Proxy, far_service, proxied
from tests.rpc.served import OURS
from tests.service import LIMIT_SECONDS, Service, running_service, wait_for_health
from tests.watch.changing import watching, with_epoch

# Methods whose requests may be empty.
TAKE_NOTHING = {
    "ExportConfigurations",
    "GetCaller",
    "GetServerStatus",
    "ListApplications",
    "ListSources",
    "ImportConfigurations",
    "ListChanges",
    "ListOperations",
    "ListRoleBindings",
    "ListSchemas",
    "ListConfigurations",
    "ListWatches",
    "WatchConfigurations",
}


async def reflect(service: Service, version: str, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    """Return the answer of reflection to each request."""
    call = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(iter(requests))
    return [response async for response in call]


async def status_in_health(service: Service, name: str) -> int:
    return (await service.health.Check(HealthCheckRequest(service=name))).status


async def methods_of(service: Service, name: str) -> list[str]:
    """Return the paths of a service's methods, as reflection describes them."""
    (response,) = await reflect(service, "v1", ServerReflectionRequest(file_containing_symbol=name))
    files = [FileDescriptorProto.FromString(data) for data in response.file_descriptor_response.file_descriptor_proto]
    return [
        f"/{name}/{method.name}"
        for file in files
        for described in file.service
        if f"{file.package}.{described.name}" == name
        for method in described.method
    ]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_names_every_service(service: Service, version: str) -> None:
    (response,) = await reflect(service, version, ServerReflectionRequest(list_services=""))
    found = {one.name for one in response.list_services_response.service}
    assert found == {
        *OURS,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    described = await reflect(
        service, version, *(ServerReflectionRequest(file_containing_symbol=name) for name in sorted(found))
    )
    assert all(one.file_descriptor_response.file_descriptor_proto for one in described)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("configapi.v1.ConfigurationService", "configuration_service"),
        ("configapi.v1.ConfigurationService.GetConfiguration", "configuration_service"),
        ("configapi.v1.SchemaImport.Outcome", "schema_service"),
        ("configapi.v1.OperationMetadata.STATE_RUNNING", "operation_service"),
        ("configapi.v1.ROLE_VIEWER", "access_service"),
        ("configapi.v1.Configuration.name", "configuration"),
        ("configapi.v1.rules", "method_rules"),
    ],
)
async def test_reflection_resolves_every_kind_of_symbol_with_comments(
    service: Service, version: str, symbol: str, file: str
) -> None:
    (response,) = await reflect(service, version, ServerReflectionRequest(file_containing_symbol=symbol))
    found = FileDescriptorProto.FromString(response.file_descriptor_response.file_descriptor_proto[0])
    assert found.name == f"configapi/v1/{file}.proto"
    assert any(location.leading_comments for location in found.source_code_info.location)


async def test_reflection_resolves_methods_of_others_and_no_unknown_symbol(service: Service) -> None:
    for symbol in ("google.longrunning.Operations.GetOperation", "grpc.health.v1.Health.Check"):
        (response,) = await reflect(service, "v1", ServerReflectionRequest(file_containing_symbol=symbol))
        assert response.file_descriptor_response.file_descriptor_proto
    for symbol in ("", "nowhere", "configapi.v1.ConfigurationService.Nope", "configapi.v1.Nope.GetConfiguration"):
        (response,) = await reflect(service, "v1", ServerReflectionRequest(file_containing_symbol=symbol))
        assert response.error_response.error_code == StatusCode.NOT_FOUND.value[0]


async def test_every_method_of_the_protos_is_served(service: Service) -> None:
    methods = [method for name in OURS for method in await methods_of(service, name)]
    assert len(methods) == 48
    for method in methods:
        # Empty bytes are an empty request, which no method but one can take; all of them answer it.
        call = service.channel.unary_stream(method)(b"")
        try:
            async for _ in call:
                break
            code = StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
        expected = StatusCode.OK if method.rpartition("/")[2] in TAKE_NOTHING else StatusCode.INVALID_ARGUMENT
        assert (method, code) == (method, expected)


async def test_an_unknown_method_is_unimplemented(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.channel.unary_unary("/configapi.v1.ApplicationService/Nope")(b"")
    assert caught.value.code() == StatusCode.UNIMPLEMENTED


async def test_the_server_tells_its_status(service: Service) -> None:
    created = await create_application(service, "shop")
    status = await service.server.GetServerStatus(GetServerStatusRequest())
    assert status.version
    assert status.live
    watch = service.configurations.WatchConfigurations(await with_epoch(service, watching(after_revision=0)))
    async for message in watch:
        # The first message comes before what was missed.
        if message.revision >= created.revision:
            break
    status = await service.server.GetServerStatus(GetServerStatusRequest())
    assert status.revision == created.revision
    # Of the system, its timeline, the database, the log and its identity.
    assert [part.isdecimal() for part in status.epoch.split("-")] == [True] * 5


async def test_health_is_overall_and_for_each_service(service: Service) -> None:
    for name in ("", *OURS):
        assert await status_in_health(service, name) == HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await status_in_health(service, "nowhere")
    assert caught.value.code() == StatusCode.NOT_FOUND


@pytest.fixture
async def far(database_url: str) -> AsyncIterator[tuple[Service, Proxy]]:
    """Run a service that reaches its database through a proxy."""
    async with far_service(database_url) as far:
        yield far


async def test_health_follows_the_database(far: tuple[Service, Proxy]) -> None:
    service, cable = far
    await create_application(service, "shop")
    await cable.cut()
    await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
    for name in OURS:
        await wait_for_status(service, name, HealthCheckResponse.NOT_SERVING)
    for call in (get(service, "web"), create(service, "web"), head(service)):
        with failing(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"):
            await call
    assert not (await service.server.GetServerStatus(GetServerStatusRequest())).live
    cable.restore()
    await wait_for_health(service, HealthCheckResponse.SERVING)
    for name in OURS:
        await wait_for_status(service, name, HealthCheckResponse.SERVING)
    assert (await create(service, "web")).version == 1


async def wait_for_status(service: Service, name: str, wanted: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        async for response in service.health.Watch(HealthCheckRequest(service=name)):
            if response.status == wanted:
                return


async def test_a_call_on_a_lost_connection_is_unavailable_and_the_next_one_works(far: tuple[Service, Proxy]) -> None:
    service, cable = far
    await create_application(service, "shop")
    await create(service, "web")
    await cable.drop()
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                assert (await get(service, "web")).version == 1
            except grpc.aio.AioRpcError as error:
                assert error.code() == StatusCode.UNAVAILABLE  # noqa: PT017
            else:
                return


async def test_a_request_larger_than_4_mib_is_refused(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.configurations.ListConfigurations(list_request(name_prefix="x" * 5 * 1024 * 1024))
    assert caught.value.code() == StatusCode.RESOURCE_EXHAUSTED


async def test_the_service_stops_although_the_database_no_longer_answers(database_url: str) -> None:
    async with (
        proxied(database_url) as (cable, url),
        asyncio.timeout(LIMIT_SECONDS),
        running_service(url) as service,
    ):
        await create_application(service)
        cable.freeze()
