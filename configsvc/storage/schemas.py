"""SQL of schemas."""

from collections.abc import Iterable, Sequence

from asyncpg import ForeignKeyViolationError, Record

from configsvc.domain.errors import DatabaseUnavailableError, SchemaInUseError, WriteConflictError
from configsvc.domain.models import Page, Schema, SchemaRef, WriteContext, Written
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.log import require_record
from configsvc.storage.pages import ordered_by_name, page_of, statement_for
from configsvc.storage.queries import id_and_name, queries
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one, is_readable, unreadable

USERS_LIMIT = 100

_SQL = queries("schemas")

_NAMES = Names(kind="schema", columns="id, name, version", ids="id, '' AS name, version")
_NAMES_OF_PAGE = ordered_by_name("schema")


def _name(row: Record) -> str:
    return row["name"]


def _schema(row: Record) -> Schema:
    return Schema(
        id=row["id"],
        name=row["name"],
        comments=row["comments"],
        latest_version=row["latest_version"],
        version=row["version"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


async def insert(connection: Connection, new: Iterable[tuple[str, str, str]], context: WriteContext) -> list[Written]:
    """Insert schemas by id, name and comments, whose version 1 must follow; those whose name is taken are left out."""
    ids, names, comments = zip(*new, strict=True)
    rows = await connection.fetch(_SQL["insert"], ids, names, comments, contexts.encoded(context))
    return [Written(resource_id=row["id"], version=row["version"]) for row in rows]


async def advance(connection: Connection, ids: Iterable[str], context: WriteContext) -> list[Written]:
    """Count one more version of each schema, which must follow."""
    rows = await connection.fetch(_SQL["advance"], list(ids), contexts.encoded(context))
    return [Written(resource_id=row["id"], version=row["version"]) for row in rows]


async def delete(connection: Connection, schema: Schema) -> Written:
    """Delete a schema with its versions. Raises WriteConflictError if something came to need it meanwhile."""
    await connection.execute(_SQL["delete_references"], schema.name)
    try:
        version = await connection.fetchval(_SQL["delete"], schema.id)
    except ForeignKeyViolationError as error:
        raise WriteConflictError from error
    return Written(resource_id=schema.id, version=version)


async def check_unused(connection: Connection, name: str) -> None:
    """Check that nothing uses the schema. Raises SchemaInUseError."""
    rows = await connection.fetch(_SQL["users"], name, USERS_LIMIT)
    if rows:
        raise SchemaInUseError(name, tuple(row["named"] for row in rows))


async def get(connection: Connection, ref: SchemaRef) -> Schema | None:
    """Return the current schema. Raises DatabaseUnavailableError while the log is being restored."""
    schema, _ = await get_shown(connection, ref)
    return schema


async def get_shown(connection: Connection, ref: SchemaRef) -> tuple[Schema | None, int]:
    """Return the current schema, and the revision as of which that is so.

    Raises DatabaseUnavailableError while the log is being restored.
    """
    row = await fetch_one(connection, _NAMES, _name, _SQL["get"], *id_and_name(ref))
    if row is None:
        raise DatabaseUnavailableError
    return _schema(row) if row["id"] else None, row["shown_revision"]


async def lock(connection: Connection, ref: SchemaRef) -> Schema | None:
    """Lock and return the schema, without its revision, until the end of the transaction."""
    schema_id, name = id_and_name(ref)
    row = await fetch_one(connection, _NAMES, _name, _SQL["lock"], [schema_id], [name])
    return _schema(row) if row else None


async def lock_named(connection: Connection, names: Sequence[str]) -> dict[str, Schema]:
    """Lock and return the schemas that exist, by name, as `lock` does."""
    rows = await fetch_around(connection, _NAMES, _SQL["lock"], [], names)
    for row in rows:
        if not is_readable(row):
            raise unreadable("schema", row["name"], row)
    return {row["name"]: _schema(row) for row in rows}


async def close(connection: Connection, ids: Iterable[str]) -> None:
    """Wait for writes of configurations pinned to the schemas, and block new ones until the end of the transaction."""
    await connection.execute(_SQL["close"], list(ids))


async def get_version(connection: Connection, written: Written) -> Schema:
    """Return the schema as a write left it. Raises WriteConflictError if the log no longer has that version."""
    row = await fetch_one(connection, _NAMES, _name, _SQL["get_version"], written.resource_id, written.version)
    return _schema(require_record(row))


async def page(
    connection: Connection, *, revision: int | None, name_prefix: str, after: str | None, limit: int
) -> Page[Schema]:
    """Return at most limit schemas as of the revision (None: now), by name.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    statement = await statement_for(connection, _SQL, revision)
    rows = await fetch_around(connection, _NAMES_OF_PAGE, statement, revision, name_prefix, after, limit + 1)
    return page_of(rows, limit, _schema, "name", _NAMES_OF_PAGE)
