"""Staging of operations: items are stored as they arrive; the operation is visible once it is submitted."""

from collections.abc import Sequence

from ulid import ULID

from configsvc.domain.content import JsonObject
from configsvc.domain.errors import ResourceNotFoundError, WriteTooLargeError
from configsvc.domain.models import Effect, WriteContext, Written
from configsvc.domain.operations import BulkOperation, OperationKind, StagedItem
from configsvc.operations import queue
from configsvc.storage import operations
from configsvc.storage.database import Connection, Database
from configsvc.writes import idempotency
from configsvc.writes.transactions import Writes, transaction

# Copying rows blocks the event loop: about a millisecond for this many.
COPY_LIMIT = 250


class Staging:
    """One operation before it is submitted. Housekeeping removes it if that never happens."""

    def __init__(self, database: Database, writes: Writes, kind: OperationKind) -> None:
        self.id = str(ULID())
        self.count = 0
        self._database = database
        self._writes = writes
        self._kind = kind

    async def begin(self, settings: JsonObject, context: WriteContext) -> None:
        """Create the operation, not yet visible. Raises what `Database.write` raises."""
        async with self._database.write() as connection:
            await operations.stage(connection, self.id, self._kind, settings, context)

    async def add(self, items: Sequence[StagedItem]) -> None:
        """Append items. Raises what `Database.write` raises."""
        for start in range(0, len(items), COPY_LIMIT):
            some = items[start : start + COPY_LIMIT]
            async with self._database.write() as connection, transaction(connection):
                await operations.stage_items(connection, self.id, self.count, some)
            self.count += len(some)

    async def submit(self, context: WriteContext) -> BulkOperation:
        """Submit the operation, or return the one that an earlier call with the same request_id submitted.

        Raises RequestIdReusedError, ResourceNotFoundError if that one is gone, RateLimitedError if the caller has too
        many unfinished operations, and what `Writes.run` raises.
        """

        async def submit(connection: Connection) -> Effect:
            if not await operations.submit(connection, self.id):
                raise WriteTooLargeError
            await queue.add(connection, context.actor)
            return Effect(written=Written(resource_id=self.id, version=1), changed=True)

        async def change(connection: Connection) -> Written:
            submitted = (await idempotency.once(connection, context, submit)).written
            assert submitted is not None
            if submitted.resource_id != self.id:
                await operations.hide(connection, self.id)
            return submitted

        return await self._writes.run(self.id, change, _load, keep=True)


async def _load(connection: Connection, submitted: Written) -> BulkOperation:
    operation = await operations.get(connection, submitted.resource_id, None)
    if operation is None:
        raise ResourceNotFoundError("operation", f"operations/{submitted.resource_id}")
    return operation
