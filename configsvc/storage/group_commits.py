"""Group commits: one read of all that the writes need, and one statement that makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from asyncpg import Record

from configsvc.domain.errors import DatabaseUnavailableError, RecordUnreadableError
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    Effect,
    IdRef,
    KeyRef,
    NameRef,
    Operation,
    WriteContext,
)
from configsvc.domain.writes import Owner, PinnedSchema, Planned, RetryNextGroup
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.idempotency import answers_of
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.unreadable_rows import Names, fetch_around, is_readable, unreadable

_SQL = queries("group_commits")

_COLUMNS = "fits, owner_id, owner, pin_id, pin, latest_version, id, application_id, application, name, version"
_NAMES = Names(kind="configuration", columns=_COLUMNS, ids=_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a write is about: a configuration, with its config if that is needed, or the application of a new one.
    schema: the one that it names, if any.
    """

    ref: ConfigurationRef | None
    with_config: bool
    owner: ApplicationRef | None
    schema: str | None


# What a write finds. RetryNextGroup: not read, because those before it fill the limit.
Current = Owner | Configuration | RetryNextGroup | RecordUnreadableError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a target was when it was read. schema: the one that it names, or that of the configuration."""

    found: Current
    schema: PinnedSchema | None


class Refusal(StrEnum):
    """Why a write was not made, as `write_configurations` says it; DONE: it was made."""

    DONE = ""
    LOCKED = "LOCKED"
    CHANGED = "CHANGED"
    CLAIMED = "CLAIMED"
    EXISTS = "EXISTS"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWrite:
    """A write to make. operation, planned: what it does and leaves; None if nothing, with its effect in kept.

    before: the configuration that it was planned with, if any. pin: the schema that its config was validated by.
    """

    context: WriteContext
    operation: Operation | None = None
    planned: Planned | None = None
    before: Configuration | None = None
    pin: PinnedSchema | None = None
    kept: Effect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of the writes of a group, in their order, and their commit; revision 0 if nothing was written."""

    refusals: Sequence[Refusal]
    revision: int
    time: datetime | None


async def look(connection: Connection, targets: Sequence[Target], *, limit_bytes: int) -> list[Seen]:
    """Return what the targets are now, with configs of at most limit_bytes, or one larger config."""
    keys = [(ref.application, ref.name) if isinstance(ref := one.ref, KeyRef) else (None, None) for one in targets]
    rows = await fetch_around(
        connection,
        _NAMES,
        _SQL["look"],
        [one.ref.id if isinstance(one.ref, IdRef) else None for one in targets],
        [application for application, _ in keys],
        [name for _, name in keys],
        [one.with_config for one in targets],
        [one.owner.id if isinstance(one.owner, IdRef) else None for one in targets],
        [one.owner.name if isinstance(one.owner, NameRef) else None for one in targets],
        [one.schema for one in targets],
        limit_bytes,
    )
    return [Seen(found=_found(row), schema=_schema(row)) for row in rows]


def _found(row: Record) -> Current:
    if row["owner_id"] is not None:
        return Owner(id=row["owner_id"], name=row["owner"])
    if row["id"] is None:
        return None
    if not is_readable(row):
        return unreadable("configuration", f"{row['application']}:{row['name']}", row)
    # One whose config is not needed could be planned, but would overtake.
    return configuration_of(row, row["config"]) if row["fits"] else RetryNextGroup()


def _schema(row: Record) -> PinnedSchema | None:
    if row["pin_id"] is None:
        return None
    return PinnedSchema(id=row["pin_id"], name=row["pin"], latest_version=row["latest_version"])


async def write(connection: Connection, writes: Sequence[GroupWrite], *, lock_seconds: float | None) -> Made:
    """Make the writes that can be made now, in a transaction of their own. lock_seconds: a limit for each wait but that
    of the commit, None for that of the session.

    Any error of PostgreSQL fails all of them, and nothing is done.
    """
    try:
        row = await connection.fetchrow(_SQL["write"], *_arguments(writes), _wait(lock_seconds))
    except (ValueError, OverflowError) as error:
        # They are done, and only the time of the commit is none of Python's.
        raise DatabaseUnavailableError from error
    assert row is not None
    refusals = [Refusal(outcome) for outcome in row["outcomes"]]
    return Made(refusals=refusals, revision=row["revision"] or 0, time=row["commit_time"])


def _arguments(writes: Sequence[GroupWrite]) -> tuple[object, ...]:
    planned = [one.planned.configuration if one.planned else None for one in writes]
    schemas = [row.schema if row else None for row in planned]
    return (
        [one.operation or "KEPT" for one in writes],
        [row.id if row else "" for row in planned],
        [one.before.version if one.before else 0 for one in writes],
        [row.application_id if row else "" for row in planned],
        [row.application if row else "" for row in planned],
        [row.name if row else "" for row in planned],
        [one.before.name if one.before else "" for one in writes],
        [row.comments if row else "" for row in planned],
        [one.planned.config_text if one.planned else None for one in writes],
        [schema.schema if schema else None for schema in schemas],
        [schema.version if schema else None for schema in schemas],
        *_pins(writes),
        [contexts.encoded(one.context) for one in writes],
        *_requests(writes),
    )


def _pins(writes: Sequence[GroupWrite]) -> tuple[object, object]:
    """Return the columns of pins, or nothing if no write has one: that spares the statement a step."""
    if not any(one.pin for one in writes):
        return None, None
    ids = [one.pin.id if one.pin else None for one in writes]
    return ids, [one.pin.latest_version if one.pin else None for one in writes]


def _requests(writes: Sequence[GroupWrite]) -> tuple[object, object]:
    """Return the columns of calls with a request_id, or nothing if no write has one."""
    if not any(one.context.request_id for one in writes):
        return None, None
    fingerprints = [one.context.fingerprint if one.context.request_id else None for one in writes]
    return fingerprints, [answers_of((one.kept,)) if one.kept else None for one in writes]


def _wait(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.0f}ms"
