"""The log of changes: its head, its epoch, its commits."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.errors import RevisionUnknownError
from configsvc.domain.models import Commit, Configuration, ConfigurationChange, Operation, WriteContext, Written
from configsvc.storage.queries import queries

if TYPE_CHECKING:
    from asyncpg import Record

    from configsvc.storage.database import Connection

CHANNEL = "configsvc_changes"

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


async def epoch(connection: "Connection") -> str:
    """Names the history of the database: `<system identifier>-<timeline>`."""
    row = await connection.fetchrow(_SQL["epoch"])
    assert row is not None
    return f"{row['system_identifier']}-{row['timeline']}"


async def revision_of(connection: "Connection", written: Written) -> int:
    """The revision of a write; 0 before its commit."""
    return await connection.fetchval(_SQL["revision_of"], written.resource_id, written.version)


async def explain_deletion(connection: "Connection", context: WriteContext) -> None:
    """Tells the log who deletes what this transaction deletes, and why."""
    explanation: Mapping[str, JsonValue] = {
        "actor": context.actor,
        "reason": context.reason,
        "request_id": context.request_id,
    }
    await connection.execute(_SQL["explain_deletion"], encode_json({"*": dict(explanation)}))


async def commits_after(connection: "Connection", revision: int, *, limit_bytes: int, limit: int) -> tuple[Commit, ...]:
    """The commits after the revision, in order, each whole; at most limit, and limit_bytes of content unless the
    first has more.
    """
    rows = await connection.fetch(_SQL["commits"], revision, limit_bytes, limit)
    return tuple(_commits(rows))


def _commits(rows: Sequence["Record"]) -> Iterator[Commit]:
    for revision, group in groupby(rows, key=itemgetter("revision")):
        yield Commit(revision=revision, changes=tuple(_change(row) for row in group if row["id"] is not None))


def _change(row: "Record") -> ConfigurationChange:
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
