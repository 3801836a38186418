"""Role bindings: create, list and delete."""

from ulid import ULID

from configsvc.access.caller import Caller
from configsvc.domain.access import Grant, Role, RoleBinding
from configsvc.domain.errors import LastAdminError, ResourceNotFoundError
from configsvc.domain.models import (
    Application,
    ApplicationRef,
    Done,
    Effect,
    IdRef,
    Kind,
    Page,
    WriteContext,
    Written,
)
from configsvc.domain.requests import RoleBindingListing
from configsvc.domain.scope import Only
from configsvc.feed.feed import Feed
from configsvc.storage import applications, log, role_bindings
from configsvc.storage.database import Connection, Database
from configsvc.storage.moments import revision_of
from configsvc.writes.transactions import Writes

# The feed reads a commit at once, or within its polling interval if the notification was lost.
FEED_LIMIT_SECONDS = 3.0


class RoleBindings:
    """Use cases for role bindings.

    Every method raises PermissionDeniedError and DatabaseUnavailableError; writes also raise WriteConflictError and
    RequestIdReusedError. A write returns once this process applies it.
    """

    def __init__(self, database: Database, writes: Writes, feed: Feed) -> None:
        self._database = database
        self._writes = writes
        self._feed = feed

    async def create(
        self, caller: Caller, principal: str, role: Role, ref: ApplicationRef | None, context: WriteContext
    ) -> Done[RoleBinding]:
        """Bind a role for one application; None: for all. Raises ResourceNotFoundError or ResourceExistsError."""
        _require_admin(caller, ref)

        async def change(connection: Connection) -> Effect:
            application = None if ref is None else await _application(connection, caller, ref)
            grant = Grant(
                principal=principal,
                role=role,
                application_id=application.id if application else None,
                application=application.name if application else None,
            )
            inserted = await role_bindings.insert(connection, str(ULID()), grant, context)
            return Effect(written=inserted, changed=True)

        binding = await self._writes.run_once(context, principal, change, role_bindings.get_version)
        await self._feed.wait_revision(binding.result.revision, FEED_LIMIT_SECONDS)
        return binding

    async def delete(self, caller: Caller, binding_id: str, *, allow_missing: bool, context: WriteContext) -> Done[int]:
        """Delete a binding and return the revision; 0 if there was none, with allow_missing.

        Raises ResourceNotFoundError or LastAdminError.
        """
        await self._require_admin_of(caller, binding_id)

        async def change(connection: Connection) -> Written | None:
            if await role_bindings.lock_admins(connection) == frozenset({binding_id}):
                raise LastAdminError("role binding", binding_id)
            await log.explain_deletions(connection, {binding_id: context})
            deleted = await role_bindings.delete(connection, binding_id)
            if deleted is None and not allow_missing:
                raise ResourceNotFoundError("role binding", binding_id)
            return deleted

        deleted = await self._writes.delete_once(context, binding_id, Kind.ROLE_BINDING, change)
        await self._feed.wait_revision(deleted.result, FEED_LIMIT_SECONDS)
        return deleted

    async def list_page(self, caller: Caller, listing: RoleBindingListing) -> Page[RoleBinding]:
        """Return a page of the bindings for the applications that the caller is admin of.

        Raises ResourceNotFoundError, RevisionUnknownError or RevisionCompactedError.
        """
        ref, page = listing.application, listing.page
        scope = caller.scope(Role.ADMIN)
        if ref is not None:
            caller.require_application(Role.ADMIN, ref)
        async with self._database.read_list() as connection:
            first = await revision_of(connection, listing.moment) if page.revision is None else page.revision
            if ref is not None:
                scope = Only(frozenset({(await _application(connection, caller, ref)).id}))
            return await role_bindings.page(
                connection,
                revision=first,
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
    """Return the application that was authorized, even if its name is another's now. Raises ResourceNotFoundError."""
    access = caller.access
    judged = None if access.everywhere >= Role.ADMIN else access.application_id(ref)
    application = await applications.get(connection, IdRef(id=judged) if judged else ref)
    if application is None:
        raise ResourceNotFoundError("application", str(ref))
    return application
