"""Lock everything an atomic batch touches, always in the same order, so that batches cannot deadlock: applications,
then schemas, then configurations, each by id.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from configsvc.domain.conflicts import Key
from configsvc.domain.errors import ConfigsvcError, RecordUnreadableError, WriteConflictError, WriteTooLargeError
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    IdRef,
    KeyRef,
    Unpinned,
    Written,
)
from configsvc.domain.scope import Scope
from configsvc.domain.writes import (
    BatchWrite,
    ChangedBeforeLockError,
    ConfigurationWrite,
    Creation,
    Deletion,
    Owner,
    PinnedSchema,
    Update,
    Upsert,
)
from configsvc.storage import configuration_writes, schema_locks
from configsvc.storage.configuration_writes import Glimpse
from configsvc.storage.database import Connection

LOCK_LIMIT_SECONDS = 2.0
# Of current configs that the batch needs to make the new ones.
READ_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The writes, and what was found for each, locked until the end of the transaction.

    An update that may create its configuration is a creation here if that does not exist; failures: the errors of those
    that cannot be one, and of writes whose configuration cannot be read, by index. name_owners: ids of the
    configurations that have the names taken by renames. schemas: old and new ones.
    """

    writes: Sequence[ConfigurationWrite]
    found: Mapping[int, Owner | Configuration | None]
    failures: Mapping[int, ConfigsvcError]
    name_owners: Mapping[Key, str]
    schemas: Mapping[str, PinnedSchema]


async def lock_all(connection: Connection, writes: Sequence[BatchWrite], *, with_config: bool) -> Locked:
    """Lock what the writes of one caller touch; read current configs where they are needed, or all with with_config.

    Resources outside the caller's applications count as missing: there is no waiting for their locks. Raises
    ChangedBeforeLockError, WriteConflictError or WriteTooLargeError.
    """
    try:
        async with asyncio.timeout(LOCK_LIMIT_SECONDS):
            return await _lock(connection, writes, with_config=with_config)
    except TimeoutError as error:
        raise WriteConflictError from error


async def _lock(connection: Connection, given: Sequence[BatchWrite], *, with_config: bool) -> Locked:
    scope = given[0].context.scope
    writes = await _as_updates(connection, given)
    current = await _find(connection, [ref for write in writes if (ref := _ref(write))], scope)
    new_keys = [key for write in writes if (key := _new_key(write, current))]
    owners_of_names = await _find(connection, new_keys, scope)
    to_read = {
        current[ref] for write in writes if (ref := _ref(write)) in current and (with_config or _needs_config(write))
    }
    if sum(glimpse.config_bytes for glimpse in to_read) > READ_LIMIT_BYTES:
        raise WriteTooLargeError
    refs = {*map(_application, writes), *(IdRef(id=glimpse.application_id) for glimpse in current.values())} - {None}
    owners = await configuration_writes.share_or_wait(connection, [ref for ref in refs if ref], scope)
    names = {*map(_new_schema, writes), *(glimpse.schema for glimpse in current.values())} - {None}
    schemas = await schema_locks.share_or_wait(connection, [name for name in names if name]) if names else {}
    ids = {glimpse.id for glimpse in current.values()}
    rows = (
        await configuration_writes.lock_or_wait(connection, ids, with_config=[glimpse.id for glimpse in to_read])
        if ids
        else {}
    )
    readable = {row.id: row for row in rows.values() if isinstance(row, Configuration)}
    for ref, glimpse in current.items():
        if glimpse.id not in rows or glimpse.id in readable:
            _check_unchanged(ref, readable.get(glimpse.id), schemas)
    failures: dict[int, ConfigsvcError] = {**_unreadable(writes, current, rows)}
    resolved = [_resolved(index, write, current, failures) for index, write in enumerate(writes)]
    found = {index: _found(write, owners, current, readable) for index, write in enumerate(resolved)}
    return Locked(
        writes=resolved,
        found=await _with_commit_times(connection, enumerate(resolved), found),
        failures=failures,
        name_owners={(owner.application_id, owner.name): owner.id for owner in owners_of_names.values()},
        schemas=schemas,
    )


async def _as_updates(connection: Connection, writes: Sequence[BatchWrite]) -> list[ConfigurationWrite]:
    """Return the writes with upserts as updates, which name their applications."""
    owners = {write.application for write in writes if isinstance(write, Upsert)}
    ids = [ref.id for ref in owners if isinstance(ref, IdRef)]
    names = await configuration_writes.application_names(connection, ids) if ids else {}
    # No application has an empty name: with an unknown id, the creation does not find its application.
    return [
        write.as_update(names.get(ref.id, "") if isinstance(ref := write.application, IdRef) else ref.name)
        if isinstance(write, Upsert)
        else write
        for write in writes
    ]


async def _find(
    connection: Connection, refs: Iterable[ConfigurationRef], scope: Scope
) -> dict[ConfigurationRef, Glimpse]:
    unique = tuple(dict.fromkeys(refs))
    found = await configuration_writes.find(connection, unique) if unique else {}
    return {ref: glimpse for ref, glimpse in found.items() if scope.includes(glimpse.application_id)}


def _ref(write: ConfigurationWrite) -> ConfigurationRef | None:
    return None if isinstance(write, Creation) else write.ref


def _new_key(write: ConfigurationWrite, current: Mapping[ConfigurationRef, Glimpse]) -> KeyRef | None:
    glimpse = current.get(write.ref) if isinstance(write, Update) else None
    if not isinstance(write, Update) or glimpse is None or write.values.name in (None, glimpse.name):
        return None
    return KeyRef(application=glimpse.application, name=write.values.name)


def _needs_config(write: ConfigurationWrite) -> bool:
    """Return whether the new config depends on the current one, or the current one needs a check by another schema."""
    if not isinstance(write, Update):
        return False
    values = write.values
    pins_anew = values.schema is not None and not isinstance(values.schema, Unpinned)
    return values.patch is not None or (pins_anew and values.config is None)


def _application(write: ConfigurationWrite) -> ApplicationRef | None:
    match write:
        case Creation(application=application):
            return application
        case Update(creates_in=application):
            return application
        case _:
            return None


def _new_schema(write: ConfigurationWrite) -> str | None:
    match write:
        case Creation(schema=schema):
            pass
        case Update(values=values):
            schema = None if isinstance(values.schema, Unpinned) else values.schema
        case Deletion():
            schema = None
    return schema.schema if schema else None


def _check_unchanged(ref: ConfigurationRef, row: Configuration | None, schemas: Mapping[str, PinnedSchema]) -> None:
    if row is None or (isinstance(ref, KeyRef) and (row.application, row.name) != (ref.application, ref.name)):
        raise ChangedBeforeLockError
    if row.schema is not None and row.schema.schema not in schemas:
        raise ChangedBeforeLockError


def _unreadable(
    writes: Sequence[ConfigurationWrite],
    current: Mapping[ConfigurationRef, Glimpse],
    rows: Mapping[str, Configuration | RecordUnreadableError],
) -> dict[int, RecordUnreadableError]:
    refs = {index: ref for index, write in enumerate(writes) if (ref := _ref(write)) in current and ref}
    return {
        index: row for index, ref in refs.items() if isinstance(row := rows[current[ref].id], RecordUnreadableError)
    }


def _resolved(
    index: int,
    write: ConfigurationWrite,
    current: Mapping[ConfigurationRef, Glimpse],
    failures: dict[int, ConfigsvcError],
) -> ConfigurationWrite:
    """Return the creation in place of an update of a missing configuration, if that may be; add why it cannot be."""
    if not isinstance(write, Update) or not write.allow_missing or write.ref in current:
        return write
    try:
        return write.as_creation()
    except ConfigsvcError as error:
        failures[index] = error
        return write


def _found(
    write: ConfigurationWrite,
    owners: Mapping[ApplicationRef, Owner],
    current: Mapping[ConfigurationRef, Glimpse],
    rows: Mapping[str, Configuration],
) -> Owner | Configuration | None:
    if isinstance(write, Creation):
        return owners.get(write.application)
    found = rows.get(current[write.ref].id) if write.ref in current else None
    return found if found and write.context.scope.includes(found.application_id) else None


async def _with_commit_times(
    connection: Connection,
    writes: Iterable[tuple[int, ConfigurationWrite]],
    found: Mapping[int, Owner | Configuration | None],
) -> dict[int, Owner | Configuration | None]:
    """Return what was found, by index; with the times of commits where a write expects an etag, which needs them."""
    checked = {
        index: Written(resource_id=current.id, version=current.version)
        for index, write in writes
        if not isinstance(write, Creation) and write.expected.etag
        if isinstance(current := found.get(index), Configuration)
    }
    timed = dict(found)
    if checked:
        known = await configuration_writes.get_versions(connection, set(checked.values()), with_config=False)
        for index, version in checked.items():
            if isinstance(current := found[index], Configuration):
                timed[index] = replace(current, update_time=known[version].update_time)
    return timed
