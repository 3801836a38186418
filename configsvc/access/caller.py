"""Authorization. Checks run before any lookup, so "not found" and "not yours" look alike."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from configsvc.access.revocation import RevocableCall
from configsvc.domain.access import Access, Identity, Role
from configsvc.domain.errors import PermissionDeniedError
from configsvc.domain.models import ApplicationRef, ConfigurationRef, IdRef, KeyRef, NameRef, Origin
from configsvc.domain.requests import Author
from configsvc.domain.scope import Everything, Only, Scope
from configsvc.limits.quotas import Quota
from configsvc.storage import role_bindings
from configsvc.storage.database import Database


# Not a frozen dataclass: every call makes one, and a tuple takes half as long.
class Caller(NamedTuple):
    """A caller and its roles. `quota` is None without authentication.

    `revocable` is set for long calls, `origin` for calls that may change something, `peer` for streams of answers.
    """

    identity: Identity
    access: Access
    quota: Quota | None = None
    revocable: RevocableCall | None = None
    origin: Origin | None = None
    peer: str = ""

    @property
    def actor(self) -> str:
        """The principal that changes are recorded under."""
        return self.identity.principal

    @property
    def access_now(self) -> Access:
        """The current roles: those of a long call may have changed since admission."""
        return self.revocable.access if self.revocable else self.access

    def check_current(self) -> None:
        """Check that roles are up to date, before each page that a long call reads or message that it takes.

        Raises DatabaseUnavailableError if they may have changed unnoticed.
        """
        if self.revocable:
            self.revocable.check_current()

    def scope(self, role: Role) -> Scope:
        """Return the applications for which the caller has the role: its reads and writes are confined to them."""
        return self.access_now.scope(role)

    def author(self, scope: Scope) -> Author:
        """Return the caller as the author of a change that is confined to the scope."""
        assert self.origin is not None
        return Author(actor=self.actor, origin=self.origin, scope=scope)

    def long_lived(self, kind: str) -> AbstractContextManager[None]:
        """Count a long call while the context is open. Raises RateLimitedError beyond a few of the kind."""
        return self.quota.long_lived(kind) if self.quota else nullcontext()

    def require(self, role: Role, application_id: str | None, asked_for: str) -> None:
        """Require the role for the application; None: for all. A long call ends when it loses the role.

        `asked_for` describes the target in the caller's words. Raises PermissionDeniedError.
        """
        if not self.access_now.allows(role, application_id):
            raise PermissionDeniedError(f"the role {role.name.lower()} is needed for {asked_for}")
        if self.revocable:
            self.revocable.need(role, application_id)

    def require_everywhere(self, role: Role) -> None:
        """Require the role for all applications. Raises PermissionDeniedError."""
        self.require(role, None, "all applications")

    def require_application(self, role: Role, ref: ApplicationRef) -> str | None:
        """Require the role for the application; return its id, or None if the caller has the role for all.

        Raises PermissionDeniedError.
        """
        access = self.access_now
        application_id = None if access.everywhere >= role else access.application_id(ref)
        self.require(role, application_id, f"application {ref}")
        return application_id

    def require_configuration(self, role: Role, ref: ConfigurationRef, application_id: str | None) -> None:
        """Require the role for the application of the configuration. Raises PermissionDeniedError.

        A key names the application. For an id it is `application_id`; None: there is no such configuration.
        """
        if isinstance(ref, KeyRef):
            self.require_application(role, NameRef(name=ref.application))
        else:
            everywhere = self.access_now.everywhere >= role
            self.require(role, None if everywhere else application_id, f"the application of configuration {ref}")

    def require_listed(self, role: Role, ref: ApplicationRef | None) -> None:
        """Require the role for a list of one application; None: of all in scope. Raises PermissionDeniedError.

        A long call ends when it loses the role for one of them.
        """
        if ref is not None:
            self.require_application(role, ref)
            return
        match self.scope(role):
            case Everything():
                self.require_everywhere(role)
            case Only(ids=application_ids):
                for application_id in application_ids:
                    self.require(role, application_id, "the listed resources")


class Guard:
    """Authorization for configurations named by id, whose application must be looked up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def require_configurations(self, caller: Caller, role: Role, refs: Iterable[ConfigurationRef]) -> None:
        """Require the role for the applications of all the configurations. Raises PermissionDeniedError.

        A deleted configuration belongs to its last application.
        """
        if caller.access.everywhere >= role:
            caller.require_everywhere(role)
            return
        refs = list(refs)
        applications = await self._applications_of({ref.id for ref in refs if isinstance(ref, IdRef)})
        for ref in refs:
            known = applications.get(ref.id) if isinstance(ref, IdRef) else None
            caller.require_configuration(role, ref, known)

    async def _applications_of(self, ids: Iterable[str]) -> dict[str, str]:
        ids = list(ids)
        if not ids:
            return {}
        async with self._database.read() as connection:
            return await role_bindings.applications_of(connection, ids)
