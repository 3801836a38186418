"""Helpers that write many configurations at once."""

from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.batch_failure_pb2 import BatchFailure, FailedWrite
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
    ConfigurationWrite,
)
from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.domain.content import JsonObject
from tests.api.calls import key
from tests.service import Service, error_info_of, status_of, struct


def item(name: str, config: JsonObject | None = None, application: str = "shop", **fields: Any) -> ConfigurationItem:
    return ConfigurationItem(
        application=ApplicationRef(name=application), name=name, config=struct(config or {}), **fields
    )


def creation(name: str, config: JsonObject | None = None, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(create=item(name, config, **fields))


def upsert(name: str, config: JsonObject | None = None, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(upsert=item(name, config, **fields))


def deletion(name: str, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(deletion=ConfigurationDeletionItem(key=key(name), **fields))


def change(name: str, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(update=ConfigurationChangeItem(key=key(name), **fields))


def patch(name: str, merge_patch: JsonObject, **fields: Any) -> ConfigurationWrite:
    return change(name, merge_patch=struct(merge_patch), **fields)


def rename(name: str, new_name: str) -> ConfigurationWrite:
    return change(name, configuration=Configuration(name=new_name), update_mask=FieldMask(paths=["name"]))


async def write(service: Service, *writes: ConfigurationWrite, **fields: Any) -> BatchWriteConfigurationsResponse:
    request = BatchWriteConfigurationsRequest(writes=writes, **fields)
    return await service.configurations.BatchWriteConfigurations(request)


def versions(response: BatchWriteConfigurationsResponse) -> list[tuple[str, int]]:
    """Return the name and version of each outcome."""
    return [(outcome.configuration.name, outcome.configuration.version) for outcome in response.outcomes]


def failures_of(error: grpc.aio.AioRpcError) -> list[FailedWrite]:
    """Return the failed writes of a batch, none of which may be left out."""
    failure = BatchFailure()
    assert any(detail.Unpack(failure) for detail in status_of(error).details)
    assert failure.omitted_count == 0
    assert error_info_of(error).metadata["failed_count"] == str(len(failure.failures))
    return list(failure.failures)


def failed_writes(error: grpc.aio.AioRpcError) -> list[int]:
    """Return the indexes of the failed writes."""
    return [failure.index for failure in failures_of(error)]


def reasons(error: grpc.aio.AioRpcError) -> dict[int, str]:
    """Return the reasons of the failed writes, by index."""
    return {
        failure.index: ErrorReason.Name(failure.reason).removeprefix("ERROR_REASON_") for failure in failures_of(error)
    }
