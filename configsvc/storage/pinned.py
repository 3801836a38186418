"""The configurations that are pinned to a schema: what they hold, and how they move to a new version of it."""

from collections.abc import AsyncGenerator, Collection
from typing import TYPE_CHECKING

from configsvc.domain.models import SchemaVersionRef, WriteContext
from configsvc.storage.database import LARGE_WRITE_SECONDS
from configsvc.storage.queries import queries

if TYPE_CHECKING:
    from asyncpg import Record

    from configsvc.storage.database import Connection

# A page is held in memory at once; only its last configuration may exceed the bytes.
PAGE_LIMIT = 1000
PAGE_LIMIT_BYTES = 1024 * 1024

_SQL = queries("pinned")


async def pages(connection: "Connection", schema: str, *, after_revision: int | None) -> "AsyncGenerator[list[Record]]":
    """All of them, or those that were changed after the revision, in the order of application and name: rows with id,
    application, name, version, and config as JSON text.
    """
    name, more = ("page", ()) if after_revision is None else ("changed_page", (after_revision,))
    key: tuple[str | None, str | None] = (None, None)
    while rows := await connection.fetch(_SQL[name], schema, *key, PAGE_LIMIT, PAGE_LIMIT_BYTES, *more):
        yield rows
        key = rows[-1]["application"], rows[-1]["name"]


async def move(connection: "Connection", versions: Collection[SchemaVersionRef], context: WriteContext) -> None:
    """Pins all that are pinned to other versions of the schemas to these."""
    await connection.execute(
        _SQL["move"],
        [ref.schema for ref in versions],
        [ref.version for ref in versions],
        context.actor,
        context.reason,
        context.request_id,
        timeout=LARGE_WRITE_SECONDS,
    )
