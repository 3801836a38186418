"""Whether a caller may do what it asks for: judged before anything is looked up for it, so that what does not exist and
what is not the caller's look the same.
"""

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
    """Who calls, and what it may do at the moment. quota is what it takes of this process, where callers are told
    apart; revocable is set where the call lasts, origin where it may change something.
    """

    identity: Identity
    access: Access
    quota: Quota | None = None
    revocable: RevocableCall | None = None
    origin: Origin | None = None

    @property
    def actor(self) -> str:
        """The name under which its changes are recorded."""
        return self.identity.principal

    @property
    def access_now(self) -> Access:
        """What it may do: that of a call that lasts may have changed since it was let in."""
        return self.revocable.access if self.revocable else self.access

    def check_current(self) -> None:
        """To be asked before each page that a call that lasts reads, and each message that it takes. Raises
        DatabaseUnavailableError if what it may do may have changed unnoticed.
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

    def lasting(self, kind: str) -> AbstractContextManager[None]:
        """The time of a call that may last, of which it has a few at once. Raises RateLimitedError."""
        return self.quota.long_lived(kind) if self.quota else nullcontext()

    def require(self, role: Role, application_id: str | None, asked_for: str) -> None:
        """Raises PermissionDeniedError unless it has the role for the application (None: for all), by whatever name it
        asked for that. A call that lasts ends when it loses the role.
        """
        if not self.access_now.allows(role, application_id):
            raise PermissionDeniedError(f"the role {role.name.lower()} is needed for {asked_for}")
        if self.revocable:
            self.revocable.need(role, application_id)

    def require_everywhere(self, role: Role) -> None:
        """Raises PermissionDeniedError unless it has the role for all applications."""
        self.require(role, None, "all applications")

    def require_application(self, role: Role, ref: ApplicationRef) -> str | None:
        """The id of the application where the caller has the role for it alone; None: it has it for all.

        Raises PermissionDeniedError if it has neither.
        """
        access = self.access_now
        application_id = None if access.everywhere >= role else access.application_id(ref)
        self.require(role, application_id, f"application {ref}")
        return application_id

    def require_configuration(self, role: Role, ref: ConfigurationRef, application_id: str | None) -> None:
        """Raises PermissionDeniedError unless it has the role for the application of the configuration: by key, the one
        with that name, by id the one with application_id (None: there is no such configuration).
        """
        if isinstance(ref, KeyRef):
            self.require_application(role, NameRef(name=ref.application))
        else:
            everywhere = self.access_now.everywhere >= role
            self.require(role, None if everywhere else application_id, f"the application of configuration {ref}")

    def require_listed(self, role: Role, ref: ApplicationRef | None) -> None:
        """Require the role for a list of one application or (None) of all in the caller's scope. A call that lasts
        ends when it loses the role for one of them.

        Raises PermissionDeniedError.
        """
        if ref is not None:
            self.require_application(role, ref)
            return
        match self.scope(role):
            case Everything():
                self.require_everywhere(role)
            case Only(ids=application_ids):
                for application_id in application_ids:
                    self.require(role, application_id, "what is listed")


class Guard:
    """Judges what is asked for by the ids of configurations too, which do not tell the application."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def require_configurations(self, caller: Caller, role: Role, refs: Iterable[ConfigurationRef]) -> None:
        """Raises PermissionDeniedError unless the caller has the role for the applications of all of them. A
        configuration that was deleted belongs to the application that it was in last.
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
