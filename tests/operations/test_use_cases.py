"""google.longrunning.Operations, and the items of operations."""

import asyncio
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import (
    CancelOperationRequest,
    DeleteOperationRequest,
    ListOperationsRequest,
    WaitOperationRequest,
)
from google.protobuf.duration_pb2 import Duration

from configapi.v1.operation_service_pb2 import ListOperationItemsRequest, OperationMetadata
from configsvc.app.housekeeping import purge_operations
from configsvc.limits.slots import connection_turn
from configsvc.operations import imports, slices
from configsvc.storage.database import open_database
from tests.api.calls import create_application, failing, names
from tests.operations.operating import (
    PER_ITEM,
    begin,
    ended,
    imported,
    item,
    items_of,
    messages,
    metadata_of,
    operation_of,
    result_of,
    until_state,
)
from tests.service import Service
from tests.storage.reading import Session

UNKNOWN = "operations/01J0000000000000000000000A"


async def test_an_operation_that_does_not_exist_is_not_found(service: Service) -> None:
    calls: list[tuple[Any, Any]] = [
        (service.operations.CancelOperation, CancelOperationRequest(name=UNKNOWN)),
        (service.operations.DeleteOperation, DeleteOperationRequest(name=UNKNOWN)),
        (service.operations.WaitOperation, WaitOperationRequest(name=UNKNOWN)),
        (service.items.ListOperationItems, ListOperationItemsRequest(operation=UNKNOWN)),
    ]
    for call, request in calls:
        with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await call(request)
    with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await operation_of(service, UNKNOWN)
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await operation_of(service, "01J0000000000000000000000A")


async def test_operations_are_listed_newest_first_in_pages(service: Service) -> None:
    made = [(await imported(service)).name for _ in range(5)]
    found: list[str] = []
    token = ""
    while not found or token:
        page = await service.operations.ListOperations(ListOperationsRequest(page_size=2, page_token=token))
        found += [operation.name for operation in page.operations]
        token = page.next_page_token
    assert found == made[::-1]


async def test_waiting_ends_at_the_limit_and_with_the_operation(service: Service, slow: asyncio.Event) -> None:
    await create_application(service)
    operation = await begin(service, item("a"))
    request = WaitOperationRequest(name=operation.name, timeout=Duration(nanos=50_000_000))
    assert not (await service.operations.WaitOperation(request)).done
    waiting = asyncio.ensure_future(ended(service, operation))
    slow.set()
    assert result_of(await waiting).created_count == 1


async def test_waiting_ends_when_the_server_stops(service: Service, slow: asyncio.Event) -> None:
    await create_application(service)
    operation = await begin(service, item("a"))
    request = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=600))
    waiting = asyncio.ensure_future(service.operations.WaitOperation(request))
    await until_state(service, operation.name, OperationMetadata.STATE_RUNNING)
    service.stop.set()
    assert not (await waiting).done


async def test_a_running_operation_is_cancelled_and_not_deleted(service: Service, slow: asyncio.Event) -> None:
    await create_application(service)
    operation = await begin(service, item("a"))
    await until_state(service, operation.name, OperationMetadata.STATE_RUNNING)
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "OPERATION_RUNNING"):
        await service.operations.DeleteOperation(DeleteOperationRequest(name=operation.name))
    await service.operations.CancelOperation(CancelOperationRequest(name=operation.name))
    cancelled = await ended(service, operation)
    assert cancelled.error.code == grpc.StatusCode.CANCELLED.value[0]
    assert metadata_of(cancelled).state == OperationMetadata.STATE_CANCELLED
    assert await names(service) == []
    # A second call changes nothing.
    await service.operations.CancelOperation(CancelOperationRequest(name=operation.name))
    await service.operations.DeleteOperation(DeleteOperationRequest(name=operation.name))
    with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await operation_of(service, operation.name)


async def test_what_a_cancelled_import_by_item_did_is_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_ITEMS", 10)
    check_slice, reached = imports.check_slice, asyncio.Event()

    async def only_the_first(database: object, pool: object, operation_id: object, places: imports.Slice):
        if places.first:
            reached.set()
            await asyncio.Event().wait()
        return await check_slice(database, pool, operation_id, places)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(imports, "check_slice", only_the_first)
    await create_application(service)
    operation = await begin(service, *(item(f"c{number}") for number in range(30)), mode=PER_ITEM)
    await reached.wait()
    metadata = metadata_of(await operation_of(service, operation.name))
    assert (metadata.done_count, metadata.failed_count, metadata.total_count) == (10, 0, 30)
    await service.operations.CancelOperation(CancelOperationRequest(name=operation.name))
    await ended(service, operation)
    assert len(await names(service)) == 10
    assert len(await items_of(service, operation)) == 10


async def test_items_come_in_pages_in_their_order(service: Service) -> None:
    await create_application(service)
    made = [item(f"c{number}" if number % 3 else f"bad {number}") for number in range(20)]
    operation = await imported(service, *made, mode=PER_ITEM)
    assert [one.index for one in await items_of(service, operation, page_size=3)] == list(range(20))
    failed = await items_of(service, operation, page_size=2, failed_only=True)
    assert [one.index for one in failed] == list(range(0, 20, 3))


async def test_a_stream_that_is_abandoned_leaves_nothing_to_be_seen(
    service: Service, psql: Session, database_url: str
) -> None:
    await create_application(service)
    for _ in range(5):
        call = service.configurations.ImportConfigurations()
        for message in messages([item("a"), item("b")], size=1):
            await call.write(message)
        call.cancel()
    # This operation comes after the abandoned ones.
    assert result_of(await imported(service)).done_count == 0
    page = await service.operations.ListOperations(ListOperationsRequest())
    assert len(page.operations) == 1
    await psql.execute("UPDATE operations SET update_time = now() - interval '2 hours' WHERE state = 'STAGING'")
    async with open_database(database_url, turn=connection_turn) as database:
        await purge_operations(database)
    assert await psql.fetchval("SELECT count(*) FROM operation_items") == 0
    assert await psql.fetchval("SELECT count(*) FROM operations") == 1


async def test_operations_are_kept_for_seven_days(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    old = await imported(service, *(item(f"c{number}") for number in range(1500)))
    new = await imported(service, item("new"))
    old_id = old.name.removeprefix("operations/")
    await psql.execute("UPDATE operations SET end_time = end_time - interval '7 days' WHERE id = $1", old_id)
    async with open_database(database_url, turn=connection_turn) as database:
        await purge_operations(database)
    with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await operation_of(service, old.name)
    assert (await operation_of(service, new.name)).done
    assert await psql.fetchval("SELECT count(*) FROM operation_items") == 1
