"""Whether a caller may do what it asks for: judged before anything is looked up for it, so that what does not exist and
what is not the caller's look the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configsvc.bindings import Standing
from configsvc.domain.access import Access, Identity, Role
from configsvc.domain.errors import PermissionDeniedError
from configsvc.domain.models import ApplicationRef, ConfigurationRef, IdRef, NameRef, Origin
from configsvc.shares import Share
from configsvc.storage import role_bindings

if TYPE_CHECKING:
    from configsvc.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and what it may do at the moment. share is what it takes of this process, where callers are told
    apart; standing is set where the call lasts, origin where it may change something.
    """

    identity: Identity
    access: Access
    share: Share | None = None
    standing: Standing | None = None
    origin: Origin | None = None

    @property
    def actor(self) -> str:
        """The name under which its changes are recorded."""
        return self.identity.principal

    def require(self, role: Role, application_id: str | None, asked_for: str) -> None:
        """Raises PermissionDeniedError unless it has the role for the application (None: for all), by whatever name it
        asked for that. A call that lasts ends when it loses the role.
        """
        # That of a call that lasts may have changed since it was let in.
        access = self.standing.access if self.standing else self.access
        if not access.allows(role, application_id):
            raise PermissionDeniedError(f"the role {role.name.lower()} is needed for {asked_for}")
        if self.standing:
            self.standing.need(role, application_id)

    def require_everywhere(self, role: Role) -> None:
        """Raises PermissionDeniedError unless it has the role for all applications."""
        self.require(role, None, "all applications")

    def require_application(self, role: Role, ref: ApplicationRef) -> None:
        """Raises PermissionDeniedError unless it has the role for the application."""
        access = self.access
        application_id = None if access.everywhere >= role else access.application_id(ref)
        self.require(role, application_id, f"application {ref}")


class Guard:
    """Judges what is asked for by the id of a configuration, which does not tell the application."""

    def __init__(self, database: "Database") -> None:
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
            if isinstance(ref, IdRef):
                # Of one that does not exist, the empty string is the application that nobody has a role for.
                caller.require(role, applications.get(ref.id, ""), f"the application of configuration {ref}")
            else:
                caller.require_application(role, NameRef(name=ref.application))

    async def _applications_of(self, ids: Iterable[str]) -> dict[str, str]:
        ids = list(ids)
        if not ids:
            return {}
        async with self._database.read() as connection:
            return await role_bindings.applications_of(connection, ids)
