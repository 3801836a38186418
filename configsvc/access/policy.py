"""What everybody may do, as the feed last read it; and the streams that end when that changes."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from configsvc.domain.access import EVERYTHING, NOTHING, Access, Grant, Identity, Role
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.errors import (
    ConfigsvcError,
    DatabaseUnavailableError,
    PermissionDeniedError,
    UnauthenticatedError,
)

# What somebody may do is known to have been true so long ago at the most: the feed asks every 2 s at the least.
STALENESS_LIMIT_SECONDS = 5.0
# Callers come and go. A name of a group or an application takes at most 600 bytes, with the 12 KiB of claims that a
# token can carry; a caller counts as ten names by itself.
REMEMBERED_BYTES = 60_000_000
NAME_BYTES = 600
NAMES_OF_CALLER = 10


class Bindings:
    """The role bindings of the installation. Everything here belongs to one event loop.

    admins are principals that the operator made admins for all applications; None: everybody may do everything.
    """

    def __init__(self, admins: frozenset[str] | None) -> None:
        self._admins = admins
        self._grants: dict[str, tuple[Grant, ...]] = {}
        self._access: BoundedCache[Identity, Access] = BoundedCache(limit_bytes=REMEMBERED_BYTES, size_of=_memory_bytes)
        # Every call asks. Not `get`, which would hash the identity twice.
        self._known = self._access.peek
        self._standing: set[Standing] = set()
        self._confirmed = -math.inf

    def confirm(self, time_seconds: float) -> None:
        """They are all that there were at a time of the monotonic clock."""
        self._confirmed = time_seconds

    def check_current(self) -> None:
        """Raises DatabaseUnavailableError if they may have changed unnoticed."""
        if self._admins is not None and time.monotonic() - self._confirmed > STALENESS_LIMIT_SECONDS:
            raise DatabaseUnavailableError

    def access_of(self, identity: Identity) -> Access:
        """What somebody may do."""
        if self._admins is None:
            return EVERYTHING
        access = self._known(identity)
        if access is None:
            access = self._made_access(identity)
            self._access.put(identity, access)
        return access

    def _made_access(self, identity: Identity) -> Access:
        principals = identity.principals
        if self._admins and not self._admins.isdisjoint(principals):
            return EVERYTHING
        held = [grant for principal in principals for grant in self._grants.get(principal, ())]
        if not held:
            return NOTHING
        roles: dict[str, Role] = {}
        for grant in held:
            if grant.application_id is not None:
                roles[grant.application_id] = max(grant.role, roles.get(grant.application_id, Role.NONE))
        return Access(
            highest=max(grant.role for grant in held),
            everywhere=max((grant.role for grant in held if grant.application_id is None), default=Role.NONE),
            roles=roles,
            ids={
                grant.application: grant.application_id for grant in held if grant.application and grant.application_id
            },
        )

    async def replace(
        self,
        grants: Sequence[Grant],
        held_to_the_end: Callable[[Iterable[str]], Awaitable[Sequence[Grant]]],
    ) -> None:
        """From now on, these are all the role bindings; streams that needed others end, but for those whose
        applications were deleted before they lost their roles. held_to_the_end tells which were held then.
        """
        by_principal: defaultdict[str, list[Grant]] = defaultdict(list)
        for grant in grants:
            by_principal[grant.principal].append(grant)
        self._grants = {principal: tuple(held) for principal, held in by_principal.items()}
        self._access.clear()
        lost = [(standing, needed) for standing in self._standing for needed in standing.lost()]
        if lost:
            # The deletion of the application is yet to be told. Who lost the role before is not told what came between.
            try:
                held = await held_to_the_end({needed.application_id for _, needed in lost if needed.application_id})
            except DatabaseUnavailableError:
                # Whatever it was that took so long, they end: the others must not wait for it again and again.
                held = ()
            for standing, needed in lost:
                if standing.held(needed, held):
                    standing.forget(needed)
                else:
                    standing.end(PermissionDeniedError("the role that this stream was opened with is no longer held"))

    @contextmanager
    def standing(self, identity: Identity) -> Generator["Standing"]:
        """For a call that lasts, in its task: it ends with PermissionDeniedError as soon as what it needed is lost, or
        with UnauthenticatedError when its credentials expire.
        """
        standing = Standing(self, identity)
        self._standing.add(standing)
        try:
            with standing.watched():
                yield standing
        finally:
            self._standing.discard(standing)


def _memory_bytes(identity: Identity, access: Access) -> int:
    return NAME_BYTES * (NAMES_OF_CALLER + len(identity.groups) + len(access.roles) + len(access.ids))


class Need(NamedTuple):
    """A role that a call needs to go on, for an application; None: for all of them."""

    role: Role
    application_id: str | None


class Standing:
    """What a call that lasts needs to go on."""

    __slots__ = ("_bindings", "_error", "_identity", "_needs", "_task")

    def __init__(self, bindings: Bindings, identity: Identity) -> None:
        self._bindings = bindings
        self._identity = identity
        self._needs: set[Need] = set()
        self._error: ConfigsvcError | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def access(self) -> Access:
        """What the caller may do now."""
        return self._bindings.access_of(self._identity)

    def check_current(self) -> None:
        """Raises DatabaseUnavailableError if that may have changed unnoticed."""
        self._bindings.check_current()

    def need(self, role: Role, application_id: str | None) -> None:
        """It goes on as long as the role is held for the application; None: for all of them."""
        self._needs.add(Need(role, application_id))

    def forget(self, needed: Need) -> None:
        """It goes on without it."""
        self._needs.discard(needed)

    def lost(self) -> list[Need]:
        """What it needs and does not have any more."""
        access = self.access
        return [needed for needed in self._needs if not access.allows(*needed)]

    def held(self, needed: Need, grants: Iterable[Grant]) -> bool:
        """Whether the grants for single applications gave what it needs."""
        principals = self._identity.principals
        return any(
            grant.application_id == needed.application_id
            and grant.role >= needed.role
            and grant.principal in principals
            for grant in grants
        )

    def end(self, error: ConfigsvcError) -> None:
        """Ends the call with the error, whatever it waits for."""
        if self._error is None and self._task is not None:
            self._error = error
            self._task.cancel()

    @contextmanager
    def watched(self) -> Generator[None]:
        """The time in which it can be ended. The way of asyncio.timeout."""
        self._task = asyncio.current_task()
        assert self._task is not None
        cancelling = self._task.cancelling()
        timer = self._expiry()
        try:
            yield
        except asyncio.CancelledError as cancelled:
            if self._error is not None and self._task.uncancel() <= cancelling:
                raise self._error from cancelled
            raise
        finally:
            if timer:
                timer.cancel()
            self._task = None

    def _expiry(self) -> asyncio.TimerHandle | None:
        if self._identity.expires is None:
            return None
        loop = asyncio.get_running_loop()
        error = UnauthenticatedError("the credentials that this stream was opened with have expired")
        return loop.call_later(max(0.0, self._identity.expires - time.time()), self.end, error)
