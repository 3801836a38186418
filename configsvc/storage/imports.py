"""Staged configurations, written by statements that read them where they were staged: their contents never pass through
the process.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from configsvc.domain.operations import BulkOperation, ItemError, ItemFault, Outcome
from configsvc.domain.writes import PinnedSchema
from configsvc.storage.database import Connection
from configsvc.storage.operations import Slice, fail_items, outcome_of
from configsvc.storage.origins import stored
from configsvc.storage.queries import queries
from configsvc.storage.schema_locks import by_name

_SQL = queries("imports")

_TOO_LARGE = ItemFault(
    field="config", keyword="", message="is larger than 1 MiB as PostgreSQL writes it, without exponents"
)


class SliceFailedError(Exception):
    """PostgreSQL refused an item; nothing of the slice was done."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the slice that begins at item {outcome.place} failed: {outcome.error}")
        self.outcome = outcome


class SliceHeldError(SliceFailedError):
    """Another transaction held what an item needs for too long."""


@asynccontextmanager
async def written_at_once(connection: Connection, places: Slice, *, lock_seconds: float) -> AsyncGenerator[None]:
    """What is done under it for a slice is done as a whole, or undone; each thing that others hold is waited for so
    long at most. Raises SliceFailedError or SliceHeldError.
    """
    try:
        async with connection.transaction():
            await connection.execute(_SQL["limit_waits"], f"{lock_seconds * 1000:.0f}ms")
            yield
            await connection.execute(_SQL["limit_waits_as_usual"])
    except asyncpg.CheckViolationError as error:
        too_large = error.constraint_name == "configuration_fits"
        outcome = Outcome(place=places.first, error=ItemError.INVALID, faults=(_TOO_LARGE,))
        # What else is refused was changed by others after the look at it.
        raise SliceFailedError(outcome if too_large else _conflict(places)) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise SliceFailedError(_conflict(places)) from error
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise SliceHeldError(_conflict(places)) from error


def _conflict(places: Slice) -> Outcome:
    return Outcome(place=places.first, error=ItemError.CONFLICT)


async def share_applications(
    connection: Connection,
    operation: BulkOperation,
    places: Slice,
    *,
    create: bool,
    application_ids: list[str] | None,
) -> list[Outcome]:
    """Lets nobody rename or delete the applications of the waiting items of a slice until the end of the transaction,
    and notes of the items that they failed whose applications are not there, or not among those with the ids.
    """
    bounds = (operation.id, places.first, places.last)
    if create:
        context = (operation.actor, operation.reason, operation.request_id, stored(operation.origin))
        await connection.execute(_SQL["create_applications"], *bounds, *context)
    await connection.execute(_SQL["share_applications"], *bounds, application_ids)
    missing = await connection.fetch(_SQL["fail_without_application"], *bounds, application_ids)
    return [Outcome(place=row["place"], error=ItemError.APPLICATION_NOT_FOUND) for row in missing]


async def share_schemas(connection: Connection, operation_id: str, places: Slice) -> dict[str, PinnedSchema]:
    """The schemas that the waiting items of a slice are to be pinned to, which nobody deletes, and whose configurations
    nobody moves to another version, until the end of the transaction.
    """
    rows = await connection.fetch(_SQL["share_schemas"], operation_id, places.first, places.last)
    return by_name(rows)


async def write(
    connection: Connection,
    operation: BulkOperation,
    places: Slice,
    schemas: Mapping[str, PinnedSchema],
    *,
    upsert: bool,
) -> list[Outcome]:
    """Writes the waiting items of a slice within a transaction, and notes their outcomes. Their applications are held,
    and so are the schemas, whose newest versions are the ones given.
    """
    bounds = (operation.id, places.first, places.last)
    context = (operation.actor, operation.reason, operation.request_id, stored(operation.origin))
    newest = (list(schemas), [schema.latest_version for schema in schemas.values()])
    rows = await connection.fetch(_SQL["upsert" if upsert else "create"], *bounds, *context, *newest)
    return [outcome_of(row) for row in rows]


async def fail_held(
    connection: Connection, operation_id: str, places: Slice, application_ids: list[str] | None
) -> list[Outcome]:
    """Notes of the waiting items of a slice that they failed, whose application, schema or configuration others hold
    now. What is not held is this transaction's from now on. What has the name of an application that is not among those
    with the ids (None: all are) is left alone: it is not there for the import.
    """
    rows = await connection.fetch(_SQL["fail_held"], operation_id, places.first, places.last, application_ids)
    return [Outcome(place=row["place"], error=ItemError.CONFLICT) for row in rows]


async def fail_alone(connection: Connection, operation_id: str, outcome: Outcome) -> list[Outcome]:
    """Notes of an item that it failed, and with it all that wait for its application, if that is still to be made:
    another session is making it.
    """
    if outcome.error is not ItemError.CONFLICT:
        await fail_items(connection, operation_id, (outcome,))
        return [outcome]
    rows = await connection.fetch(_SQL["fail_with_application"], operation_id, outcome.place)
    return [Outcome(place=row["place"], error=ItemError.CONFLICT) for row in rows]
