"""SQL of schema versions and their references."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from asyncpg import CheckViolationError, ForeignKeyViolationError, Record

from configsvc.domain.content import encode_json
from configsvc.domain.errors import DatabaseUnavailableError, InvalidRequestError, Violation, WriteConflictError
from configsvc.domain.jsonschema.closing import Addition
from configsvc.domain.models import SchemaRef, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import (
    ImportOutcome,
    NewDocument,
    SchemaImport,
    SchemaImports,
    SchemaVersion,
    VersionPage,
)
from configsvc.storage.database import Connection
from configsvc.storage.log import require_record
from configsvc.storage.queries import id_and_name, queries
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one, is_readable, readable_rows, unreadable

_SQL = queries("schema_versions")

_NAMES = Names(kind="schema version", columns="schema, version", ids="schema, version")
_PAGE = "shown_revision, schema_id, schema, version, rows_found"
_NAMES_OF_PAGE = Names(kind="schema version", columns=_PAGE, ids=_PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A new version, with its document."""

    schema_id: str
    ref: SchemaVersionRef
    new: NewDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """A schema, and whether its newest version has the document that it was compared with."""

    id: str
    latest_version: int
    is_same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The document of a version as JSON text, with its direct references."""

    text: str
    references: tuple[SchemaVersionRef, ...]


def _name(row: Record) -> str:
    return f"{row['schema']}@{row['version']}"


def _version(row: Record, document: str | None) -> SchemaVersion:
    return SchemaVersion(
        schema=row["schema"],
        version=row["version"],
        document=document,
        additions=_additions(row["additions"]),
        addition_count=row["addition_count"],
        revision=row["revision"],
        create_time=row["create_time"],
        created_by=row["created_by"],
    )


def _additions(stored: str) -> tuple[Addition, ...]:
    additions: list[dict[str, str]] = json.loads(stored)
    return tuple(Addition(pointer=addition["pointer"], keyword=addition["keyword"]) for addition in additions)


async def insert(connection: Connection, versions: Sequence[NewVersion], context: WriteContext) -> None:
    """Insert versions of schemas that already count them, with their references.

    Raises InvalidRequestError, or WriteConflictError if a referenced version was deleted meanwhile.
    """
    try:
        await connection.execute(
            _SQL["insert"],
            [version.schema_id for version in versions],
            [version.ref.schema for version in versions],
            [version.ref.version for version in versions],
            [version.new.text for version in versions],
            [_stored_additions(version.new.additions) for version in versions],
            context.actor,
        )
    except CheckViolationError as error:
        if error.constraint_name != "schema_document_fits":
            raise
        # The documented limits were checked before; this text grew in PostgreSQL's own format.
        description = "is larger than 4 MiB as PostgreSQL writes it (numbers without exponents)"
        field = versions[0].new.field if len(versions) == 1 else "schemas"
        raise InvalidRequestError((Violation(field=field, description=description),)) from error
    await _insert_references(connection, versions)


def _stored_additions(additions: Sequence[Addition]) -> str:
    return encode_json([{"pointer": addition.pointer, "keyword": addition.keyword} for addition in additions])


async def _insert_references(connection: Connection, versions: Sequence[NewVersion]) -> None:
    pairs = [(version.ref, referenced) for version in versions for referenced in version.new.references]
    if not pairs:
        return
    try:
        await connection.execute(
            _SQL["insert_references"],
            [ref.schema for ref, _ in pairs],
            [ref.version for ref, _ in pairs],
            [referenced.schema for _, referenced in pairs],
            [referenced.version for _, referenced in pairs],
        )
    except ForeignKeyViolationError as error:
        raise WriteConflictError from error


async def get(connection: Connection, ref: SchemaRef, version: int) -> tuple[SchemaVersion | None, int]:
    """Return a version of a schema (0: the newest), and the revision as of which that is so.

    Raises RecordUnreadableError, or DatabaseUnavailableError while the log is being restored.
    """
    row = await fetch_one(connection, _NAMES, _name, _SQL["get"], *id_and_name(ref), version)
    if row is None:
        raise DatabaseUnavailableError
    return _version(row, row["document"]) if row["version"] else None, row["shown_revision"]


async def get_written(new: NewDocument, connection: Connection, written: Written) -> SchemaVersion:
    """Return the newest version of a schema as a write left it, with the document.

    Raises WriteConflictError if the log no longer has that version.
    """
    place = (written.resource_id, written.version)
    row = require_record(await fetch_one(connection, _NAMES, _name, _SQL["written"], *place))
    return SchemaVersion(
        schema=row["schema"],
        version=row["version"],
        document=new.text,
        additions=new.additions if row["additions"] is None else _additions(row["additions"]),
        addition_count=len(new.additions) if row["additions"] is None else row["addition_count"],
        revision=row["revision"],
        create_time=row["create_time"],
        created_by=row["created_by"],
    )


async def newest(connection: Connection, documents: Mapping[str, NewDocument]) -> dict[str, Newest]:
    """Return the schemas that exist, by name, compared with documents."""
    texts = [new.text for new in documents.values()]
    rows = await connection.fetch(_SQL["newest"], list(documents), texts)
    return {
        row["name"]: Newest(id=row["id"], latest_version=row["latest_version"], is_same=row["is_same"]) for row in rows
    }


async def documents(
    connection: Connection, refs: Collection[SchemaVersionRef], *, limit: int, limit_bytes: int
) -> dict[SchemaVersionRef, StoredDocument] | None:
    """Return the versions that exist and all that they refer to; None if they are too many or too large.

    Raises RecordUnreadableError.
    """
    if not refs:
        return {}
    arguments = ([ref.schema for ref in refs], [ref.version for ref in refs], limit, limit_bytes)
    rows = await fetch_around(connection, _NAMES, _SQL["documents"], *arguments)
    for row in rows:
        if not is_readable(row):
            raise unreadable(_NAMES.kind, _name(row), row)
    if any(row["document"] is None for row in rows):
        return None
    return {
        SchemaVersionRef(schema=row["schema"], version=row["version"]): StoredDocument(
            text=row["document"],
            references=tuple(
                SchemaVersionRef(schema=schema, version=version)
                for schema, version in zip(row["referenced_schemas"], row["referenced_versions"], strict=True)
            ),
        )
        for row in rows
    }


async def page(
    connection: Connection,
    ref: SchemaRef,
    *,
    before: int | None,
    limit: int,
    with_document: bool,
    limit_bytes: int,
) -> VersionPage | None:
    """Return at most limit versions before one, within limit_bytes of documents, which the first may exceed.

    None if the schema does not exist. Versions that cannot be read are left out.
    """
    arguments = (*id_and_name(ref), before, limit + 1, with_document, limit_bytes)
    rows = await fetch_around(connection, _NAMES_OF_PAGE, _SQL["list"], *arguments)
    if rows[0]["schema_id"] is None:
        return None
    shown = [row for row in rows[:limit] if row["version"] is not None]
    goes_on = bool(shown) and rows[0]["rows_found"] > len(shown)
    return VersionPage(
        schema_id=rows[0]["schema_id"],
        versions=tuple(_version(row, row["document"]) for row in readable_rows(_NAMES_OF_PAGE, shown)),
        revision=rows[0]["shown_revision"],
        last=shown[-1]["version"] if goes_on else None,
    )


async def commit_id(connection: Connection) -> int:
    """Return the id of this transaction's commit, once it has changed something."""
    return await connection.fetchval(_SQL["commit_id"])


async def get_imported(
    connection: Connection, documents: Mapping[str, NewDocument], commit: int | None, revision: int
) -> SchemaImports:
    """Return what the commit, if any, made of the schemas, or their state at the revision.

    Raises WriteConflictError if the log no longer has it.
    """
    rows = await connection.fetch(_SQL["imported"], list(documents), commit, revision)
    require_record(rows[-1] if len(rows) == len(documents) else None)
    return SchemaImports(
        imports=tuple(
            SchemaImport(
                name=row["name"],
                outcome=_outcome(row),
                version=row["version"],
                additions=documents[row["name"]].additions,
            )
            for row in rows
        ),
        revision=rows[0]["revision"],
    )


def _outcome(row: Record) -> ImportOutcome:
    if not row["is_new"]:
        return ImportOutcome.UNCHANGED
    return ImportOutcome.CREATED if row["operation"] == "CREATED" else ImportOutcome.VERSION_CREATED
