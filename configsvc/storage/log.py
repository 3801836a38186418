"""The log of changes: its head, its epoch, its commits."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from configsvc.domain.commits import RECORD_BYTES, Commit, CommitPart, Position, Record, parts_of
from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.errors import (
    DatabaseUnavailableError,
    RevisionCompactedError,
    RevisionUnknownError,
    WriteConflictError,
)
from configsvc.domain.models import (
    ConfigurationChange,
    Kind,
    Operation,
    WriteContext,
    Written,
)
from configsvc.storage.database import Connection
from configsvc.storage.origins import as_object
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of

CHANNEL = "configsvc_changes"
# A page is read at once, and must hold a whole part (see `configsvc.domain.commits`).
PAGE_LIMIT = 13_000
# Making records of rows holds the event loop up: some 10 ms for so many.
RECORDS_AT_ONCE = 500
PAGE_LIMIT_COMMITS = 1000
PAGE_LIMIT_BYTES = 3 * 1024 * 1024
PAGE_SECONDS = 10.0

_SQL = queries("log")
_ACCESS_KINDS = frozenset({Kind.APPLICATION, Kind.ROLE_BINDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where the log ends, with the commit there, and the compacted revision, the first whose state it tells."""

    head: int
    head_commit: Commit | None
    compacted_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """The parts that follow a position, and the commit of what is before it, which tells whose log this is; with the
    bounds of the log at the time.
    """

    before: Commit | None
    parts: tuple[CommitPart, ...]
    head: int
    compacted_revision: int


def check_head(revision: int, head: int) -> None:
    """Raises RevisionUnknownError if the history has not reached the revision."""
    if revision > head:
        raise RevisionUnknownError(revision=revision, head=head)


def check_kept(revision: int, compacted_revision: int) -> None:
    """Raises RevisionCompactedError if the log does not tell the state at the revision, or what came after it."""
    if revision < compacted_revision:
        raise RevisionCompactedError(revision=revision, compacted_revision=compacted_revision)


async def require_revision(connection: Connection, revision: int) -> None:
    """Raises RevisionUnknownError if what the connection reads next may be older than the revision."""
    if revision:
        check_head(revision, await head(connection))


async def require_state(connection: Connection, revision: int) -> None:
    """Raises RevisionUnknownError or RevisionCompactedError unless the log tells the state at the revision."""
    reached = await bounds(connection)
    check_head(revision, reached.head)
    check_kept(revision, reached.compacted_revision)


async def head(connection: Connection) -> int:
    """The revision of the last commit."""
    return await connection.fetchval(_SQL["head"])


async def bounds(connection: Connection) -> Bounds:
    """Where the log can be read. Raises DatabaseUnavailableError while it is being restored."""
    row = await connection.fetchrow(_SQL["bounds"])
    if row is None:
        raise DatabaseUnavailableError
    return Bounds(
        head=row["head"],
        head_commit=_commit(row["head"], row["commit_id"], row["commit_time"]),
        compacted_revision=row["compacted_revision"],
    )


async def notification_queue_usage(connection: Connection) -> float:
    """How full the queue of notifications of the whole server is, 0 to 1."""
    return await connection.fetchval(_SQL["notification_queue_usage"])


async def epoch(connection: Connection) -> str:
    """Names the history of the database: `<system identifier>-<timeline>`."""
    row = await connection.fetchrow(_SQL["epoch"])
    assert row is not None
    return f"{row['system_identifier']}-{row['timeline']}"


async def revision_of(kind: Kind, connection: Connection, written: Written) -> int:
    """The revision of a write to a resource of the kind; 0 before its commit. Raises WriteConflictError if the log does
    not tell any more.
    """
    row = await connection.fetchrow(_SQL["revision_of"], kind, written.resource_id, written.version)
    return require_record(row)["revision"]


def require_record(row: asyncpg.Record | None) -> asyncpg.Record:
    """The row of a write. Raises WriteConflictError if there is none."""
    if row is None:
        # Made a day ago by a call that was repeated when its request_id expired, and compacted in that moment.
        raise WriteConflictError
    return row


async def explain_deletions(connection: Connection, contexts: Mapping[str, WriteContext]) -> None:
    """Tells the log who deletes what this transaction deletes, and why: by resource id, * for all others."""
    explanations: dict[str, JsonValue] = {
        resource_id: {
            "actor": context.actor,
            "reason": context.reason,
            "request_id": context.request_id,
            "origin": as_object(context.origin),
        }
        for resource_id, context in contexts.items()
    }
    await connection.execute(_SQL["explain_deletions"], encode_json(explanations))


async def page_from(connection: Connection, position: Position) -> LogPage:
    """The next parts of commits from the position on, in order, within PAGE_LIMIT_BYTES; none at the end of the log.

    Raises RevisionCompactedError if some of them are no longer kept, DatabaseUnavailableError while the log is being
    restored.
    """
    rows = await connection.fetch(
        _SQL["records"],
        position.revision,
        position.ordinal,
        PAGE_LIMIT,
        PAGE_LIMIT_BYTES,
        RECORD_BYTES,
        PAGE_LIMIT_COMMITS,
        timeout=PAGE_SECONDS,
    )
    if not rows:
        raise DatabaseUnavailableError
    first = rows[0]
    check_kept(position.revision - 1, first["compacted_revision"])
    return LogPage(
        before=_commit(first["revision_before"], first["commit_id_before"], first["commit_time_before"]),
        parts=tuple(parts_of(await _records(rows))),
        head=first["head"],
        compacted_revision=first["compacted_revision"],
    )


async def _records(rows: list[asyncpg.Record]) -> list[Record]:
    records: list[Record] = []
    for start in range(0, len(rows), RECORDS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        records += [_record(row) for row in rows[start : start + RECORDS_AT_ONCE] if row["revision"] is not None]
    return records


def _commit(revision: int, commit_id: int | None, time: datetime | None) -> Commit | None:
    return None if commit_id is None or time is None else Commit(revision=revision, id=commit_id, time=time)


def _record(row: asyncpg.Record) -> Record:
    return Record(
        position=Position(revision=row["revision"], ordinal=row["ordinal"]),
        commit=Commit(revision=row["revision"], id=row["commit_id"], time=row["commit_time"]),
        change=_change(row) if row["kind"] == Kind.CONFIGURATION else None,
        # A new name of an application is one by which access to it is asked for.
        concerns_access=row["kind"] in _ACCESS_KINDS,
        content_bytes=row["content_bytes"],
        is_last=row["is_last"],
    )


def _change(row: asyncpg.Record) -> ConfigurationChange:
    return ConfigurationChange(
        operation=Operation(row["operation"]),
        configuration=configuration_of(row, None),
        config_text=row["config_text"],
        content_bytes=row["content_bytes"],
        previous_version=row["previous_version"],
        previous_application_id=row["previous_application_id"],
        previous_application=row["previous_application"],
        previous_name=row["previous_name"],
        actor=row["updated_by"],
        reason=row["reason"],
    )
