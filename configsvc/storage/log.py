"""The log of changes: its head, its epoch, its commits."""

from typing import TYPE_CHECKING

from configsvc.domain.commits import RECORD_BYTES, CommitPart, Position, Record, parts_of
from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.errors import RevisionUnknownError
from configsvc.domain.models import Configuration, ConfigurationChange, Kind, Operation, WriteContext, Written
from configsvc.storage.queries import queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from configsvc.storage.database import Connection

CHANNEL = "configsvc_changes"
# A page is read and decoded at once, and must hold a whole part (see `configsvc.domain.commits`).
PAGE_LIMIT = 13_000
PAGE_LIMIT_COMMITS = 1000
PAGE_LIMIT_BYTES = 3 * 1024 * 1024
PAGE_SECONDS = 10.0

_SQL = queries("log")


def check_head(revision: int, head: int) -> None:
    """Raises RevisionUnknownError if the history has not reached the revision."""
    if revision > head:
        raise RevisionUnknownError(revision=revision, head=head)


async def require_revision(connection: "Connection", revision: int) -> None:
    """Raises RevisionUnknownError if what the connection reads next may be older than the revision."""
    if revision:
        check_head(revision, await head(connection))


async def head(connection: "Connection") -> int:
    """The revision of the last commit."""
    return await connection.fetchval(_SQL["head"])


async def notification_queue_usage(connection: "Connection") -> float:
    """How full the queue of notifications of the whole server is, 0 to 1."""
    return await connection.fetchval(_SQL["notification_queue_usage"])


async def epoch(connection: "Connection") -> str:
    """Names the history of the database: `<system identifier>-<timeline>`."""
    row = await connection.fetchrow(_SQL["epoch"])
    assert row is not None
    return f"{row['system_identifier']}-{row['timeline']}"


async def revision_of(kind: Kind, connection: "Connection", written: Written) -> int:
    """The revision of a write to a resource of the kind; 0 before its commit."""
    return await connection.fetchval(_SQL["revision_of"], kind, written.resource_id, written.version)


async def explain_deletion(connection: "Connection", context: WriteContext) -> None:
    """Tells the log who deletes what this transaction deletes, and why."""
    explanation: Mapping[str, JsonValue] = {
        "actor": context.actor,
        "reason": context.reason,
        "request_id": context.request_id,
    }
    await connection.execute(_SQL["explain_deletion"], encode_json({"*": dict(explanation)}))


async def parts_from(connection: "Connection", position: Position) -> tuple[CommitPart, ...]:
    """The next parts of commits from the position on, in order, within PAGE_LIMIT_BYTES; none at the end of the log."""
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
    return tuple(parts_of(_record(row) for row in rows))


def _record(row: "asyncpg.Record") -> Record:
    return Record(
        position=Position(revision=row["revision"], ordinal=row["ordinal"]),
        change=_change(row) if row["kind"] == Kind.CONFIGURATION else None,
        content_bytes=row["content_bytes"],
        is_last=row["is_last"],
    )


def _change(row: "asyncpg.Record") -> ConfigurationChange:
    return ConfigurationChange(
        operation=Operation(row["operation"]),
        configuration=Configuration(
            id=row["id"],
            application_id=row["application_id"],
            application=row["application"],
            name=row["name"],
            comments=row["comments"],
            config=row["config"],
            version=row["version"],
            revision=row["revision"],
            create_time=row["create_time"],
            update_time=row["update_time"],
            created_by=row["created_by"],
            updated_by=row["updated_by"],
        ),
        content_bytes=row["content_bytes"],
        previous_version=row["previous_version"],
        previous_application_id=row["previous_application_id"],
        previous_application=row["previous_application"],
        previous_name=row["previous_name"],
        actor=row["updated_by"],
        reason=row["reason"],
    )
