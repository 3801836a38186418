"""The log of changes: its head, its epoch, its commits."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from configsvc.domain.commits import RECORD_BYTES, Commit, CommitPart, Position, Record, parts_of, position_after
from configsvc.domain.errors import (
    DatabaseUnavailableError,
    RevisionCompactedError,
    RevisionUnknownError,
    WriteConflictError,
)
from configsvc.domain.models import Kind, WriteContext, Written
from configsvc.storage.contexts import encoded_by_id
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries
from configsvc.storage.rows import change_of
from configsvc.storage.unreadable import ACCESS_KINDS, UNREADABLE, around, readable_records

CHANNEL = "configsvc_changes"
# A page must hold a whole part (see `configsvc.domain.commits`).
PAGE_LIMIT = 13_000
# Converting this many rows blocks the event loop for about 10 ms.
RECORDS_AT_ONCE = 500
PAGE_LIMIT_COMMITS = 1000
# Passing over this many records of other applications takes about 50 ms.
RECORDS_PASSED_OVER = 20_000
# So many changes since a revision are looked at one by one; if there are more, each key or resource of a page is.
FEW_RECORDS = 1000
PAGE_LIMIT_BYTES = 3 * 1024 * 1024
PAGE_SECONDS = 10.0

_SQL = queries("log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The ends of the log: its head with the commit there, and the compacted revision, the first with a state."""

    head: int
    head_commit: Commit | None
    compacted_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """The parts after a position, the commit before it, which identifies the history, and the bounds of the log."""

    before: Commit | None
    parts: tuple[CommitPart, ...]
    head: int
    compacted_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentCommits:
    """Commits without gaps, the newest first, each with the configurations that it changed."""

    commits: tuple[tuple[Commit, tuple[str, ...]], ...]
    compacted_revision: int


def check_head(revision: int, head: int) -> None:
    """Check that the history has reached the revision. Raises RevisionUnknownError."""
    if revision > head:
        raise RevisionUnknownError(revision=revision, head=head)


def check_kept(revision: int, compacted_revision: int) -> None:
    """Check that the log covers the state at the revision and all later changes. Raises RevisionCompactedError."""
    if revision < compacted_revision:
        raise RevisionCompactedError(revision=revision, compacted_revision=compacted_revision)


async def require_revision(connection: Connection, revision: int) -> None:
    """Check that later reads on the connection show at least the revision. Raises RevisionUnknownError."""
    if revision:
        check_head(revision, await head(connection))


async def require_state(connection: Connection, revision: int) -> None:
    """Check that the log covers the state at the revision.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    reached = await bounds(connection)
    check_head(revision, reached.head)
    check_kept(revision, reached.compacted_revision)


async def take_revision(connection: Connection) -> None:
    """Give this transaction its revision now, if it has changed anything. Nobody else commits before its end."""
    await connection.execute(_SQL["take_revision"])


async def head(connection: Connection) -> int:
    """Return the revision of the last commit."""
    return await connection.fetchval(_SQL["head"])


async def has_changed_much(connection: Connection, revision: int, limit: int) -> bool:
    """Return whether the log has more than `limit` records after the revision."""
    return bool(await connection.fetchval(_SQL["has_changed_much"], revision, limit))


async def bounds(connection: Connection) -> Bounds:
    """Return the bounds of the log. Raises DatabaseUnavailableError while it is being restored."""
    row = await connection.fetchrow(_SQL["bounds"])
    if row is None:
        raise DatabaseUnavailableError
    return Bounds(
        head=row["head"],
        head_commit=commit_at(row["head"], row["commit_id"], row["commit_time"]),
        compacted_revision=row["compacted_revision"],
    )


async def recent_commits(connection: Connection, last: int, limit: int) -> RecentCommits:
    """Return the commits up to the revision that have `limit` changes of configurations in all; none if the newest
    alone has more, or a name cannot be read.
    """
    try:
        rows = await connection.fetch(_SQL["recent_commits"], last, limit + 1)
    except UNREADABLE:
        return RecentCommits(commits=(), compacted_revision=0)
    changed: dict[int, list[str]] = {}
    commits: dict[int, Commit] = {}
    for row in rows:
        revision = row["revision"]
        commits[revision] = Commit(revision=revision, id=row["commit_id"], time=row["commit_time"])
        changed.setdefault(revision, []).extend(() if row["id"] is None else (row["id"],))
    if len(rows) > limit:
        # It may have more changes than these.
        del commits[rows[-1]["revision"]]
    return RecentCommits(
        commits=tuple((commit, tuple(changed[revision])) for revision, commit in commits.items()),
        compacted_revision=rows[0]["compacted_revision"] if rows else 0,
    )


async def notification_queue_usage(connection: Connection) -> float:
    """Return the usage of the server's notification queue, 0 to 1."""
    return await connection.fetchval(_SQL["notification_queue_usage"])


async def epoch(connection: Connection) -> str:
    """Return the name of the database's history, which a failover or a restore changes.

    Raises DatabaseUnavailableError while it is being restored.
    """
    name = await connection.fetchval(_SQL["epoch"])
    if name is None:
        raise DatabaseUnavailableError
    return name


async def revision_of(kind: Kind, connection: Connection, written: Written) -> int:
    """Return the revision of a write to a resource of the kind; 0 before its commit. Raises what `commit_of` raises."""
    commit = await commit_of(kind, connection, written)
    return commit.revision if commit else 0


async def commit_of(kind: Kind, connection: Connection, written: Written) -> Commit | None:
    """Return the commit of a write to a resource of the kind; None before it.

    Raises WriteConflictError if the log no longer has that version.
    """
    row = require_record(await connection.fetchrow(_SQL["commit_of"], kind, written.resource_id, written.version))
    return commit_at(row["revision"], row["id"], row["time"])


def require_record(row: asyncpg.Record | None) -> asyncpg.Record:
    """Return the row of a write. Raises WriteConflictError if there is none."""
    if row is None:
        # The call is a day old: repeated just as its request_id expired and its version was compacted.
        raise WriteConflictError
    return row


async def explain_deletions(connection: Connection, contexts: Mapping[str, WriteContext]) -> None:
    """Set the contexts that the log records for deletions of this transaction: by resource id, * for all others."""
    await connection.execute(_SQL["explain_deletions"], encoded_by_id(contexts))


async def next_about(connection: Connection, position: Position, last: int, applications: Collection[str]) -> Position:
    """Return a position up to which nothing changes in the applications, given by names and ids: at most that of the
    revision `last`.

    Only whole commits are passed over. Raises RevisionCompactedError.
    """
    if position.ordinal:
        return position
    row = await connection.fetchrow(
        _SQL["next_about"], position.revision, last, applications, RECORDS_PASSED_OVER, timeout=PAGE_SECONDS
    )
    if row is None or row["revision"] is None:
        return position
    check_kept(position.revision - 1, row["compacted_revision"])
    return position_after(row["revision"] - 1)


async def page_from(connection: Connection, position: Position, applications: Collection[str] | None = None) -> LogPage:
    """Return the next parts of commits from the position on, within PAGE_LIMIT_BYTES; none at the end of the log.

    Contents come only with changes in the applications, given by names and ids (None: all).
    A record that cannot be read whole is marked as such. Raises RevisionCompactedError if some are no longer kept, or
    if not even the names in one can be read, and DatabaseUnavailableError while the log is being restored.
    """
    try:
        rows = await _page(connection, _SQL["records"], position, applications)
        records = await _records(rows)
    except UNREADABLE:
        rows = await _page(connection, around(_SQL["places"], _SQL["records"]), position, applications)
        records = await readable_records(connection, rows)
    if not rows:
        raise DatabaseUnavailableError
    first = rows[0]
    check_kept(position.revision - 1, first["compacted_revision"])
    return LogPage(
        before=commit_at(first["revision_before"], first["commit_id_before"], first["commit_time_before"]),
        parts=tuple(parts_of(records)),
        head=first["head"],
        compacted_revision=first["compacted_revision"],
    )


async def _page(
    connection: Connection, statement: str, position: Position, applications: Collection[str] | None
) -> list[asyncpg.Record]:
    return await connection.fetch(
        statement,
        position.revision,
        position.ordinal,
        PAGE_LIMIT,
        PAGE_LIMIT_BYTES,
        RECORD_BYTES,
        PAGE_LIMIT_COMMITS,
        applications,
        timeout=PAGE_SECONDS,
    )


async def _records(rows: list[asyncpg.Record]) -> list[Record]:
    records: list[Record] = []
    for start in range(0, len(rows), RECORDS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        records += [_record(row) for row in rows[start : start + RECORDS_AT_ONCE] if row["revision"] is not None]
    return records


def commit_at(revision: int, commit_id: int | None, time: datetime | None) -> Commit | None:
    """Return the commit that these columns describe, or None if they are null."""
    return None if commit_id is None or time is None else Commit(revision=revision, id=commit_id, time=time)


def _record(row: asyncpg.Record) -> Record:
    return Record(
        position=Position(revision=row["revision"], ordinal=row["ordinal"]),
        commit=Commit(revision=row["revision"], id=row["commit_id"], time=row["commit_time"]),
        change=change_of(row) if row["kind"] == Kind.CONFIGURATION else None,
        # Renaming an application changes the name by which callers ask for access.
        concerns_access=row["kind"] in ACCESS_KINDS,
        content_bytes=row["content_bytes"],
        is_last=row["is_last"],
        is_readable=True,
    )
