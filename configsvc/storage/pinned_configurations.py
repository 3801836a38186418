"""The configurations that are pinned to a schema: what they hold, and how they move to a new version of it."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from configsvc.domain.models import SchemaVersionRef, WriteContext
from configsvc.storage.database import LARGE_WRITE_ANSWER_SECONDS, Connection
from configsvc.storage.origins import stored
from configsvc.storage.queries import queries

# A page is decoded on the event loop at once: 1,000 of 1 KiB held it up for 30 ms. The last one may exceed the bytes.
PAGE_LIMIT = 200
PAGE_LIMIT_BYTES = 256 * 1024

_SQL = queries("pinned_configurations")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedConfiguration:
    """What a check needs of a configuration. config is JSON text."""

    id: str
    application: str
    name: str
    version: int
    config: str


async def pages(
    connection: Connection, schema: str, *, after_revision: int | None
) -> AsyncGenerator[list[PinnedConfiguration]]:
    """All of them, or those that were changed after the revision, in the order of application and name."""
    name, more = ("page", ()) if after_revision is None else ("changed_page", (after_revision,))
    key: tuple[str | None, str | None] = (None, None)
    while rows := await connection.fetch(_SQL[name], schema, *key, PAGE_LIMIT, PAGE_LIMIT_BYTES, *more):
        yield [
            PinnedConfiguration(
                id=row["id"],
                application=row["application"],
                name=row["name"],
                version=row["version"],
                config=row["config"],
            )
            for row in rows
        ]
        key = rows[-1]["application"], rows[-1]["name"]


async def move(connection: Connection, versions: Collection[SchemaVersionRef], context: WriteContext) -> None:
    """Pins all that are pinned to other versions of the schemas to these."""
    await connection.execute(
        _SQL["move"],
        [ref.schema for ref in versions],
        [ref.version for ref in versions],
        context.actor,
        context.reason,
        context.request_id,
        stored(context.origin),
        timeout=LARGE_WRITE_ANSWER_SECONDS,
    )
