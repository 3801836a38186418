"""The schemas that configurations are pinned to, held as they are while configurations are written."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from asyncpg import Record

from configsvc.domain.content import JsonObject
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.writes import Held, PinnedSchema
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("schema_locks")


@dataclass(slots=True, kw_only=True)
class Documents:
    """A version's document, and those of the versions that it refers to; None where they are too large. bytes: of all
    of them as JSON text.
    """

    document: JsonObject | None = None
    referenced: dict[SchemaVersionRef, JsonObject] = field(default_factory=dict[SchemaVersionRef, JsonObject])
    bytes: int = 0


def by_name(rows: Iterable[Record]) -> dict[str, PinnedSchema]:
    """Return the schemas in rows of their id, name and latest_version, by name."""
    return {
        row["name"]: PinnedSchema(id=row["id"], name=row["name"], latest_version=row["latest_version"]) for row in rows
    }


async def share_or_skip(connection: Connection, names: Collection[str]) -> dict[str, PinnedSchema | Held]:
    """Those of the schemas that exist, by name; who deletes one of those that are not held, or makes all pinned ones
    move to another version, waits for the end of the transaction.
    """
    rows = await connection.fetch(_SQL["share_or_skip"], list(names))
    held = {row["name"]: Held() for row in rows if row["id"] is None}
    return held | by_name(row for row in rows if row["id"] is not None)


async def share_or_wait(connection: Connection, names: Collection[str]) -> dict[str, PinnedSchema]:
    """The same, but waits for who holds one."""
    rows = await connection.fetch(_SQL["share_or_wait"], list(names))
    return by_name(rows)


async def look(connection: Connection, names: Collection[str]) -> dict[str, PinnedSchema]:
    """Those of the schemas that exist, by name, held by nobody."""
    rows = await connection.fetch(_SQL["look"], list(names))
    return by_name(rows)


async def documents(
    connection: Connection, refs: Sequence[SchemaVersionRef], *, limit: int, limit_bytes: int
) -> dict[SchemaVersionRef, Documents]:
    """Those of the versions that exist, each with what it refers to, directly or not: at most limit documents, and
    limit_bytes of them.
    """
    rows = await connection.fetch(
        _SQL["documents"], [ref.schema for ref in refs], [ref.version for ref in refs], limit, limit_bytes
    )
    found: dict[SchemaVersionRef, Documents] = {}
    for row in rows:
        ref = SchemaVersionRef(schema=row["schema"], version=row["version"])
        wanted = refs[int(row["place"]) - 1]
        one = found.setdefault(wanted, Documents(bytes=int(row["bytes"])))
        if ref == wanted:
            one.document = row["document"]
        elif row["document"] is not None:
            one.referenced[ref] = row["document"]
    return found
