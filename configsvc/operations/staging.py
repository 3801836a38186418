"""How operations begin: what they need is staged as it arrives, and nobody sees them before all is there."""

from collections.abc import Sequence

from ulid import ULID

from configsvc.domain.content import JsonObject
from configsvc.domain.errors import ConfigsvcError, ResourceNotFoundError, WriteTooLargeError
from configsvc.domain.models import WriteContext, Written
from configsvc.domain.operations import BulkOperation, OperationKind, StagedItem
from configsvc.operations import queue
from configsvc.storage import idempotency, operations
from configsvc.storage.database import Connection, Database
from configsvc.writes.transactions import Writes, transaction

# Handing rows to the database holds the event loop up: a millisecond for so many.
COPY_LIMIT = 250


class Staging:
    """One operation that is being asked for. What is staged and never submitted is removed by housekeeping."""

    def __init__(self, database: Database, writes: Writes, kind: OperationKind) -> None:
        self.id = str(ULID())
        self.count = 0
        self._database = database
        self._writes = writes
        self._kind = kind

    async def begin(self, settings: JsonObject, context: WriteContext) -> None:
        """Makes the operation, unseen. Raises what `Database.write` raises."""
        async with self._database.write() as connection:
            await operations.stage(connection, self.id, self._kind, settings, context)

    async def add(self, items: Sequence[StagedItem]) -> None:
        """Stages items after those before. Raises what `Database.write` raises."""
        for start in range(0, len(items), COPY_LIMIT):
            some = items[start : start + COPY_LIMIT]
            async with self._database.write() as connection, transaction(connection):
                await operations.stage_items(connection, self.id, self.count, some)
            self.count += len(some)

    async def submit(self, context: WriteContext) -> BulkOperation:
        """Lets the operation begin, or answers with the one that a call with the same request_id began.

        Raises RequestIdReusedError, ResourceNotFoundError if that one is gone, RateLimitedError if too many of the
        caller's have not ended, and what `Writes.run` raises.
        """

        async def change(connection: Connection) -> Written:
            earlier = await _claimed(connection, context)
            if earlier is not None:
                await operations.hide(connection, self.id)
                return earlier
            if not await operations.submit(connection, self.id):
                raise WriteTooLargeError
            await queue.add(connection, context.actor)
            submitted = Written(resource_id=self.id, version=1)
            if context.request_id:
                await idempotency.complete(connection, {context.request_id: submitted})
            return submitted

        return await self._writes.run(self.id, change, _load, keep=True)


async def _claimed(connection: Connection, context: WriteContext) -> Written | None:
    """What an earlier call with the request_id made."""
    if not context.request_id:
        return None
    earlier = (await idempotency.claim(connection, (context,))).get(context.request_id)
    if isinstance(earlier, ConfigsvcError):
        raise earlier
    return earlier.changed if earlier else None


async def _load(connection: Connection, submitted: Written) -> BulkOperation:
    operation = await operations.get(connection, submitted.resource_id)
    if operation is None:
        raise ResourceNotFoundError("operation", f"operations/{submitted.resource_id}")
    return operation
