"""Long-running operations for callers: get, list, cancel, delete, wait."""

import asyncio
from collections.abc import Callable

from configsvc.aio import wait_for_event
from configsvc.domain.errors import (
    ConfigsvcError,
    DatabaseBusyError,
    OperationRunningError,
    PermissionDeniedError,
    ResourceNotFoundError,
)
from configsvc.domain.operations import BulkOperation, OperationItem, OperationState
from configsvc.domain.requests import ItemListing
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.storage import operations
from configsvc.storage.database import Database
from configsvc.writes.transactions import transaction

# Each polls the table.
WAITERS_LIMIT = 100
WAIT_FIRST_SECONDS = 0.05
WAIT_LAST_SECONDS = 1.0


class Operations:
    """Long-running operations. Every method raises DatabaseUnavailableError or DatabaseBusyError.

    owner is the actor whose operations are visible; None: all are. Methods that name an operation raise
    ResourceNotFoundError, or PermissionDeniedError with an owner.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End all calls of wait: the server is stopping."""
        self._stopping.set()

    async def get(self, operation_id: str, owner: str | None) -> BulkOperation:
        """Return the operation as it is now."""
        async with self._database.read() as connection:
            operation = await operations.get(connection, operation_id, owner)
        if operation is None:
            raise _missing(operation_id, owner)
        return operation

    async def page(self, owner: str | None, *, after: str | None, limit: int) -> tuple[list[BulkOperation], str | None]:
        """Return operations, newest first, after the one with the id; and the last id, if more may follow."""
        async with self._database.read_list() as connection:
            return await operations.page(connection, owner, after=after, limit=limit)

    async def items(self, listing: ItemListing) -> tuple[list[OperationItem], int | None]:
        """Return a page of items that are done, in their order, and the last index, if more of them follow."""
        page = listing.page
        async with self._database.read_list() as connection:
            return await operations.page_of_items(
                connection,
                listing.operation_id,
                after=-1 if page.after is None else page.after,
                failed_only=listing.failed_only,
                limit=page.limit,
                limit_bytes=MAX_RESPONSE_BYTES,
            )

    async def cancel(self, operation_id: str, owner: str | None) -> None:
        """Cancel the operation, unless it has ended."""
        await self.get(operation_id, owner)
        async with self._database.write() as connection:
            await operations.cancel(connection, operation_id)

    async def delete(self, operation_id: str, owner: str | None) -> None:
        """Delete an operation that has ended. Raises OperationRunningError."""
        await self.get(operation_id, owner)
        async with self._database.write() as connection, transaction(connection):
            state = await operations.lock(connection, operation_id)
            if state is None:
                raise _missing(operation_id, owner)
            if state in {OperationState.PENDING, OperationState.RUNNING, OperationState.CANCELLING}:
                raise OperationRunningError("operation", f"operations/{operation_id}")
            await operations.hide(connection, operation_id)

    async def wait(
        self, operation_id: str, owner: str | None, check: Callable[[], None], *, limit_seconds: float
    ) -> BulkOperation:
        """Return the operation once it has ended, or as it is after limit_seconds; call check before each poll.

        Raises DatabaseBusyError if too many calls wait, and what check raises.
        """
        if self._waiters >= WAITERS_LIMIT:
            raise DatabaseBusyError
        self._waiters += 1
        try:
            return await self._wait(operation_id, owner, check, asyncio.get_running_loop().time() + limit_seconds)
        finally:
            self._waiters -= 1

    async def _wait(
        self, operation_id: str, owner: str | None, check: Callable[[], None], give_up: float
    ) -> BulkOperation:
        pause = WAIT_FIRST_SECONDS
        while True:
            check()
            operation = await self.get(operation_id, owner)
            left = give_up - asyncio.get_running_loop().time()
            if operation.end_time is not None or left <= 0 or self._stopping.is_set():
                return operation
            await wait_for_event(self._stopping, min(pause, left))
            pause = min(pause * 2, WAIT_LAST_SECONDS)


def _missing(operation_id: str, owner: str | None) -> ConfigsvcError:
    name = f"operations/{operation_id}"
    if owner is None:
        return ResourceNotFoundError("operation", name)
    return PermissionDeniedError(
        f"{name} is accessible only to the caller that started it and to an admin of all applications"
    )
