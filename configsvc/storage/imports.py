"""Imports, written by statements that read the staged items in place: contents never pass through the process."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from configsvc.domain.operations import BulkOperation, ItemError, ItemFault, Outcome
from configsvc.domain.writes import PinnedSchema
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.operations import Slice, fail_items, outcome_of
from configsvc.storage.queries import queries
from configsvc.storage.schema_locks import by_name

_SQL = queries("imports")

_TOO_LARGE = ItemFault(
    field="config", keyword="", message="is larger than 1 MiB as PostgreSQL writes it (numbers without exponents)"
)


class SliceFailedError(Exception):
    """A slice that PostgreSQL refused because of an item; nothing of it was written."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the slice that starts at item {outcome.index} failed: {outcome.error}")
        self.outcome = outcome


class SliceLockedError(SliceFailedError):
    """A slice that waited too long for rows that another transaction has locked."""


class ApplicationRenamedError(Exception):
    """An application that was renamed since its name was looked up for items."""


@asynccontextmanager
async def written_at_once(connection: Connection, span: Slice, *, lock_seconds: float) -> AsyncGenerator[None]:
    """Run the body for a slice in a transaction that waits at most lock_seconds for each lock.

    Raises SliceFailedError or SliceLockedError.
    """
    try:
        async with connection.transaction():
            await connection.execute(_SQL["limit_waits"], f"{lock_seconds * 1000:.0f}ms")
            yield
            await connection.execute(_SQL["limit_waits_as_usual"])
    except asyncpg.CheckViolationError as error:
        too_large = error.constraint_name == "configuration_fits"
        outcome = Outcome(index=span.first, error=ItemError.INVALID, faults=(_TOO_LARGE,))
        # Any other violation: someone else changed the row after it was checked.
        raise SliceFailedError(outcome if too_large else _conflict(span)) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise SliceFailedError(_conflict(span)) from error
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise SliceLockedError(_conflict(span)) from error


def _conflict(span: Slice) -> Outcome:
    return Outcome(index=span.first, error=ItemError.CONFLICT)


async def resolve_applications(connection: Connection, operation_id: str, application_ids: list[str] | None) -> None:
    """Give waiting items that name their application by id, one of the ids (None: any), its current name."""
    await connection.execute(_SQL["resolve_applications"], operation_id, application_ids)


async def share_applications(
    connection: Connection,
    operation: BulkOperation,
    span: Slice,
    *,
    create: bool,
    application_ids: list[str] | None,
) -> list[Outcome]:
    """Take a shared lock on the applications of the waiting items of a slice, until the end of the transaction.

    Items whose application does not exist, or is not among the ids, fail; return their outcomes.
    Raises ApplicationRenamedError if one named by id has another name than the item.
    """
    bounds = (operation.id, span.first, span.last)
    if create:
        await connection.execute(_SQL["create_applications"], *bounds, contexts.encoded(operation))
    await connection.execute(_SQL["share_applications"], *bounds, application_ids)
    if await connection.fetchval(_SQL["has_renamed"], *bounds, application_ids):
        raise ApplicationRenamedError
    missing = await connection.fetch(_SQL["fail_without_application"], *bounds, application_ids)
    return [Outcome(index=row["place"], error=ItemError.APPLICATION_NOT_FOUND) for row in missing]


async def share_schemas(connection: Connection, operation_id: str, span: Slice) -> dict[str, PinnedSchema]:
    """Take a shared lock on the schemas of the waiting items of a slice in this transaction; return them."""
    rows = await connection.fetch(_SQL["share_schemas"], operation_id, span.first, span.last)
    return by_name(rows)


async def check_versions(connection: Connection, operation_id: str, span: Slice) -> list[Outcome]:
    """Fail the waiting items of a slice that expect another version than the current one; return their outcomes.

    The configurations stay locked by this transaction.
    """
    rows = await connection.fetch(_SQL["check_versions"], operation_id, span.first, span.last)
    return [
        Outcome(index=row["place"], error=ItemError.VERSION_MISMATCH, current_version=row["configuration_version"])
        for row in rows
    ]


async def write(
    connection: Connection,
    operation: BulkOperation,
    span: Slice,
    schemas: Mapping[str, PinnedSchema],
    *,
    upsert: bool,
) -> list[Outcome]:
    """Write the waiting items of a slice in the current transaction and store their outcomes.

    Their applications and schemas must be locked, and their versions checked; the schemas given have their newest
    versions. Raises SliceLockedError if another transaction has just created a configuration that must not exist.
    """
    bounds = (operation.id, span.first, span.last)
    newest = (list(schemas), [schema.latest_version for schema in schemas.values()])
    rows = await connection.fetch(_SQL["upsert" if upsert else "create"], *bounds, contexts.encoded(operation), *newest)
    if any(row["raced"] for row in rows):
        raise SliceLockedError(_conflict(span))
    return [outcome_of(row) for row in rows]


async def fail_locked(
    connection: Connection, operation_id: str, span: Slice, application_ids: list[str] | None
) -> list[Outcome]:
    """Fail the waiting items of a slice whose application, schema or configuration another transaction has locked.

    All others stay locked by this transaction. Items of an application that is not among the ids
    (None: all) are left alone, because it does not exist for the import.
    """
    rows = await connection.fetch(_SQL["fail_locked"], operation_id, span.first, span.last, application_ids)
    return [Outcome(index=row["place"], error=ItemError.CONFLICT) for row in rows]


async def fail_alone(connection: Connection, operation_id: str, outcome: Outcome) -> list[Outcome]:
    """Fail one item, and all items that wait for its application if another session is creating that."""
    if outcome.error is not ItemError.CONFLICT:
        await fail_items(connection, operation_id, (outcome,))
        return [outcome]
    rows = await connection.fetch(_SQL["fail_with_application"], operation_id, outcome.index)
    return [Outcome(index=row["place"], error=ItemError.CONFLICT) for row in rows]
