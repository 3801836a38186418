"""Batches of writes, parsed and answered in parts: other calls run between the parts of a large one."""

import asyncio
from collections.abc import Iterable, Sequence

from configapi.v1.configuration_service_pb2 import BatchWriteConfigurationsResponse, ConfigurationWriteOutcome
from configapi.v1.source_service_pb2 import ApplySourceResponse
from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef, Configuration, ConfigurationRef, Done, WriteContext
from configsvc.domain.preconditions import Precondition
from configsvc.domain.requests import Author
from configsvc.domain.scope import Scope
from configsvc.domain.writes import BatchWrite, Creation, Upsert
from configsvc.wire.fields import write_context
from configsvc.wire.preconditions import preconditions
from configsvc.wire.resources import fill_configuration
from configsvc.wire.writes import MAX_WRITES, AnyBatch, batch_write, check_number
from configsvc.writes.atomic_batch import BatchResult

WRITES_AT_A_TIME = 50


async def parsed_batch(
    request: AnyBatch, author: Author, visible: Scope, violations: Violations
) -> tuple[list[BatchWrite], Sequence[Precondition], WriteContext]:
    """Parse the request, and add its faults. Preconditions see what is visible to the caller."""
    writes: list[BatchWrite] = []
    check_number(request, violations)
    conditions = preconditions(request, visible, violations)
    context = write_context(request, author, violations)
    for index, message in enumerate(request.writes[:MAX_WRITES]):
        write = batch_write(message, f"writes[{index}]", context, violations)
        if write is not None:
            writes.append(write)
        if (index + 1) % WRITES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return writes, conditions, context


def targets_of(writes: Iterable[BatchWrite]) -> tuple[Iterable[ApplicationRef], Iterable[ConfigurationRef]]:
    """Return the applications of new configurations, and the other configurations, that writes are about."""
    applications: dict[ApplicationRef, None] = {}
    refs: dict[ConfigurationRef, None] = {}
    for write in writes:
        if isinstance(write, Creation | Upsert):
            applications[write.application] = None
        else:
            refs[write.ref] = None
    return applications, refs


async def batch_response(result: BatchResult, epoch: str) -> BatchWriteConfigurationsResponse:
    """Return the response with the outcomes of the writes."""
    response = BatchWriteConfigurationsResponse(epoch=epoch)
    await fill_batch(response, result)
    return response


async def fill_batch(response: BatchWriteConfigurationsResponse | ApplySourceResponse, result: BatchResult) -> None:
    """Set the outcomes of the writes, the revision of their commit, and whether they changed anything."""
    response.revision = result.revision
    response.changed = any(done.changed for done in result.outcomes)
    for index, done in enumerate(result.outcomes):
        response.outcomes.append(_outcome(done))
        if (index + 1) % WRITES_AT_A_TIME == 0:
            await asyncio.sleep(0)


def _outcome(done: Done[Configuration | None]) -> ConfigurationWriteOutcome:
    outcome = ConfigurationWriteOutcome(changed=done.changed)
    if done.result is not None:
        fill_configuration(outcome.configuration, done.result, with_config=False)
    return outcome
