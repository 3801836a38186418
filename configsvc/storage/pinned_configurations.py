"""The configurations pinned to a schema: their contents, and their move to a new version."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from configsvc.domain.models import SchemaVersionRef, WriteContext
from configsvc.storage import contexts
from configsvc.storage.database import LARGE_WRITE_ANSWER_SECONDS, Connection
from configsvc.storage.queries import queries

# Decoding a page blocks the event loop: 1,000 rows of 1 KiB took 30 ms. The last row may exceed the bytes.
PAGE_LIMIT = 200
PAGE_LIMIT_BYTES = 256 * 1024

_SQL = queries("pinned_configurations")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedConfiguration:
    """The part of a configuration that a check needs. config is JSON text."""

    id: str
    application: str
    name: str
    version: int
    config: str


async def pages(
    connection: Connection, schema: str, *, after_revision: int | None
) -> AsyncGenerator[list[PinnedConfiguration]]:
    """Yield all of them, or those changed after the revision, by application and name."""
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
    """Pin all configurations that are pinned to other versions of the schemas to these."""
    await connection.execute(
        _SQL["move"],
        [ref.schema for ref in versions],
        [ref.version for ref in versions],
        contexts.encoded(context),
        timeout=LARGE_WRITE_ANSWER_SECONDS,
    )
