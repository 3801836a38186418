"""GetServerStatus: the head of the history, the clock and the limits, each of which is proved by exceeding it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import BatchGetConfigurationsRequest, WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import ServerLimits
from configsvc.domain.content import JsonObject
from tests.api.calls import create, create_application, key_ref, pages, refused
from tests.doors.bindings import request_of
from tests.feed.status import status, until
from tests.proxy import far_service
from tests.schemas.calls import create_schema
from tests.service import STUBS, Door, Service, running_service
from tests.writes import batches

SERVER_CLOCK = timedelta(seconds=60)


async def test_the_head_is_that_of_the_database_and_the_time_that_of_the_server(service: Service) -> None:
    assert (await status(service)).head_revision == 0
    await create_application(service)
    found = await status(service)
    assert found.head_revision == 1
    assert abs(found.server_time.ToDatetime(UTC) - datetime.now(UTC)) < SERVER_CLOCK
    assert not found.features


async def test_the_status_is_shown_without_a_head_while_the_database_does_not_respond(
    database_url: str, door: Door
) -> None:
    async with far_service(database_url, door) as (service, proxy):
        await create_application(service)
        assert (await status(service)).head_revision == 1
        proxy.freeze()
        found = await status(service)
        assert (found.head_revision, found.epoch != "", found.revision) == (0, True, 1)
        proxy.restore()
        await until(lambda answer: answer.head_revision == 1, service)


async def test_every_limit_of_the_status_is_set(service: Service) -> None:
    limits = (await status(service)).limits
    assert {field.name for field, _ in limits.ListFields()} == {field.name for field in ServerLimits.DESCRIPTOR.fields}
    assert set(EXCEEDED) | {"watches_per_caller", "response_bytes"} == set(ServerLimits.DESCRIPTOR.fields_by_name)


async def test_the_limit_of_watches_is_the_one_that_was_set(database_url: str, door: Door) -> None:
    async with running_service(database_url, door=door, watches_per_caller=3) as service:
        assert (await status(service)).limits.watches_per_caller == 3


def config_of(size: int) -> JsonObject:
    """Return a content of exactly this many bytes as compact JSON."""
    return {"a": "x" * (size - len('{"a":""}'))}


async def too_large_content(service: Service, limits: ServerLimits) -> None:
    await create(service, "fits", config_of(limits.content_bytes))
    async with refused(service, "config"):
        await create(service, "exceeds", config_of(limits.content_bytes + 1))


async def too_large_document(service: Service, limits: ServerLimits) -> None:
    def document(size: int) -> JsonObject:
        return {"description": "x" * (size - len('{"description":""}'))}

    await create_schema(service, "fits", document(limits.document_bytes))
    async with refused(service, "document"):
        await create_schema(service, "exceeds", document(limits.document_bytes + 1))


async def too_deep_content(service: Service, limits: ServerLimits) -> None:
    def nested(depth: int) -> JsonObject:
        return {"a": nested(depth - 1)} if depth > 1 else {"a": 1}

    await create(service, "fits", nested(limits.content_depth))
    async with refused(service, f"config{'/a' * limits.content_depth}"):
        await create(service, "exceeds", nested(limits.content_depth + 1))


async def too_large_request(service: Service, limits: ServerLimits) -> None:
    (create_method,) = (one for one in STUBS["applications"].methods if one.name == "CreateApplication")
    over_http = service.door is Door.HTTP

    def size_of(request: CreateApplicationRequest) -> int:
        return len(request_of(create_method, request).body or b"") if over_http else request.ByteSize()

    def request(size: int) -> CreateApplicationRequest:
        rest = size_of(CreateApplicationRequest(name="a", comments="x" * 2**21)) - 2**21
        sized = CreateApplicationRequest(name="a", comments="x" * (size - rest))
        assert size_of(sized) == size
        return sized

    async with refused(service, "comments"):
        await service.applications.CreateApplication(request(limits.request_bytes))
    if over_http:
        async with refused(service, "body"):
            await service.applications.CreateApplication(request(limits.request_bytes + 1))
        return
    # From the library of gRPC.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.applications.CreateApplication(request(limits.request_bytes + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def too_many_results(service: Service, limits: ServerLimits) -> None:
    made = [batches.creation(f"c{number}") for number in range(limits.batch_size)]
    await batches.write(service, *made)
    await create(service, "more")
    first, second = await pages(service, page_size=limits.page_size + 1)
    assert (len(first.configurations), len(second.configurations)) == (limits.page_size, 1)


async def too_many_in_a_batch(service: Service, limits: ServerLimits) -> None:
    refs = [key_ref("web")] * (limits.batch_size + 1)
    await service.configurations.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs[1:]))
    async with refused(service, "refs"):
        await service.configurations.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs))
    writes = [batches.upsert(f"c{number}") for number in range(limits.batch_size + 1)]
    await batches.write(service, *writes[1:], validate_only=True)
    async with refused(service, "writes"):
        await batches.write(service, *writes)


async def too_many_selectors(service: Service, limits: ServerLimits) -> None:
    selectors = [ConfigurationSelector(name_prefix=f"a{number}") for number in range(limits.watch_selectors + 1)]
    await first_message(service, selectors[1:])
    async with refused(service, "selectors"):
        await first_message(service, selectors)


async def too_many_names(service: Service, limits: ServerLimits) -> None:
    wanted = [f"c{number}" for number in range(limits.selector_names + 1)]
    await first_message(service, [ConfigurationSelector(names=wanted[1:])])
    async with refused(service, "selectors[0].names"):
        await first_message(service, [ConfigurationSelector(names=wanted)])


async def first_message(service: Service, selectors: list[ConfigurationSelector]) -> None:
    call = service.configurations.WatchConfigurations(WatchConfigurationsRequest(selectors=selectors))
    async for _ in call:
        break
    call.cancel()


EXCEEDED: dict[str, Callable[[Service, ServerLimits], Awaitable[None]]] = {
    "content_bytes": too_large_content,
    "document_bytes": too_large_document,
    "content_depth": too_deep_content,
    "request_bytes": too_large_request,
    "page_size": too_many_results,
    "batch_size": too_many_in_a_batch,
    "watch_selectors": too_many_selectors,
    "selector_names": too_many_names,
}


@pytest.mark.parametrize("limit", EXCEEDED)
async def test_the_server_enforces_the_limit_that_its_status_names(shop: Service, limit: str) -> None:
    await EXCEEDED[limit](shop, (await status(shop)).limits)
