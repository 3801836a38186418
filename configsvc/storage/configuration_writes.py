"""Many configurations written by one statement each for what is new, changed and deleted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import asyncpg
from asyncpg import Record

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
from configsvc.domain.writes import Held, MovedError, Owner, Planned, Postponed
from configsvc.storage import log
from configsvc.storage.database import Connection
from configsvc.storage.origins import stored
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of

_SQL = queries("configuration_writes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A configuration as it was before it was locked: what else has to be locked, and how much is to be read."""

    id: str
    application_id: str
    application: str
    name: str
    schema: str | None
    config_bytes: int


async def find(connection: Connection, refs: Sequence[ConfigurationRef]) -> dict[ConfigurationRef, Glimpse]:
    """Those of the configurations that exist."""
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


async def lock_or_skip(
    connection: Connection, refs: Sequence[ConfigurationRef], *, limit_bytes: int
) -> dict[ConfigurationRef, Configuration | Held | Postponed]:
    """Those of the configurations that exist. Nobody else changes those that are not held until the end of the
    transaction; they are without their revision. Postponed: not looked at, for those before it fill limit_bytes.
    """
    keys = [(ref.application, ref.name) if isinstance(ref, KeyRef) else (None, None) for ref in refs]
    rows = await connection.fetch(
        _SQL["lock_or_skip"],
        [ref.id if isinstance(ref, IdRef) else None for ref in refs],
        [application for application, _ in keys],
        [name for _, name in keys],
        limit_bytes,
    )
    by_ref: dict[ConfigurationRef, Configuration | Held | Postponed] = {}
    for row in rows:
        current = _locked(row)
        by_ref[IdRef(id=row["wanted_id"])] = current
        by_ref[KeyRef(application=row["wanted_application"], name=row["wanted_name"])] = current
    return {ref: _as_named(ref, by_ref[ref]) for ref in refs if ref in by_ref}


def _locked(row: Record) -> Configuration | Held | Postponed:
    if row["id"] is not None:
        return configuration_of(row, row["config"])
    return Held(application_id=row["wanted_application_id"]) if row["fits"] else Postponed()


def _as_named(ref: ConfigurationRef, current: Configuration | Held | Postponed) -> Configuration | Held | Postponed:
    # Whoever renamed it in the moment between is done, and what the name means now is for the next look.
    if (
        isinstance(ref, KeyRef)
        and isinstance(current, Configuration)
        and (current.application, current.name) != (ref.application, ref.name)
    ):
        return Held()
    return current


async def lock_or_wait(
    connection: Connection, ids: Collection[str], *, with_config: Collection[str]
) -> dict[str, Configuration]:
    """Those of the configurations that still exist, by id; waits for who changes one."""
    rows = await connection.fetch(_SQL["lock_or_wait"], list(ids), list(with_config))
    return {row["id"]: configuration_of(row, row["config"]) for row in rows}


async def share_or_skip(connection: Connection, refs: Iterable[ApplicationRef]) -> dict[ApplicationRef, Owner | Held]:
    """Those of the applications that exist."""
    refs = tuple(refs)
    rows = await connection.fetch(
        _SQL["share_or_skip"],
        [ref.id for ref in refs if isinstance(ref, IdRef)],
        [ref.name for ref in refs if isinstance(ref, NameRef)],
    )
    by_ref: dict[ApplicationRef, Owner | Held] = {}
    for row in rows:
        unchanged = (row["id"], row["name"]) == (row["wanted_id"], row["wanted_name"])
        owner = Owner(id=row["id"], name=row["name"]) if unchanged else Held(application_id=row["wanted_id"])
        by_ref[IdRef(id=row["wanted_id"])] = owner
        by_ref[NameRef(name=row["wanted_name"])] = owner
    return {ref: by_ref[ref] for ref in refs if ref in by_ref}


async def share_or_wait(
    connection: Connection, refs: Collection[ApplicationRef], scope: Scope
) -> dict[ApplicationRef, Owner]:
    """Those of the applications that exist, and are in scope; waits for who renames or
    deletes one.
    """
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


async def insert(connection: Connection, planned: Sequence[Planned]) -> dict[str, Configuration]:
    """What was inserted, by id; left out is what has the key of another."""
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
    """Writes new values; by id, the configurations that really changed. Raises MovedError if a name is taken."""
    ids = [plan.configuration.id for plan in planned]
    try:
        rows = await connection.fetch(_SQL["update"], ids, *_values(planned))
    except asyncpg.UniqueViolationError as error:
        raise MovedError from error
    return _as_written(rows, planned)


def _values(planned: Sequence[Planned]) -> tuple[list[str] | list[str | None] | list[int | None], ...]:
    pins = [plan.configuration.schema for plan in planned]
    return (
        [plan.configuration.name for plan in planned],
        [plan.configuration.comments for plan in planned],
        [plan.config_text for plan in planned],
        [pin.schema if pin else None for pin in pins],
        [pin.version if pin else None for pin in pins],
        [plan.context.actor for plan in planned],
        [plan.context.reason for plan in planned],
        [plan.context.request_id for plan in planned],
        [stored(plan.context.origin) for plan in planned],
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
    """Deletes configurations that exist; by id, as the log tells of them."""
    contexts = {plan.configuration.id: plan.context for plan in planned}
    await log.explain_deletions(connection, contexts)
    times = {row["id"]: row["time"] for row in await connection.fetch(_SQL["delete"], list(contexts))}
    return {
        gone.id: replace(gone, update_time=times[gone.id], updated_by=contexts[gone.id].actor)
        for gone in (plan.configuration for plan in planned)
    }


async def get_versions(
    connection: Connection, written: Iterable[Written], *, with_config: bool
) -> dict[Written, Configuration]:
    """Versions that are in the log; of a deleted one, config is None."""
    written = tuple(written)
    rows = await connection.fetch(
        _SQL["get_versions"],
        [version.resource_id for version in written],
        [version.version for version in written],
        with_config,
    )
    return {
        Written(resource_id=row["id"], version=row["version"]): configuration_of(row, row["config"]) for row in rows
    }


async def outgrown(connection: Connection, configs: Sequence[str]) -> set[int]:
    """Which of the JSON texts are larger than the database keeps, as it writes them."""
    return {row["place"] - 1 for row in await connection.fetch(_SQL["outgrown"], configs)}
