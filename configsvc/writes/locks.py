"""What writes that go together are about, locked before any of them is done, in one order for all who wait: an
application, a schema, then a configuration is never waited for while one that comes after it is held.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from configsvc.domain.conflicts import Key
from configsvc.domain.errors import WriteConflictError, WriteTooLargeError
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    IdRef,
    KeyRef,
    NameRef,
    Unpinned,
)
from configsvc.domain.scope import Scope
from configsvc.domain.writes import (
    ConfigurationWrite,
    Creation,
    Deletion,
    Held,
    JointWrite,
    MovedError,
    Owner,
    PinnedSchema,
    Update,
    Upsert,
)
from configsvc.storage import configuration_writes, schema_locks
from configsvc.storage.configuration_writes import Glimpse
from configsvc.storage.database import Connection

LOCK_LIMIT_SECONDS = 2.0
# Of the configs that are needed to make the new ones.
READ_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The writes, upserts as what they come to, and what was found of each, which nobody else changes until the end of
    the transaction. holders: the ids of those who have the names that renames take. schemas: all that could matter.
    """

    writes: Sequence[ConfigurationWrite]
    found: Mapping[int, Owner | Configuration | None]
    holders: Mapping[Key, str]
    schemas: Mapping[str, PinnedSchema | Held]


async def lock(connection: Connection, writes: Sequence[JointWrite], *, with_config: bool) -> Locked:
    """Locks what the writes of one caller are about, and reads configs where they are needed, or all. What is not in
    the applications that they are confined to is not there: it is neither waited for nor told apart from nothing.

    Raises MovedError, WriteConflictError or WriteTooLargeError.
    """
    try:
        async with asyncio.timeout(LOCK_LIMIT_SECONDS):
            return await _lock(connection, writes, with_config=with_config)
    except TimeoutError as error:
        raise WriteConflictError from error


async def _lock(connection: Connection, writes: Sequence[JointWrite], *, with_config: bool) -> Locked:
    scope = writes[0].context.scope
    seen = await _find(connection, [ref for write in writes if (ref := _ref(write))], scope)
    new_keys = [key for write in writes if (key := _new_key(write, seen))]
    holders = await _find(connection, new_keys, scope)
    to_read = {seen[ref] for write in writes if (ref := _ref(write)) in seen and (with_config or _needs_config(write))}
    if sum(one.config_bytes for one in to_read) > READ_LIMIT_BYTES:
        raise WriteTooLargeError
    refs = {*map(_application, writes), *(IdRef(id=one.application_id) for one in seen.values())} - {None}
    owners = await configuration_writes.share_or_wait(connection, [ref for ref in refs if ref], scope)
    names = {*map(_new_schema, writes), *(one.schema for one in seen.values())} - {None}
    schemas = await schema_locks.share_or_wait(connection, [name for name in names if name]) if names else {}
    ids = {one.id for one in seen.values()}
    rows = (
        await configuration_writes.lock_or_wait(connection, ids, with_config=[one.id for one in to_read]) if ids else {}
    )
    for ref, one in seen.items():
        _check_unmoved(ref, rows.get(one.id), schemas)
    concrete = [_concrete(write, seen) for write in writes]
    return Locked(
        writes=concrete,
        found={place: _found(write, owners, seen, rows) for place, write in enumerate(concrete)},
        holders={(one.application_id, one.name): one.id for one in holders.values()},
        schemas=schemas,
    )


async def _find(
    connection: Connection, refs: Iterable[ConfigurationRef], scope: Scope
) -> dict[ConfigurationRef, Glimpse]:
    unique = tuple(dict.fromkeys(refs))
    found = await configuration_writes.find(connection, unique) if unique else {}
    return {ref: one for ref, one in found.items() if scope.includes(one.application_id)}


def _ref(write: JointWrite) -> ConfigurationRef | None:
    match write:
        case Creation():
            return None
        case Upsert(key=key):
            return key
        case Update(ref=ref) | Deletion(ref=ref):
            return ref


def _new_key(write: JointWrite, seen: Mapping[ConfigurationRef, Glimpse]) -> KeyRef | None:
    current = seen.get(write.ref) if isinstance(write, Update) else None
    if not isinstance(write, Update) or current is None or write.values.name in (None, current.name):
        return None
    return KeyRef(application=current.application, name=write.values.name)


def _needs_config(write: JointWrite) -> bool:
    """Whether the new config is made of the current one, or the current one is held against another schema."""
    if not isinstance(write, Update):
        return False
    values = write.values
    pins_anew = values.schema is not None and not isinstance(values.schema, Unpinned)
    return values.merge_patch is not None or (pins_anew and values.config is None)


def _application(write: JointWrite) -> ApplicationRef | None:
    match write:
        case Creation(application=application):
            return application
        case Upsert(key=key):
            return NameRef(name=key.application)
        case _:
            return None


def _new_schema(write: JointWrite) -> str | None:
    match write:
        case Creation(schema=schema) | Upsert(schema=schema):
            pass
        case Update(values=values):
            schema = None if isinstance(values.schema, Unpinned) else values.schema
        case Deletion():
            schema = None
    return schema.schema if schema else None


def _check_unmoved(
    ref: ConfigurationRef, row: Configuration | None, schemas: Mapping[str, PinnedSchema | Held]
) -> None:
    if row is None or (isinstance(ref, KeyRef) and (row.application, row.name) != (ref.application, ref.name)):
        raise MovedError
    if row.schema is not None and row.schema.schema not in schemas:
        raise MovedError


def _concrete(write: JointWrite, seen: Mapping[ConfigurationRef, Glimpse]) -> ConfigurationWrite:
    if not isinstance(write, Upsert):
        return write
    return write.as_update() if write.key in seen else write.as_creation()


def _found(
    write: ConfigurationWrite,
    owners: Mapping[ApplicationRef, Owner],
    seen: Mapping[ConfigurationRef, Glimpse],
    rows: Mapping[str, Configuration],
) -> Owner | Configuration | None:
    if isinstance(write, Creation):
        return owners.get(write.application)
    found = rows[seen[write.ref].id] if write.ref in seen else None
    return found if found and write.context.scope.includes(found.application_id) else None
