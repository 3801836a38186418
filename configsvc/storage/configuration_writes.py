"""Set-based writes of configurations, and the locks for them, which wait for other transactions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import asyncpg
from asyncpg import Record

from configsvc.domain.errors import RecordUnreadableError
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    IdRef,
    KeyRef,
    NameRef,
    Written,
)
from configsvc.domain.scope import Scope
from configsvc.domain.writes import ChangedBeforeLockError, Owner, Planned
from configsvc.storage import contexts, log
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.unreadable_rows import Names, fetch_around, is_readable, readable_rows, unreadable

_SQL = queries("configuration_writes")

_COLUMNS = "id, application_id, application, name, version"
_NAMES = Names(kind="configuration", columns=_COLUMNS, ids=_COLUMNS)
_NAMES_OF_VERSION = Names(
    kind="configuration version", columns=_COLUMNS, ids="id, application_id, '' AS application, '' AS name, version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A configuration as read before its lock: enough to know what else to lock, and how much to read."""

    id: str
    application_id: str
    application: str
    name: str
    schema: str | None
    config_bytes: int


async def find(connection: Connection, refs: Sequence[ConfigurationRef]) -> dict[ConfigurationRef, Glimpse]:
    """Return the configurations that exist, without locking them."""
    keys = [(ref.application, ref.name) if isinstance(ref, KeyRef) else (None, None) for ref in refs]
    rows = await connection.fetch(
        _SQL["find"],
        [ref.id if isinstance(ref, IdRef) else None for ref in refs],
        [application for application, _ in keys],
        [name for _, name in keys],
    )
    return {
        refs[row["place"] - 1]: Glimpse(
            id=row["id"],
            application_id=row["application_id"],
            application=row["application"],
            name=row["name"],
            schema=row["schema"],
            config_bytes=row["config_bytes"],
        )
        for row in rows
    }


def _unreadable(row: Record) -> RecordUnreadableError:
    return unreadable("configuration", f"{row['application']}:{row['name']}", row)


async def lock_or_wait(
    connection: Connection, ids: Collection[str], *, with_config: Collection[str]
) -> dict[str, Configuration | RecordUnreadableError]:
    """Lock the configurations that still exist, waiting for other transactions; return them by id."""
    rows = await fetch_around(connection, _NAMES, _SQL["lock_or_wait"], list(ids), list(with_config))
    return {row["id"]: configuration_of(row, row["config"]) if is_readable(row) else _unreadable(row) for row in rows}


async def share_or_wait(
    connection: Connection, refs: Collection[ApplicationRef], scope: Scope
) -> dict[ApplicationRef, Owner]:
    """Take a shared lock on the applications that exist in scope, waiting for transactions that change them."""
    rows = await connection.fetch(
        _SQL["share_or_wait"],
        [ref.id for ref in refs if isinstance(ref, IdRef)],
        [ref.name for ref in refs if isinstance(ref, NameRef)],
        scope.ids,
    )
    by_ref: dict[ApplicationRef, Owner] = {}
    for row in rows:
        owner = Owner(id=row["id"], name=row["name"])
        by_ref[IdRef(id=owner.id)] = by_ref[NameRef(name=owner.name)] = owner
    return by_ref


async def application_names(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the names of the applications that exist, by id, without locking them."""
    rows = await connection.fetch(_SQL["application_names"], list(ids))
    return {row["id"]: row["name"] for row in rows}


async def insert(connection: Connection, planned: Sequence[Planned]) -> dict[str, Configuration]:
    """Insert configurations; return the inserted ones by id. Those whose key is taken are left out."""
    owners = [(plan.configuration.application_id, plan.configuration.application) for plan in planned]
    rows = await connection.fetch(
        _SQL["insert"],
        [plan.configuration.id for plan in planned],
        [application_id for application_id, _ in owners],
        [application for _, application in owners],
        *_values(planned),
    )
    return _as_written(rows, planned)


async def update(connection: Connection, planned: Sequence[Planned]) -> dict[str, Configuration]:
    """Write new values; return the configurations that changed, by id.

    Raises ChangedBeforeLockError if a name is taken.
    """
    ids = [plan.configuration.id for plan in planned]
    try:
        rows = await connection.fetch(_SQL["update"], ids, *_values(planned))
    except asyncpg.UniqueViolationError as error:
        raise ChangedBeforeLockError from error
    return _as_written(rows, planned)


def _values(planned: Sequence[Planned]) -> tuple[list[str] | list[str | None] | list[int | None], ...]:
    pins = [plan.configuration.schema for plan in planned]
    return (
        [plan.configuration.name for plan in planned],
        [plan.configuration.comments for plan in planned],
        [plan.config_text for plan in planned],
        [pin.schema if pin else None for pin in pins],
        [pin.version if pin else None for pin in pins],
        [contexts.encoded(plan.context) for plan in planned],
    )


def _as_written(rows: Iterable[Record], planned: Sequence[Planned]) -> dict[str, Configuration]:
    by_id = {plan.configuration.id: plan.configuration for plan in planned}
    return {
        row["id"]: replace(
            by_id[row["id"]],
            version=row["version"],
            create_time=row["create_time"],
            update_time=row["update_time"],
            created_by=row["created_by"],
            updated_by=row["updated_by"],
        )
        for row in rows
    }


async def delete(connection: Connection, planned: Sequence[Planned]) -> dict[str, Configuration]:
    """Delete existing configurations; return them by id as the log records them."""
    deleting = {plan.configuration.id: plan.context for plan in planned}
    await log.explain_deletions(connection, deleting)
    rows = {row["id"]: row for row in await connection.fetch(_SQL["delete"], list(deleting))}
    return {
        gone.id: replace(
            gone,
            create_time=rows[gone.id]["create_time"],
            update_time=rows[gone.id]["time"],
            updated_by=deleting[gone.id].actor,
        )
        for gone in (plan.configuration for plan in planned)
    }


async def get_versions(
    connection: Connection, written: Iterable[Written], *, with_config: bool
) -> dict[Written, Configuration]:
    """Return versions that are in the log and can be read; that of a deletion has no config."""
    written = tuple(written)
    rows = await fetch_around(
        connection,
        _NAMES_OF_VERSION,
        _SQL["get_versions"],
        [version.resource_id for version in written],
        [version.version for version in written],
        with_config,
    )
    return {
        Written(resource_id=row["id"], version=row["version"]): configuration_of(row, row["config"])
        for row in readable_rows(_NAMES_OF_VERSION, rows)
    }


async def taken(connection: Connection, keys: Collection[KeyRef]) -> set[KeyRef]:
    """Return those of the keys that configurations have."""
    rows = await connection.fetch(_SQL["taken"], [key.application for key in keys], [key.name for key in keys])
    return {KeyRef(application=row["application"], name=row["name"]) for row in rows}
