"""What callers do with applications."""

from functools import partial
from typing import TYPE_CHECKING

from ulid import ULID

from configsvc.domain.errors import ApplicationNotEmptyError, ResourceNotFoundError, VersionMismatchError
from configsvc.domain.models import Application, ApplicationRef, ApplicationUpdate, Kind, Page, WriteContext, Written
from configsvc.storage import applications, log
from configsvc.writes import Writes

if TYPE_CHECKING:
    from configsvc.storage.database import Connection, Database


class Applications:
    """Every method raises DatabaseUnavailableError, and those that change something WriteConflictError and
    RequestIdReusedError too.
    """

    def __init__(self, database: "Database", writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def create(self, name: str, comments: str, context: WriteContext) -> Application:
        """Raises ResourceExistsError."""

        async def change(connection: "Connection") -> Written:
            return await applications.insert(connection, str(ULID()), name, comments, context)

        return await self._writes.run_once(context, name, change, applications.get_version)

    async def get(self, ref: ApplicationRef, *, min_revision: int) -> Application:
        """Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            application = await applications.get(connection, ref)
        if application is None:
            raise ResourceNotFoundError("application", str(ref))
        return application

    async def list_page(
        self, *, name_prefix: str, min_revision: int, revision: int | None, after: str | None, limit: int
    ) -> Page[Application]:
        """A page as of the revision; None: as of now. Raises RevisionUnknownError or RevisionCompactedError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            return await applications.page(
                connection, revision=revision, name_prefix=name_prefix, after=after, limit=limit
            )

    async def update(
        self, ref: ApplicationRef, update: ApplicationUpdate, *, expected_version: int, context: WriteContext
    ) -> Application:
        """Raises ResourceNotFoundError, VersionMismatchError or ResourceExistsError."""

        async def change(connection: "Connection") -> Written:
            current = await _locked(connection, ref, expected_version)
            name = current.name if update.name is None else update.name
            comments = current.comments if update.comments is None else update.comments
            if (name, comments) == (current.name, current.comments):
                return Written(resource_id=current.id, version=current.version)
            return await applications.update(connection, current.id, name, comments, context)

        return await self._writes.run_once(context, str(ref), change, applications.get_version)

    async def delete(self, ref: ApplicationRef, *, force: bool, expected_version: int, context: WriteContext) -> int:
        """The revision of the deletion; with force, of its configurations too.

        Raises ResourceNotFoundError, VersionMismatchError or ApplicationNotEmptyError.
        """

        async def change(connection: "Connection") -> Written:
            current = await _locked(connection, ref, expected_version)
            if not force and await applications.has_configurations(connection, current.name):
                raise ApplicationNotEmptyError("application", str(ref))
            await log.explain_deletions(connection, {"*": context})
            await applications.delete_configurations(connection, current.name)
            return await applications.delete(connection, current.id)

        return await self._writes.run_once(context, str(ref), change, partial(log.revision_of, Kind.APPLICATION))


async def _locked(connection: "Connection", ref: ApplicationRef, expected_version: int) -> Application:
    # Who waited for a row that was deleted and made again in one transaction found only the old one gone.
    current = await applications.lock(connection, ref) or await applications.lock(connection, ref)
    if current is None:
        raise ResourceNotFoundError("application", str(ref))
    if expected_version and expected_version != current.version:
        raise VersionMismatchError(expected=expected_version, current=current.version)
    return current
