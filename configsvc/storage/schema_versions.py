"""Rows of schema versions, and what they refer to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg import CheckViolationError, ForeignKeyViolationError, Record

from configsvc.domain.content import encode_json
from configsvc.domain.errors import InvalidRequestError, Violation, WriteConflictError
from configsvc.domain.jsonschema.closing import Addition
from configsvc.domain.models import SchemaRef, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import ImportOutcome, NewDocument, SchemaImport, SchemaImports, SchemaVersion
from configsvc.storage.database import Connection
from configsvc.storage.log import require_record
from configsvc.storage.queries import queries
from configsvc.storage.schemas import id_and_name

_SQL = queries("schema_versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version that a document is to have."""

    schema_id: str
    ref: SchemaVersionRef
    new: NewDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """A schema, and whether its newest version has the document that it was held against."""

    id: str
    latest_version: int
    is_same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The document of a version as JSON text, and what it refers to itself."""

    text: str
    references: tuple[SchemaVersionRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """A page of the versions of a schema, newest first, as of a revision. goes_on: there are older ones."""

    schema_id: str
    versions: tuple[SchemaVersion, ...]
    revision: int
    goes_on: bool


def _version(row: Record, document: str | None) -> SchemaVersion:
    return SchemaVersion(
        schema=row["schema"],
        version=row["version"],
        document=document,
        additions=_additions(row["additions"]),
        revision=row["revision"],
        create_time=row["create_time"],
        created_by=row["created_by"],
    )


def _additions(stored: list[Any]) -> tuple[Addition, ...]:
    return tuple(Addition(pointer=addition["pointer"], keyword=addition["keyword"]) for addition in stored)


async def insert(connection: Connection, versions: Sequence[NewVersion], context: WriteContext) -> None:
    """Inserts versions of schemas that count them already, and what they refer to.

    Raises InvalidRequestError, or WriteConflictError if something that one refers to was deleted meanwhile.
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
        # The limits that the caller knows were checked before; what is left are texts that grow in PostgreSQL.
        description = "is larger than 4 MiB as PostgreSQL writes it, without exponents"
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


async def get(connection: Connection, ref: SchemaRef, version: int) -> SchemaVersion | None:
    """A version of a schema, the newest for 0."""
    row = await connection.fetchrow(_SQL["get"], *id_and_name(ref), version)
    return _version(row, row["document"]) if row else None


async def get_written(new: NewDocument, connection: Connection, written: Written) -> SchemaVersion:
    """The newest version of a schema as a write left it, which has the document.

    Raises WriteConflictError if the log does not tell any more.
    """
    row = require_record(await connection.fetchrow(_SQL["written"], written.resource_id, written.version))
    return SchemaVersion(
        schema=row["schema"],
        version=row["version"],
        document=new.text,
        additions=new.additions if row["additions"] is None else _additions(row["additions"]),
        revision=row["revision"],
        create_time=row["create_time"],
        created_by=row["created_by"],
    )


async def newest(connection: Connection, documents: Mapping[str, NewDocument]) -> dict[str, Newest]:
    """Those of the schemas that exist, held against documents, by name."""
    texts = [new.text for new in documents.values()]
    rows = await connection.fetch(_SQL["newest"], list(documents), texts)
    return {
        row["name"]: Newest(id=row["id"], latest_version=row["latest_version"], is_same=row["is_same"]) for row in rows
    }


async def documents(
    connection: Connection, refs: Collection[SchemaVersionRef], *, limit: int, limit_bytes: int
) -> dict[SchemaVersionRef, StoredDocument] | None:
    """Those of the versions that exist, and all that they refer to, directly or not; None if they are too many or too
    large.
    """
    if not refs:
        return {}
    rows = await connection.fetch(
        _SQL["documents"], [ref.schema for ref in refs], [ref.version for ref in refs], limit, limit_bytes
    )
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
    """At most limit versions from before one on, and limit_bytes of documents, which the first may exceed; None if
    there is no such schema.
    """
    rows = await connection.fetch(_SQL["list"], *id_and_name(ref), before, limit + 1, with_document, limit_bytes)
    if rows[0]["schema_id"] is None:
        return None
    shown = tuple(_version(row, row["document"]) for row in rows[:limit] if row["version"] is not None)
    return VersionPage(
        schema_id=rows[0]["schema_id"],
        versions=shown,
        revision=rows[0]["shown_revision"],
        goes_on=bool(shown) and rows[0]["rows_found"] > len(shown),
    )


async def commit_id(connection: Connection) -> int:
    """The id of the commit that this transaction will be, once it has changed something."""
    return await connection.fetchval(_SQL["commit_id"])


async def get_imported(
    connection: Connection, documents: Mapping[str, NewDocument], commit: int | None, revision: int
) -> SchemaImports:
    """What the commit, if there was one, made of schemas, or what they were at the revision.

    Raises WriteConflictError if the log does not tell any more.
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
