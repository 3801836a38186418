"""Use cases of applications: create, get, list, update, delete."""

from contextlib import suppress

from ulid import ULID

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import (
    ApplicationNotEmptyError,
    ResourceExistsError,
    ResourceNotFoundError,
    WriteConflictError,
)
from configsvc.domain.expectations import Expectation
from configsvc.domain.models import (
    Application,
    ApplicationRef,
    ApplicationUpdate,
    Done,
    Effect,
    IdRef,
    Kind,
    Moment,
    NameRef,
    Page,
    WriteContext,
    Written,
)
from configsvc.domain.requests import PageRequest
from configsvc.domain.scope import Scope
from configsvc.storage import applications, log
from configsvc.storage.database import Connection, Database
from configsvc.storage.moments import revision_of
from configsvc.writes.transactions import Writes

TRIES = 3


class Applications:
    """The use cases of applications.

    Every method raises DatabaseUnavailableError; those that write also raise WriteConflictError and
    RequestIdReusedError.
    """

    def __init__(self, database: Database, writes: Writes, reads: Reads) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads

    async def create(self, name: str, comments: str, context: WriteContext) -> Done[Application]:
        """Create an application. Raises ResourceExistsError."""

        async def change(connection: Connection) -> Effect:
            return Effect(written=await _insert(connection, name, comments, context), changed=True)

        return await self._writes.run_once(context, name, change, applications.get_version)

    async def get(self, ref: ApplicationRef, moment: Moment, scope: Scope) -> tuple[Application, int]:
        """Return an application within the scope, and the revision that this shows.

        Raises ResourceNotFoundError or RevisionUnknownError.
        """
        async with self._database.read() as connection:
            await revision_of(connection, moment)
            application, revision = await applications.get_shown(connection, ref)
        return _existing(application, ref, scope), revision

    async def list_page(
        self, name_prefix: str, moment: Moment, page: PageRequest[str], scope: Scope
    ) -> Page[Application]:
        """Return a page of the applications in scope. Raises RevisionUnknownError or RevisionCompactedError."""
        async with self._database.read_list() as connection:
            first = await revision_of(connection, moment) if page.revision is None else page.revision
            return await applications.page(
                connection, revision=first, name_prefix=name_prefix, after=page.after, limit=page.limit, scope=scope
            )

    async def update(
        self,
        ref: ApplicationRef,
        values: ApplicationUpdate,
        *,
        expected: Expectation,
        allow_missing: bool,
        context: WriteContext,
    ) -> Done[Application]:
        """Update an application, or with allow_missing create the one with that name.

        Raises ResourceNotFoundError, VersionMismatchError or ResourceExistsError.
        """

        async def change(connection: Connection) -> Effect:
            for _ in range(TRIES):
                current = await _lock(connection, ref, context.scope)
                if current is not None:
                    return await _change(connection, current, values, expected, context)
                if not (allow_missing and isinstance(ref, NameRef)):
                    raise ResourceNotFoundError("application", str(ref))
                expected.check_absence()
                # Taken meanwhile, the name belongs to an application to update.
                with suppress(ResourceExistsError):
                    created = await _insert(connection, ref.name, values.comments or "", context)
                    return Effect(written=created, changed=True)
            raise WriteConflictError

        updated = await self._writes.run_once(context, str(ref), change, applications.get_version)
        # Responses with its configurations contain its name.
        self._reads.require(updated.result.revision)
        return updated

    async def delete(
        self, ref: ApplicationRef, *, force: bool, expected: Expectation, allow_missing: bool, context: WriteContext
    ) -> Done[int]:
        """Delete an application, with force also its configurations, and return the revision; 0 if there was none, with
        allow_missing.

        Raises ResourceNotFoundError, VersionMismatchError or ApplicationNotEmptyError.
        """

        async def change(connection: Connection) -> Written | None:
            found = await _lock(connection, ref, context.scope)
            if found is None and allow_missing:
                return None
            current = _existing(found, ref, context.scope)
            await _check(connection, current, expected)
            if not force and await applications.has_configurations(connection, current.name):
                raise ApplicationNotEmptyError("application", str(ref))
            await log.explain_deletions(connection, {"*": context})
            await applications.delete_configurations(connection, current.name)
            return await applications.delete(connection, current.id)

        deleted = await self._writes.delete_once(context, str(ref), Kind.APPLICATION, change)
        self._reads.require(deleted.result)
        return deleted


async def _insert(connection: Connection, name: str, comments: str, context: WriteContext) -> Written:
    return await applications.insert(connection, str(ULID()), name, comments, context)


async def _change(
    connection: Connection,
    current: Application,
    values: ApplicationUpdate,
    expected: Expectation,
    context: WriteContext,
) -> Effect:
    await _check(connection, current, expected)
    name = current.name if values.name is None else values.name
    comments = current.comments if values.comments is None else values.comments
    if (name, comments) == (current.name, current.comments):
        return Effect(written=Written(resource_id=current.id, version=current.version), changed=False)
    updated = await applications.update(connection, current.id, name, comments, context)
    return Effect(written=updated, changed=True)


async def _lock(connection: Connection, ref: ApplicationRef, scope: Scope) -> Application | None:
    # Tried twice: a wait for a row that one transaction deletes and creates again finds nothing.
    found = await applications.lock(connection, ref) or await applications.lock(connection, ref)
    return found if found and scope.includes(found.id) else None


async def _check(connection: Connection, locked: Application, expected: Expectation) -> None:
    """Raise VersionMismatchError unless the locked application is as expected."""
    expected.check_version(locked.version)
    if expected.etag:
        # The locked row has the time of its transaction, not that of its commit.
        current = await applications.get(connection, IdRef(id=locked.id))
        assert current is not None
        expected.check_etag(current.etag, current.version)


def _existing(application: Application | None, ref: ApplicationRef, scope: Scope) -> Application:
    if application is None or not scope.includes(application.id):
        raise ResourceNotFoundError("application", str(ref))
    return application
