"""Schemas for callers: create, get, list, delete."""

from ulid import ULID

from configsvc.domain.errors import ResourceExistsError, ResourceNotFoundError
from configsvc.domain.models import (
    Effect,
    Kind,
    NameRef,
    Page,
    Schema,
    SchemaRef,
    SchemaVersionRef,
    WriteContext,
    Written,
)
from configsvc.domain.requests import NameListing, SchemaVersionListing
from configsvc.domain.schema_versions import NewDocument, SchemaVersion
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.domain.writes import check_version
from configsvc.schemas.linking import link
from configsvc.storage import log, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.schema_versions import NewVersion, VersionPage
from configsvc.writes.transactions import Writes


class Schemas:
    """Schemas. Every method raises DatabaseUnavailableError; changes raise WriteConflictError and RequestIdReusedError
    too.
    """

    def __init__(self, database: Database, writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def create(self, name: str, comments: str, new: NewDocument, context: WriteContext) -> Schema:
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

        created = await self._writes.run_once(context, subject_of(NameRef(name=name)), change, schemas.get_version)
        return created.result

    async def get(self, ref: SchemaRef, *, min_revision: int) -> Schema:
        """Return a schema. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            schema = await schemas.get(connection, ref)
        if schema is None:
            raise ResourceNotFoundError("schema", str(ref))
        return schema

    async def get_version(self, ref: SchemaRef, version: int, *, min_revision: int) -> SchemaVersion:
        """Return a version of a schema, the newest for 0. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            found = await schema_versions.get(connection, ref, version)
        if found is None:
            raise ResourceNotFoundError("schema version", f"{ref}@{version}" if version else str(ref))
        return found

    async def list_page(self, listing: NameListing) -> Page[Schema]:
        """Return a page of schemas. Raises RevisionUnknownError or RevisionCompactedError."""
        page = listing.page
        async with self._database.read() as connection:
            await log.require_revision(connection, listing.min_revision)
            return await schemas.page(
                connection,
                revision=page.revision,
                name_prefix=listing.name_prefix,
                after=page.after,
                limit=page.limit,
            )

    async def list_versions(self, listing: SchemaVersionListing) -> VersionPage:
        """Return a page of versions, newest first. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, listing.min_revision)
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

    async def delete(self, ref: SchemaRef, *, expected_version: int, context: WriteContext) -> int:
        """Delete a schema, and return the revision.

        Raises ResourceNotFoundError, VersionMismatchError or SchemaInUseError.
        """

        async def change(connection: Connection) -> Written:
            current = await lock_schema(connection, ref, expected_version)
            await schemas.close(connection, (current.id,))
            await schemas.check_unused(connection, current.name)
            await log.explain_deletions(connection, {current.id: context})
            return await schemas.delete(connection, current)

        return (await self._writes.delete_once(context, subject_of(ref), Kind.SCHEMA, change)).result


def subject_of(ref: SchemaRef) -> str:
    """Return the subject that changes of a schema queue for; the prefix sets it apart from an application's name."""
    return f"schema {ref}"


async def lock_schema(connection: Connection, ref: SchemaRef, expected_version: int) -> Schema:
    """Lock a schema until the end of the transaction, and return it.

    Raises ResourceNotFoundError or VersionMismatchError.
    """
    # After waiting for a schema that was deleted and created again in one transaction, the first try finds nothing.
    current = await schemas.lock(connection, ref) or await schemas.lock(connection, ref)
    if current is None:
        raise ResourceNotFoundError("schema", str(ref))
    check_version(expected_version, current.version)
    return current
