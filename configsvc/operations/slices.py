"""Slices: the waiting items of an operation, a bounded number at a time."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from configsvc.domain.errors import DatabaseBusyError, WriteConflictError
from configsvc.domain.operations import BulkOperation, Failure, OperationState, Outcome, progress_of
from configsvc.storage import operations
from configsvc.storage.database import Connection, Database
from configsvc.storage.operations import Run, Slice
from configsvc.writes.transactions import transaction

SLICE_ITEMS = 500
SLICE_BYTES = 4 * 1024 * 1024


async def slices(database: Database, operation: BulkOperation) -> AsyncGenerator[Slice]:
    """Yield the waiting items in slices. The caller may take as long as it wants between two: no connection is kept."""
    after = -1
    while True:
        async with database.operation() as connection:
            span = await _next_slice(connection, operation, after)
        if span is None:
            return
        yield span
        after = span.last


async def write_all(
    database: Database,
    connection: Connection,
    operation: BulkOperation,
    run: Run,
    write: Callable[[Slice], Awaitable[list[Outcome]]],
) -> None:
    """Write all slices within the transaction of connection; show the progress meanwhile, on another connection."""
    after = -1
    while span := await _next_slice(connection, operation, after):
        outcomes = await write(span)
        after = span.last
        # Progress is not worth a restart: recount corrects it at the end.
        with suppress(DatabaseBusyError, WriteConflictError):
            async with database.write() as other:
                await operations.advance(other, run, progress_of(outcomes))


async def finish(database: Database, run: Run, state: OperationState, failure: Failure | None = None) -> None:
    """End the operation, with its progress counted anew."""
    async with database.operation() as connection, transaction(connection):
        await operations.recount(connection, run)
        await operations.finish(connection, run, state, failure)


async def _next_slice(connection: Connection, operation: BulkOperation, after: int) -> Slice | None:
    return await operations.next_slice(connection, operation, after=after, limit=SLICE_ITEMS, limit_bytes=SLICE_BYTES)
