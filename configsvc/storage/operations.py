"""Long-running operations and their items.

Functions that take a run raise RunLostError when another process has taken the operation over.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from asyncpg import Record

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.models import SchemaVersionRef, WriteContext
from configsvc.domain.operations import (
    BulkOperation,
    Failure,
    ItemChange,
    ItemError,
    ItemFault,
    OperationItem,
    OperationKind,
    OperationState,
    Outcome,
    Progress,
    StagedItem,
    decoded_faults,
    encoded_faults,
)
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one, is_readable, readable_rows

_SQL = queries("operations")

_NAMES = Names(kind="operation", columns="id", ids="id")
_NAMES_OF_ACTOR = Names(kind="operation", columns="NULL::text AS actor", ids="NULL::text AS actor")
_NAMES_OF_ITEM = Names(kind="operation item", columns="place, found", ids="place, found")
_NAMES_OF_WAITING = Names(
    kind="operation item", columns="place, schema, schema_version", ids="place, NULL AS schema, 0 AS schema_version"
)

Value = TypeVar("Value", str, int)

_DUPLICATE = ItemFault(field="name", keyword="", message="is the name of an earlier item of the same application")


class RunLostError(Exception):
    """An operation that another process has taken over, or that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The work of one process on one operation. Each attempt has a name of its own."""

    operation_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A range of item indexes, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingItem:
    """An item to pin; version 0 means the newest. config is JSON text; None: it cannot be read."""

    index: int
    schema: SchemaVersionRef
    config: str | None


def outcome_of(row: Record) -> Outcome:
    """Return the outcome in a row."""
    return Outcome(
        index=row["place"],
        change=ItemChange(row["change"]) if row["change"] else None,
        error=ItemError(row["error"]) if row["error"] else None,
    )


async def stage(
    connection: Connection, operation_id: str, kind: OperationKind, settings: JsonObject, context: WriteContext
) -> None:
    """Create an operation that stays hidden until it is submitted."""
    await connection.execute(
        _SQL["stage"],
        operation_id,
        kind,
        encode_json(settings),
        contexts.encoded(context),
        context.validate_only,
    )


async def stage_items(connection: Connection, operation_id: str, first: int, items: Sequence[StagedItem]) -> None:
    """Add items, the first at index first."""
    await connection.copy_records_to_table(
        "operation_items",
        columns=["operation_id", "place", *StagedItem._fields],
        records=[(operation_id, index, *item) for index, item in enumerate(items, start=first)],
    )
    await connection.execute(_SQL["keep_staging"], operation_id, len(items))


async def submit(connection: Connection, operation_id: str) -> bool:
    """Make the operation visible and ready to run; False if housekeeping removed it as too slow."""
    return await connection.fetchval(_SQL["submit"], operation_id) is not None


async def get(connection: Connection, operation_id: str, owner: str | None) -> BulkOperation | None:
    """Return the operation, if the actor (None: any) has it. Raises RecordUnreadableError."""
    name = f"operations/{operation_id}"
    row = await fetch_one(connection, _NAMES, lambda _: name, _SQL["get"], operation_id, owner)
    return _operation(row) if row else None


async def page(
    connection: Connection, owner: str | None, *, after: str | None, limit: int
) -> tuple[list[BulkOperation], str | None]:
    """Return operations of the actor (None: of all), newest first, that come after one; and the last id, if more may
    follow. Those that cannot be read are left out.
    """
    rows = await fetch_around(connection, _NAMES, _SQL["list"], after, limit, owner)
    found = [_operation(row) for row in readable_rows(_NAMES, rows)]
    return found, rows[-1]["id"] if len(rows) == limit else None


def _operation(row: Record) -> BulkOperation:
    return BulkOperation(
        id=row["id"],
        kind=OperationKind(row["kind"]),
        state=OperationState(row["state"]),
        settings=json.loads(row["settings"]),
        actor=row["actor"],
        origin=contexts.origin_of(row["origin"]),
        reason=row["reason"],
        request_id=row["request_id"],
        validate_only=row["validate_only"],
        attempts=row["attempt_count"],
        total=row["total_count"],
        progress=Progress(
            done=row["done_count"],
            failed=row["failed_count"],
            created=row["created_count"],
            updated=row["updated_count"],
            unchanged=row["unchanged_count"],
        ),
        revision=row["revision"],
        failure=Failure(row["failure"]) if row["failure"] else None,
        create_time=row["create_time"],
        end_time=row["shown_end_time"],
    )


async def cancel(connection: Connection, operation_id: str) -> None:
    """Cancel the operation: a running one is told to end, a waiting one ends now, an ended one stays as it is."""
    await connection.execute(_SQL["cancel"], operation_id)


async def lock(connection: Connection, operation_id: str) -> OperationState | None:
    """Lock the operation until the end of the transaction; return its state, or None if it does not exist."""
    state = await connection.fetchval(_SQL["lock"], operation_id)
    return OperationState(state) if state else None


async def hide(connection: Connection, operation_id: str) -> None:
    """Hide the operation, for housekeeping to delete."""
    await connection.execute(_SQL["hide"], operation_id)


async def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most limit rows of operations that are no longer kept; return their number."""
    operation_id = await connection.fetchval(_SQL["expired"])
    if operation_id is None:
        return _count(await connection.execute(_SQL["purge_log_of_jobs"], limit))
    deleted = _count(await connection.execute(_SQL["delete_items"], operation_id, limit))
    if deleted < limit:
        await connection.execute(_SQL["delete"], operation_id)
        return limit
    return deleted


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


async def page_of_items(
    connection: Connection, operation_id: str, *, after: int, failed_only: bool, limit: int, limit_bytes: int
) -> tuple[list[OperationItem], int | None]:
    """Return finished items after one, in order, within limit_bytes of JSON text; and the last index, if more follow.
    Those that cannot be read are left out.
    """
    arguments = (operation_id, after, failed_only, limit, limit_bytes)
    rows = await fetch_around(connection, _NAMES_OF_ITEM, _SQL["list_items"], *arguments)
    more = bool(rows) and rows[0]["found"] > len(rows)
    return [_item(row) for row in readable_rows(_NAMES_OF_ITEM, rows)], rows[-1]["place"] if more else None


def _item(row: Record) -> OperationItem:
    return OperationItem(
        index=row["place"],
        application=row["application"],
        application_id=row["application_id"],
        name=row["name"],
        expected_version=row["expected_version"],
        current_version=row["configuration_version"],
        schema=row["schema"],
        schema_version=row["schema_version"],
        change=ItemChange(row["change"]) if row["change"] else None,
        error=ItemError(row["error"]) if row["error"] else None,
        faults=decoded_faults(row["faults"]),
        before=json.loads(row["before"]) if row["before"] else None,
        after=json.loads(row["after"]) if row["after"] else None,
    )


async def take_up(connection: Connection, run: Run, *, first_pause_seconds: float) -> BulkOperation | None:
    """Take the operation up for this run alone.

    None if it has ended, is gone, or its next attempt must wait: first_pause_seconds after the
    start of the first attempt, twice as long after each further one.
    """
    if await connection.fetchval(_SQL["take_up"], run.operation_id, run.name, first_pause_seconds) is None:
        return None
    return await get(connection, run.operation_id, None)


async def seconds_to_attempt(connection: Connection, operation_id: str) -> float | None:
    """Return the wait until the next attempt; None if the operation has ended or is gone."""
    return await connection.fetchval(_SQL["seconds_to_attempt"], operation_id)


async def give_back(connection: Connection, run: Run) -> None:
    """Release the operation at once and do not count this attempt."""
    await connection.execute(_SQL["give_back"], run.operation_id, run.name)


async def lock_queue_of(connection: Connection, actor: str) -> None:
    """Lock the actor's queue until the end of the transaction, so that no one else enqueues its operations."""
    await connection.execute(_SQL["lock_queue_of"], actor)


async def count_unended(connection: Connection, actor: str) -> int:
    """Return the number of the actor's waiting and running operations."""
    return await connection.fetchval(_SQL["count_unended"], actor)


async def due(connection: Connection, actor: str, *, at_once: int | None) -> list[str]:
    """Return the ids of the actor's operations to enqueue, oldest first, so that at_once (None: all) have a job."""
    return [row["id"] for row in await connection.fetch(_SQL["due"], actor, at_once)]


async def actor_of(connection: Connection, operation_id: str) -> str | None:
    """Return the actor of the operation; None if it is gone."""
    return await connection.fetchval(_SQL["actor_of"], operation_id)


async def actors_without_job(connection: Connection) -> list[str]:
    """Return the actors that have operations without a job: waiting for their turn, or with a lost job."""
    rows = await fetch_around(connection, _NAMES_OF_ACTOR, _SQL["actors_without_job"])
    return [row["actor"] for row in readable_rows(_NAMES_OF_ACTOR, rows)]


async def standing(connection: Connection, run: Run) -> OperationState:
    """Return the state of the operation of a run."""
    return OperationState(_unless_lost(await connection.fetchval(_SQL["standing"], run.operation_id, run.name)))


async def set_total(connection: Connection, run: Run, total: int) -> None:
    """Store the number of items."""
    _unless_lost(await connection.fetchval(_SQL["set_total"], run.operation_id, run.name, total))


async def advance(connection: Connection, run: Run, added: Progress) -> None:
    """Add to the progress, with the commit of this transaction."""
    counts = (added.done, added.failed, added.created, added.updated, added.unchanged)
    _unless_lost(await connection.fetchval(_SQL["advance"], run.operation_id, run.name, *counts))


async def recount(connection: Connection, run: Run) -> int:
    """Set the progress from the items, with the commit of this transaction; return the number of failed items."""
    return _unless_lost(await connection.fetchval(_SQL["recount"], run.operation_id, run.name))


async def finish(connection: Connection, run: Run, state: OperationState, failure: Failure | None = None) -> None:
    """End the operation."""
    _unless_lost(await connection.fetchval(_SQL["finish"], run.operation_id, run.name, state, failure or ""))


def _unless_lost(value: "Value | None") -> "Value":
    if value is None:
        raise RunLostError
    return value


async def next_slice(
    connection: Connection, operation: BulkOperation, *, after: int, limit: int, limit_bytes: int
) -> Slice | None:
    """Return the next slice of waiting items after an index, within the limits; None if there are none."""
    for first in range(after + 1, operation.total, limit):
        last = await connection.fetchval(_SQL["slice"], operation.id, first - 1, limit, limit_bytes)
        if last is not None:
            return Slice(first=first, last=last)
    return None


async def fail_duplicates(connection: Connection, operation_id: str) -> None:
    """Fail each waiting item that has the key of an earlier one."""
    await connection.execute(_SQL["fail_duplicates"], operation_id, encoded_faults((_DUPLICATE,)))


async def pinned(connection: Connection, operation_id: str, span: Slice) -> list[WaitingItem]:
    """Return the waiting items of a slice that are to be pinned."""
    rows = await fetch_around(connection, _NAMES_OF_WAITING, _SQL["pinned"], operation_id, span.first, span.last)
    return [
        WaitingItem(
            index=row["place"],
            schema=SchemaVersionRef(schema=row["schema"], version=row["schema_version"]),
            config=row["config"] if is_readable(row) else None,
        )
        for row in rows
    ]


async def fail_items(connection: Connection, operation_id: str, outcomes: Iterable[Outcome]) -> None:
    """Mark waiting items as failed."""
    outcomes = tuple(outcomes)
    await connection.execute(
        _SQL["fail_items"],
        operation_id,
        [outcome.index for outcome in outcomes],
        [outcome.error for outcome in outcomes],
        [encoded_faults(outcome.faults) for outcome in outcomes],
    )


async def note_outcomes(connection: Connection, operation_id: str, outcomes: Sequence[Outcome]) -> None:
    """Store outcomes of items whose transaction was rolled back."""
    await connection.execute(
        _SQL["note_outcomes"],
        operation_id,
        [outcome.index for outcome in outcomes],
        [outcome.change for outcome in outcomes],
        [outcome.error for outcome in outcomes],
        [encoded_faults(outcome.faults) for outcome in outcomes],
        [outcome.current_version for outcome in outcomes],
    )
