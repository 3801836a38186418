"""Use cases of applications: create, get, list, update, delete."""

from functools import partial

from ulid import ULID

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import ApplicationNotEmptyError, ResourceNotFoundError, VersionMismatchError
from configsvc.domain.models import (
    Application,
    ApplicationRef,
    ApplicationUpdate,
    Kind,
    Page,
    WriteContext,
    Written,
)
from configsvc.domain.requests import NameListing
from configsvc.domain.scope import Scope
from configsvc.storage import applications, log
from configsvc.storage.database import Connection, Database
from configsvc.writes.transactions import Writes


class Applications:
    """The use cases of applications.

    Every method raises DatabaseUnavailableError; those that write also raise WriteConflictError and
    RequestIdReusedError.
    """

    def __init__(self, database: Database, writes: Writes, reads: Reads) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads

    async def create(self, name: str, comments: str, context: WriteContext) -> Application:
        """Create an application. Raises ResourceExistsError."""

        async def change(connection: Connection) -> Written:
            return await applications.insert(connection, str(ULID()), name, comments, context)

        return await self._writes.run_once(context, name, change, applications.get_version)

    async def get(self, ref: ApplicationRef, *, min_revision: int, scope: Scope) -> Application:
        """Get an application within the scope. Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            application = await applications.get(connection, ref)
        return _existing(application, ref, scope)

    async def list_page(self, listing: NameListing, scope: Scope) -> Page[Application]:
        """Return a page of the applications in scope. Raises RevisionUnknownError or RevisionCompactedError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, listing.min_revision)
            return await applications.page(
                connection,
                revision=listing.page.revision,
                name_prefix=listing.name_prefix,
                after=listing.page.after,
                limit=listing.page.limit,
                scope=scope,
            )

    async def update(
        self, ref: ApplicationRef, update: ApplicationUpdate, *, expected_version: int, context: WriteContext
    ) -> Application:
        """Update an application. Raises ResourceNotFoundError, VersionMismatchError or ResourceExistsError."""

        async def change(connection: Connection) -> Written:
            current = await _locked(connection, ref, expected_version, context.scope)
            name = current.name if update.name is None else update.name
            comments = current.comments if update.comments is None else update.comments
            if (name, comments) == (current.name, current.comments):
                return Written(resource_id=current.id, version=current.version)
            return await applications.update(connection, current.id, name, comments, context)

        updated = await self._writes.run_once(context, str(ref), change, applications.get_version)
        # Responses with its configurations contain its name.
        self._reads.require(updated.revision)
        return updated

    async def delete(self, ref: ApplicationRef, *, force: bool, expected_version: int, context: WriteContext) -> int:
        """Delete an application, with force also its configurations, and return the revision.

        Raises ResourceNotFoundError, VersionMismatchError or ApplicationNotEmptyError.
        """

        async def change(connection: Connection) -> Written:
            current = await _locked(connection, ref, expected_version, context.scope)
            if not force and await applications.has_configurations(connection, current.name):
                raise ApplicationNotEmptyError("application", str(ref))
            await log.explain_deletions(connection, {"*": context})
            await applications.delete_configurations(connection, current.name)
            return await applications.delete(connection, current.id)

        revision = await self._writes.run_once(context, str(ref), change, partial(log.revision_of, Kind.APPLICATION))
        self._reads.require(revision)
        return revision


async def _locked(connection: Connection, ref: ApplicationRef, expected_version: int, scope: Scope) -> Application:
    # Tried twice: a wait for a row that one transaction deletes and creates again finds nothing.
    found = await applications.lock(connection, ref) or await applications.lock(connection, ref)
    current = _existing(found, ref, scope)
    if expected_version and expected_version != current.version:
        raise VersionMismatchError(expected=expected_version, current=current.version)
    return current


def _existing(application: Application | None, ref: ApplicationRef, scope: Scope) -> Application:
    if application is None or not scope.includes(application.id):
        raise ResourceNotFoundError("application", str(ref))
    return application
