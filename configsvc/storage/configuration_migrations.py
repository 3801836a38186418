"""Configurations that are to be moved to another version of their schema."""

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
from configsvc.storage.database import Connection
from configsvc.storage.operations import Slice, outcome_of
from configsvc.storage.origins import stored
from configsvc.storage.queries import queries

_SQL = queries("configuration_migrations")


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedItem:
    """A config as it is, as JSON text."""

    place: int
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedItem:
    """What came of a config: what it is to be, as JSON text, or why it cannot be moved."""

    place: int
    config: str | None
    change: ItemChange | None
    error: ItemError | None
    faults: tuple[ItemFault, ...]


def _chosen(settings: MigrationSettings) -> tuple[str, int, int, str | None]:
    return settings.to.schema, settings.from_version, settings.to.version, settings.application_id


async def stage(connection: Connection, operation_id: str, settings: MigrationSettings) -> int:
    """Makes an item of each configuration that is to be moved; how many they are."""
    return await connection.fetchval(_SQL["stage"], operation_id, *_chosen(settings))


async def unchecked(connection: Connection, operation_id: str, places: Slice) -> list[UncheckedItem]:
    """The items of a slice that are not transformed yet."""
    rows = await connection.fetch(_SQL["unchecked"], operation_id, places.first, places.last)
    return [UncheckedItem(place=row["place"], before=row["before"]) for row in rows]


async def note_checked(
    connection: Connection, operation_id: str, checked: Sequence[CheckedItem], *, dry_run: bool
) -> None:
    """Notes what came of the transformation."""
    await connection.execute(
        _SQL["note_checked"],
        operation_id,
        [item.place for item in checked],
        [item.config for item in checked],
        [item.change for item in checked],
        [item.error for item in checked],
        [encoded_faults(item.faults) for item in checked],
        dry_run,
    )


async def end_dry_run(connection: Connection, operation_id: str, places: Slice) -> list[Outcome]:
    """The waiting items of a slice are done: they show what would be."""
    return [
        outcome_of(row) for row in await connection.fetch(_SQL["end_dry_run"], operation_id, places.first, places.last)
    ]


async def lock(connection: Connection, operation_id: str, places: Slice) -> bool:
    """Whether the configurations of the waiting items are what they were; nobody changes them until the end of the
    transaction.
    """
    await connection.execute(_SQL["lock"], operation_id, places.first, places.last)
    return not await connection.fetchval(_SQL["has_changed"], operation_id, places.first, places.last)


async def restage(connection: Connection, operation_id: str, settings: MigrationSettings) -> None:
    """Takes the waiting items as they are now; those that are no longer to be moved are done."""
    await connection.execute(_SQL["restage"], operation_id, *_chosen(settings))
    await connection.execute(_SQL["let_go"], operation_id, *_chosen(settings))


async def move(connection: Connection, operation: BulkOperation, places: Slice) -> list[Outcome]:
    """Writes the waiting items of a slice, which are checked and locked, within a transaction."""
    rows = await connection.fetch(
        _SQL["move"],
        operation.id,
        places.first,
        places.last,
        operation.actor,
        operation.reason,
        operation.request_id,
        stored(operation.origin),
    )
    return [outcome_of(row) for row in rows]
