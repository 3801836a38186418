"""Batches of writes, parsed and answered in parts: other calls run between the parts of a large one."""

import asyncio

from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    ConfigurationWriteOutcome,
)
from configsvc.api.statuses import status_of
from configsvc.domain.errors import Violations
from configsvc.domain.models import ConfigurationRef, KeyRef, NameRef, WriteContext
from configsvc.domain.requests import Author
from configsvc.domain.writes import BatchWrite, Creation, Deletion, Update, Upsert
from configsvc.wire.fields import write_context
from configsvc.wire.resources import configuration_message
from configsvc.wire.writes import MAX_WRITES, batch_write, check_number
from configsvc.writes.atomic_batch import BatchResult

WRITES_AT_A_TIME = 50


async def parsed_batch(
    request: BatchWriteConfigurationsRequest, author: Author
) -> tuple[list[BatchWrite], WriteContext]:
    """Parse the request. Raises InvalidRequestError."""
    writes: list[BatchWrite] = []
    with Violations() as violations:
        check_number(request, violations)
        context = write_context(request, author, violations)
        for index, message in enumerate(request.writes[:MAX_WRITES]):
            write = batch_write(message, f"writes[{index}]", context, violations)
            if write is not None:
                writes.append(write)
            if index % WRITES_AT_A_TIME == 0:
                await asyncio.sleep(0)
    return writes, context


def target_of(write: BatchWrite) -> ConfigurationRef:
    """Return the configuration that a write of a batch is about."""
    match write:
        case Creation(application=NameRef(name=application), name=name):
            return KeyRef(application=application, name=name)
        case Upsert(key=key):
            return key
        case Update(ref=ref) | Deletion(ref=ref):
            return ref
        case _:
            raise AssertionError(f"creations of a batch name their application: {write}")


async def batch_response(result: BatchResult, count: int) -> BatchWriteConfigurationsResponse:
    """Return the response with the outcomes of so many writes."""
    response = BatchWriteConfigurationsResponse(revision=result.revision)
    for index in range(count):
        response.outcomes.append(_outcome(result, index))
        if index % WRITES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return response


def _outcome(result: BatchResult, index: int) -> ConfigurationWriteOutcome:
    if index in result.errors:
        return ConfigurationWriteOutcome(error=status_of(result.errors[index]))
    return ConfigurationWriteOutcome(
        configuration=configuration_message(result.configurations[index], with_config=False)
    )
