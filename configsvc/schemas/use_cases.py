"""Schemas for callers: create, get, list, delete."""

from ulid import ULID

from configsvc.domain.errors import ResourceExistsError, ResourceNotFoundError
from configsvc.domain.expectations import Expectation
from configsvc.domain.models import (
    Done,
    Effect,
    IdRef,
    Kind,
    Moment,
    NameRef,
    Page,
    Schema,
    SchemaRef,
    SchemaVersionRef,
    WriteContext,
    Written,
)
from configsvc.domain.requests import PageRequest, SchemaVersionListing
from configsvc.domain.schema_versions import NewDocument, SchemaVersion, VersionPage
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.schemas.linking import link
from configsvc.storage import log, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.moments import revision_of
from configsvc.storage.schema_versions import NewVersion
from configsvc.writes.transactions import Writes


class Schemas:
    """Schemas. Every method raises DatabaseUnavailableError; changes raise WriteConflictError and RequestIdReusedError
    too.
    """

    def __init__(self, database: Database, writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def create(self, name: str, comments: str, new: NewDocument, context: WriteContext) -> Done[Schema]:
        """Create a schema with its first version. Raises ResourceExistsError or InvalidRequestError."""
        if new.references:
            async with self._database.read() as connection:
                await link(connection, (new,), {})

        async def change(connection: Connection) -> Effect:
            schema_id = str(ULID())
            inserted = await schemas.insert(connection, ((schema_id, name, comments),), context)
            if not inserted:
                raise ResourceExistsError("schema", name)
            ref = SchemaVersionRef(schema=name, version=1)
            await schema_versions.insert(connection, (NewVersion(schema_id=schema_id, ref=ref, new=new),), context)
            return Effect(written=inserted[0], changed=True)

        return await self._writes.run_once(context, subject_of(NameRef(name=name)), change, schemas.get_version)

    async def get(self, ref: SchemaRef, moment: Moment) -> tuple[Schema, int]:
        """Return a schema, and the revision that this shows. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await revision_of(connection, moment)
            schema, revision = await schemas.get_shown(connection, ref)
        return require_schema(schema, ref), revision

    async def get_version(self, ref: SchemaRef, version: int, moment: Moment) -> tuple[SchemaVersion, int]:
        """Return a version of a schema, the newest for 0, and the revision that this shows.

        Raises ResourceNotFoundError or RevisionUnknownError.
        """
        async with self._database.read() as connection:
            await revision_of(connection, moment)
            found, revision = await schema_versions.get(connection, ref, version)
        if found is None:
            raise ResourceNotFoundError("schema version", f"{ref}@{version}" if version else str(ref))
        return found, revision

    async def list_page(self, name_prefix: str, moment: Moment, page: PageRequest[str]) -> Page[Schema]:
        """Return a page of schemas. Raises RevisionUnknownError or RevisionCompactedError."""
        async with self._database.read_list() as connection:
            first = await revision_of(connection, moment) if page.revision is None else page.revision
            return await schemas.page(
                connection, revision=first, name_prefix=name_prefix, after=page.after, limit=page.limit
            )

    async def list_versions(self, listing: SchemaVersionListing) -> VersionPage:
        """Return a page of versions, newest first. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read_list() as connection:
            await revision_of(connection, listing.moment)
            page = await schema_versions.page(
                connection,
                listing.ref,
                before=listing.page.after,
                limit=listing.page.limit,
                with_document=listing.with_document,
                limit_bytes=MAX_RESPONSE_BYTES,
            )
        if page is None or listing.page.resource_id not in {None, page.schema_id}:
            raise ResourceNotFoundError("schema", str(listing.ref))
        return page

    async def delete(
        self, ref: SchemaRef, *, expected: Expectation, allow_missing: bool, context: WriteContext
    ) -> Done[int]:
        """Delete a schema, and return the revision; 0 if there was none, with allow_missing.

        Raises ResourceNotFoundError, VersionMismatchError or SchemaInUseError.
        """

        async def change(connection: Connection) -> Written | None:
            current = await lock_schema(connection, ref, expected)
            if current is None and allow_missing:
                return None
            current = require_schema(current, ref)
            await schemas.close(connection, (current.id,))
            await schemas.check_unused(connection, current.name)
            await log.explain_deletions(connection, {current.id: context})
            return await schemas.delete(connection, current)

        return await self._writes.delete_once(context, subject_of(ref), Kind.SCHEMA, change)


def subject_of(ref: SchemaRef) -> str:
    """Return the subject that changes of a schema queue for; the prefix sets it apart from an application's name."""
    return f"schema {ref}"


async def lock_schema(connection: Connection, ref: SchemaRef, expected: Expectation) -> Schema | None:
    """Lock a schema until the end of the transaction, and return it, if it exists. Raises VersionMismatchError."""
    # After waiting for a schema that was deleted and created again in one transaction, the first try finds nothing.
    locked = await schemas.lock(connection, ref) or await schemas.lock(connection, ref)
    if locked is None:
        return None
    expected.check_version(locked.version)
    if expected.etag:
        # The locked row has the time of its transaction, not that of its commit.
        current = require_schema(await schemas.get(connection, IdRef(id=locked.id)), ref)
        expected.check_etag(current.etag, current.version)
    return locked


def require_schema(schema: Schema | None, ref: SchemaRef) -> Schema:
    """Return the schema. Raises ResourceNotFoundError if there is none."""
    if schema is None:
        raise ResourceNotFoundError("schema", str(ref))
    return schema
