"""The configurations pinned to a schema: their contents, and their move to a new version."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from asyncpg import Record

from configsvc.domain.models import SchemaVersionRef, WriteContext
from configsvc.storage import contexts
from configsvc.storage.database import LARGE_WRITE_ANSWER_SECONDS, Connection
from configsvc.storage.queries import queries
from configsvc.storage.unreadable_rows import Names, fetch_around, is_readable, unreadable

# Decoding a page blocks the event loop: 1,000 rows of 1 KiB took 30 ms. The last row may exceed the bytes.
PAGE_LIMIT = 200
PAGE_LIMIT_BYTES = 256 * 1024

_SQL = queries("pinned_configurations")

_COLUMNS = "id, application, name, version"
_NAMES = Names(kind="configuration", columns=_COLUMNS, ids=_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedConfiguration:
    """The part of a configuration that a check needs. config is JSON text; None: it cannot be read."""

    id: str
    application: str
    name: str
    version: int
    config: str | None


async def pages(
    connection: Connection, schema: str, *, after_revision: int | None
) -> AsyncGenerator[list[PinnedConfiguration]]:
    """Yield all of them, or those changed after the revision, by application and name."""
    name, more = ("page", ()) if after_revision is None else ("changed_page", (after_revision,))
    key: tuple[str | None, str | None] = (None, None)
    limits = (PAGE_LIMIT, PAGE_LIMIT_BYTES, *more)
    while rows := await fetch_around(connection, _NAMES, _SQL[name], schema, *key, *limits):
        yield [
            PinnedConfiguration(
                id=row["id"],
                application=row["application"],
                name=row["name"],
                version=row["version"],
                config=_config(row),
            )
            for row in rows
        ]
        key = rows[-1]["application"], rows[-1]["name"]


def _config(row: Record) -> str | None:
    if is_readable(row):
        return row["config"]
    unreadable(_NAMES.kind, f"{row['application']}:{row['name']}", row)
    return None


async def move(connection: Connection, versions: Collection[SchemaVersionRef], context: WriteContext) -> None:
    """Pin all configurations that are pinned to other versions of the schemas to these."""
    await connection.execute(
        _SQL["move"],
        [ref.schema for ref in versions],
        [ref.version for ref in versions],
        contexts.encoded(context),
        timeout=LARGE_WRITE_ANSWER_SECONDS,
    )
