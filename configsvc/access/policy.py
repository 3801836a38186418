"""The access policy: every caller's access, from the role bindings as the feed last read them."""

import math
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from configsvc.access.revocation import GrantsAtDeletion, RevocableCall, end_revoked
from configsvc.domain.access import EVERYTHING, NOTHING, Access, Grant, Identity, Role
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.commits import CommitPart
from configsvc.feed.observers import FeedObserver
from configsvc.storage.database import away
from configsvc.storage.listener import Listener

# The policy must have been confirmed within this time; the feed does so at least every 2 s.
STALENESS_LIMIT_SECONDS = 5.0
# Callers come and go. A name of a group or an application takes at most 600 bytes, with the 12 KiB of claims that a
# token can carry; a caller counts as ten names by itself.
REMEMBERED_BYTES = 60_000_000
NAME_BYTES = 600
NAMES_OF_CALLER = 10


class AccessPolicy(FeedObserver):
    """The role bindings of the installation. Belongs to one event loop.

    admins: principals that the operator made admins for all applications; None: no access control.
    """

    def __init__(self, admins: frozenset[str] | None) -> None:
        self._admins = admins
        self._grants: dict[str, tuple[Grant, ...]] = {}
        self._access: BoundedCache[Identity, Access] = BoundedCache(limit_bytes=REMEMBERED_BYTES, size_of=_memory_bytes)
        # Every call asks. Not `get`, which would hash the identity twice.
        self._known = self._access.peek
        self._calls: set[RevocableCall] = set()
        self._confirmed = -math.inf

    async def refresh(self, listener: Listener) -> None:
        """Read all role bindings again. Raises DatabaseUnavailableError."""
        await self.replace(await listener.grants(), listener.grants_at_deletion)

    async def before_waking(self, parts: Sequence[CommitPart], listener: Listener) -> None:
        """Read the role bindings again before anybody sees what was committed after a change of them.

        Raises DatabaseUnavailableError.
        """
        if any(part.concerns_access for part in parts):
            await self.refresh(listener)

    def confirm(self, time_seconds: float) -> None:
        """Note that the role bindings were complete at this time of the monotonic clock."""
        self._confirmed = time_seconds

    def check_current(self) -> None:
        """Raise DatabaseUnavailableError if role bindings may have changed unnoticed."""
        if self._admins is not None and time.monotonic() - self._confirmed > STALENESS_LIMIT_SECONDS:
            raise away()

    def access_of(self, identity: Identity) -> Access:
        """Return the access of a caller."""
        if self._admins is None:
            return EVERYTHING
        access = self._known(identity)
        if access is None:
            access = self._computed_access(identity)
            self._access.put(identity, access)
        return access

    def _computed_access(self, identity: Identity) -> Access:
        principals = identity.principals
        if self._admins and not self._admins.isdisjoint(principals):
            return EVERYTHING
        grants = [grant for principal in principals for grant in self._grants.get(principal, ())]
        if not grants:
            return NOTHING
        roles: dict[str, Role] = {}
        for grant in grants:
            if grant.application_id is not None:
                roles[grant.application_id] = max(grant.role, roles.get(grant.application_id, Role.NONE))
        return Access(
            highest=max(grant.role for grant in grants),
            everywhere=max((grant.role for grant in grants if grant.application_id is None), default=Role.NONE),
            roles=roles,
            ids={
                grant.application: grant.application_id
                for grant in grants
                if grant.application and grant.application_id
            },
        )

    async def replace(self, grants: Sequence[Grant], grants_at_deletion: GrantsAtDeletion) -> None:
        """Replace all role bindings, and end the calls whose callers lost a role they need: see `end_revoked`."""
        by_principal: defaultdict[str, list[Grant]] = defaultdict(list)
        for grant in grants:
            by_principal[grant.principal].append(grant)
        self._grants = {principal: tuple(own) for principal, own in by_principal.items()}
        self._access.clear()
        await end_revoked(self._calls, grants_at_deletion)

    @contextmanager
    def revocable(self, identity: Identity) -> Generator[RevocableCall]:
        """Yield a revocable call for the current task.

        It ends with PermissionDeniedError once the caller loses a role it needs, or with UnauthenticatedError when the
        credentials expire.
        """
        call = RevocableCall(identity, self.access_of, self.check_current)
        self._calls.add(call)
        try:
            with call.in_task():
                yield call
        finally:
            self._calls.discard(call)


def _memory_bytes(identity: Identity, access: Access) -> int:
    return NAME_BYTES * (NAMES_OF_CALLER + len(identity.groups) + len(access.roles) + len(access.ids))
