"""What callers do with role bindings."""

from functools import partial

from ulid import ULID

from configsvc.access.caller import Caller
from configsvc.domain.access import Grant, Role, RoleBinding
from configsvc.domain.errors import LastAdminError, ResourceNotFoundError
from configsvc.domain.models import Application, ApplicationRef, IdRef, Kind, Page, WriteContext, Written
from configsvc.domain.requests import RoleBindingListing
from configsvc.domain.scope import Only
from configsvc.feed.feed import Feed
from configsvc.storage import applications, log, role_bindings
from configsvc.storage.database import Connection, Database
from configsvc.writes.transactions import Writes

# The feed hears of a commit at once, or a little later where the bell was lost.
FEED_LIMIT_SECONDS = 3.0


class RoleBindings:
    """Every method raises PermissionDeniedError and DatabaseUnavailableError, and those that change something
    WriteConflictError and RequestIdReusedError too.
    """

    def __init__(self, database: Database, writes: Writes, feed: Feed) -> None:
        self._database = database
        self._writes = writes
        self._feed = feed

    async def create(
        self, caller: Caller, principal: str, role: Role, ref: ApplicationRef | None, context: WriteContext
    ) -> RoleBinding:
        """Gives a role, for one application or, without a ref, for all; this process knows of it then. Raises
        ResourceNotFoundError or ResourceExistsError.
        """
        _require_admin(caller, ref)

        async def change(connection: Connection) -> Written:
            application = None if ref is None else await _application(connection, caller, ref)
            grant = Grant(
                principal=principal,
                role=role,
                application_id=application.id if application else None,
                application=application.name if application else None,
            )
            return await role_bindings.insert(connection, str(ULID()), grant, context)

        binding = await self._writes.run_once(context, principal, change, role_bindings.get_version)
        await self._feed.wait_revision(binding.revision, FEED_LIMIT_SECONDS)
        return binding

    async def delete(self, caller: Caller, binding_id: str, context: WriteContext) -> int:
        """The revision of the deletion, of which this process knows then. Raises ResourceNotFoundError or
        LastAdminError.
        """
        await self._require_admin_of(caller, binding_id)

        async def change(connection: Connection) -> Written:
            if await role_bindings.lock_admins(connection) == frozenset({binding_id}):
                raise LastAdminError("role binding", binding_id)
            await log.explain_deletions(connection, {binding_id: context})
            return await role_bindings.delete(connection, binding_id)

        revision = await self._writes.run_once(context, binding_id, change, partial(log.revision_of, Kind.ROLE_BINDING))
        await self._feed.wait_revision(revision, FEED_LIMIT_SECONDS)
        return revision

    async def list_page(self, caller: Caller, listing: RoleBindingListing) -> Page[RoleBinding]:
        """Return a page of the bindings for the applications that the caller is admin of.

        Raises ResourceNotFoundError, RevisionUnknownError or RevisionCompactedError.
        """
        ref, page = listing.application, listing.page
        scope = caller.scope(Role.ADMIN)
        if ref is not None:
            caller.require_application(Role.ADMIN, ref)
        async with self._database.read() as connection:
            await log.require_revision(connection, listing.min_revision)
            if ref is not None:
                scope = Only(frozenset({(await _application(connection, caller, ref)).id}))
            return await role_bindings.page(
                connection,
                revision=page.revision,
                principal=listing.principal,
                scope=scope,
                after=page.after,
                limit=page.limit,
            )

    async def _require_admin_of(self, caller: Caller, binding_id: str) -> None:
        if caller.access.everywhere >= Role.ADMIN:
            caller.require_everywhere(Role.ADMIN)
            return
        async with self._database.read() as connection:
            application_id = await role_bindings.application_of(connection, binding_id)
        caller.require(Role.ADMIN, application_id, f"the application of role binding {binding_id}")


def _require_admin(caller: Caller, ref: ApplicationRef | None) -> None:
    if ref is None:
        caller.require_everywhere(Role.ADMIN)
    else:
        caller.require_application(Role.ADMIN, ref)


async def _application(connection: Connection, caller: Caller, ref: ApplicationRef) -> Application:
    """The application that the caller was judged for, whatever has its name now. Raises ResourceNotFoundError."""
    access = caller.access
    judged = None if access.everywhere >= Role.ADMIN else access.application_id(ref)
    application = await applications.get(connection, IdRef(id=judged) if judged else ref)
    if application is None:
        raise ResourceNotFoundError("application", str(ref))
    return application
