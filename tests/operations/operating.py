"""Helpers that import, wait for operations, and read their items."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from google.longrunning.operations_proto_pb2 import GetOperationRequest, Operation, WaitOperationRequest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import ConfigurationItem, ImportConfigurationsRequest, ImportMode
from configapi.v1.operation_service_pb2 import (
    ImportConfigurationsResult,
    ListOperationItemsRequest,
    MigrateConfigurationsResult,
    OperationItem,
    OperationMetadata,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.domain.content import JsonObject
from tests.service import Service, struct

ATOMIC = ImportMode.IMPORT_MODE_ATOMIC
PER_ITEM = ImportMode.IMPORT_MODE_PER_ITEM
LIMIT_SECONDS = 120


def item(
    name: str, config: JsonObject | None = None, *, application: str = "shop", schema: str = "", **fields: Any
) -> ConfigurationItem:
    schema_name, _, version = schema.partition("@")
    return ConfigurationItem(
        application=ApplicationRef(name=application),
        name=name,
        config=struct(config or {}),
        schema=SchemaVersionRef(schema=schema_name, version=int(version or 0)) if schema else None,
        **fields,
    )


def messages(
    items: Iterable[ConfigurationItem], *, size: int = 1000, **settings: Any
) -> Iterator[ImportConfigurationsRequest]:
    """Yield the messages of an upload; the first has the settings."""
    message = ImportConfigurationsRequest(**settings)
    for one in items:
        if len(message.items) == size:
            yield message
            message = ImportConfigurationsRequest()
        message.items.append(one)
    yield message


async def begin(service: Service, *items: ConfigurationItem, size: int = 1000, **settings: Any) -> Operation:
    return await service.configurations.ImportConfigurations(messages(items, size=size, **settings))


async def ended(service: Service, operation: Operation) -> Operation:
    request = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=LIMIT_SECONDS))
    found = await service.operations.WaitOperation(request)
    assert found.done
    return found


async def imported(service: Service, *items: ConfigurationItem, size: int = 1000, **settings: Any) -> Operation:
    """Return the ended operation of an import."""
    return await ended(service, await begin(service, *items, size=size, **settings))


async def operation_of(service: Service, name: str) -> Operation:
    return await service.operations.GetOperation(GetOperationRequest(name=name))


def metadata_of(operation: Operation) -> OperationMetadata:
    metadata = OperationMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata


def result_of(operation: Operation) -> ImportConfigurationsResult:
    """Return the result of an import."""
    result = ImportConfigurationsResult()
    assert operation.response.Unpack(result), operation
    return result


def migration_result_of(operation: Operation) -> MigrateConfigurationsResult:
    """Return the result of a migration."""
    result = MigrateConfigurationsResult()
    assert operation.response.Unpack(result), operation
    return result


async def items_of(service: Service, operation: Operation, **fields: Any) -> list[OperationItem]:
    """Return all items that are done."""
    found: list[OperationItem] = []
    token = ""
    while True:
        request = ListOperationItemsRequest(operation=operation.name, page_token=token, **fields)
        response = await service.items.ListOperationItems(request)
        found += response.items
        token = response.next_page_token
        if not token:
            return found


async def until_state(service: Service, name: str, state: OperationMetadata.State.ValueType) -> Operation:
    async with asyncio.timeout(20):
        found = await operation_of(service, name)
        while metadata_of(found).state != state:
            request = WaitOperationRequest(name=name, timeout=Duration(nanos=20_000_000))
            found = await service.operations.WaitOperation(request)
    return found
