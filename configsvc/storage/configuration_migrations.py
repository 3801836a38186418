"""Items of a migration: configurations that move to another version of their schema."""

from collections.abc import Sequence
from dataclasses import dataclass

from configsvc.domain.operations import (
    BulkOperation,
    ItemChange,
    ItemError,
    ItemFault,
    MigrationSettings,
    Outcome,
    encoded_faults,
)
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.operations import Slice, outcome_of
from configsvc.storage.queries import queries
from configsvc.storage.unreadable_rows import Names, fetch_around, is_readable

_SQL = queries("configuration_migrations")

_NAMES = Names(kind="operation item", columns="place", ids="place")


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedItem:
    """An item with its current config as JSON text; None: it cannot be read."""

    index: int
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedItem:
    """A transformed item: its new config as JSON text, or the reason why it cannot move."""

    index: int
    config: str | None
    change: ItemChange | None
    error: ItemError | None
    faults: tuple[ItemFault, ...]


def _chosen(settings: MigrationSettings) -> tuple[str, int, int, str | None, str, list[str] | None]:
    to = settings.to
    names = settings.names or None
    return to.schema, settings.from_version, to.version, settings.application_id, settings.name_prefix, names


async def stage(connection: Connection, operation_id: str, settings: MigrationSettings) -> int:
    """Stage an item for each configuration to move; return their number."""
    return await connection.fetchval(_SQL["stage"], operation_id, *_chosen(settings))


async def unchecked(connection: Connection, operation_id: str, span: Slice) -> list[UncheckedItem]:
    """Return the items of a slice that are not transformed yet."""
    rows = await fetch_around(connection, _NAMES, _SQL["unchecked"], operation_id, span.first, span.last)
    return [UncheckedItem(index=row["place"], before=row["before"] if is_readable(row) else None) for row in rows]


async def note_checked(
    connection: Connection, operation_id: str, checked: Sequence[CheckedItem], *, dry_run: bool
) -> None:
    """Store the results of the transformation."""
    await connection.execute(
        _SQL["note_checked"],
        operation_id,
        [item.index for item in checked],
        [item.config for item in checked],
        [item.change for item in checked],
        [item.error for item in checked],
        [encoded_faults(item.faults) for item in checked],
        dry_run,
    )


async def end_dry_run(connection: Connection, operation_id: str, span: Slice) -> list[Outcome]:
    """Mark the waiting items of a slice as done; they show what would change."""
    return [outcome_of(row) for row in await connection.fetch(_SQL["end_dry_run"], operation_id, span.first, span.last)]


async def lock(connection: Connection, operation_id: str, span: Slice) -> bool:
    """Lock the configurations of the waiting items in this transaction; return whether all are unchanged."""
    await connection.execute(_SQL["lock"], operation_id, span.first, span.last)
    return not await connection.fetchval(_SQL["has_changed"], operation_id, span.first, span.last)


async def restage(connection: Connection, operation_id: str, settings: MigrationSettings) -> None:
    """Refresh the waiting items from their configurations; mark those that no longer need to move as done."""
    await connection.execute(_SQL["restage"], operation_id, *_chosen(settings))
    await connection.execute(_SQL["let_go"], operation_id, *_chosen(settings))


async def move(connection: Connection, operation: BulkOperation, span: Slice) -> list[Outcome]:
    """Write the waiting items of a slice, which must be checked and locked, in the current transaction."""
    rows = await connection.fetch(_SQL["move"], operation.id, span.first, span.last, contexts.encoded(operation))
    return [outcome_of(row) for row in rows]
