"""Locks on the schemas of pinned configurations, for the time in which configurations are written."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from asyncpg import Record

from configsvc.domain.content import JsonObject
from configsvc.domain.errors import RecordUnreadableError
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.writes import PinnedSchema
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries
from configsvc.storage.unreadable_rows import Names, fetch_around, is_readable, unreadable

_SQL = queries("schema_locks")

_NAMES = Names(kind="schema version", columns="place, schema, version", ids="place, schema, version")


@dataclass(slots=True, kw_only=True)
class Documents:
    """The document of a version and those that it refers to; None if too large. bytes: their total as JSON text.
    unreadable: the error of one that cannot be read.
    """

    document: JsonObject | None = None
    unreadable: RecordUnreadableError | None = None
    referenced: dict[SchemaVersionRef, JsonObject] = field(default_factory=dict[SchemaVersionRef, JsonObject])
    bytes: int = 0


def by_name(rows: Iterable[Record]) -> dict[str, PinnedSchema]:
    """Return the schemas in rows of their id, name and latest_version, by name."""
    return {
        row["name"]: PinnedSchema(id=row["id"], name=row["name"], latest_version=row["latest_version"]) for row in rows
    }


async def share_or_wait(connection: Connection, names: Collection[str]) -> dict[str, PinnedSchema]:
    """Take a shared lock on the schemas that exist, by name, waiting for transactions that change them.

    Deleting one, or moving all its configurations to another version, waits for the end of the
    transaction.
    """
    rows = await connection.fetch(_SQL["share_or_wait"], list(names))
    return by_name(rows)


async def look(connection: Connection, names: Collection[str]) -> dict[str, PinnedSchema]:
    """Return the schemas that exist, by name, without locking them."""
    rows = await connection.fetch(_SQL["look"], list(names))
    return by_name(rows)


async def documents(
    connection: Connection, refs: Sequence[SchemaVersionRef], *, limit: int, limit_bytes: int
) -> dict[SchemaVersionRef, Documents]:
    """Return the versions that exist, each with all that it refers to: at most limit documents and limit_bytes."""
    arguments = ([ref.schema for ref in refs], [ref.version for ref in refs], limit, limit_bytes)
    rows = await fetch_around(connection, _NAMES, _SQL["documents"], *arguments)
    found: dict[SchemaVersionRef, Documents] = {}
    for row in rows:
        ref = SchemaVersionRef(schema=row["schema"], version=row["version"])
        pinned = refs[int(row["place"]) - 1]
        one = found.setdefault(pinned, Documents())
        if not is_readable(row):
            one.unreadable = unreadable(_NAMES.kind, str(ref), row)
            continue
        one.bytes = int(row["bytes"])
        if ref == pinned:
            one.document = json.loads(row["document"])
        elif row["document"] is not None:
            one.referenced[ref] = json.loads(row["document"])
    return found
