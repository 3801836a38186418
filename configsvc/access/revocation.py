"""Revocation: calls that last end as soon as their caller loses a role they need, or its credentials expire."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from configsvc.domain.access import Access, Grant, Identity, Role
from configsvc.domain.errors import (
    ConfigsvcError,
    DatabaseUnavailableError,
    PermissionDeniedError,
    UnauthenticatedError,
)


class Need(NamedTuple):
    """A role that a call needs to go on, for an application; None: for all of them."""

    role: Role
    application_id: str | None


class RevocableCall:
    """A call that lasts, with the roles it needs to go on."""

    __slots__ = ("_access_of", "_error", "_identity", "_needs", "_task", "check_current")

    def __init__(
        self, identity: Identity, access_of: Callable[[Identity], Access], check_current: Callable[[], None]
    ) -> None:
        self.check_current = check_current
        self._access_of = access_of
        self._identity = identity
        self._needs: set[Need] = set()
        self._error: ConfigsvcError | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def access(self) -> Access:
        """The caller's present access."""
        return self._access_of(self._identity)

    def need(self, role: Role, application_id: str | None) -> None:
        """End the call once the caller no longer has the role for the application; None: for all of them."""
        self._needs.add(Need(role, application_id))

    def drop(self, need: Need) -> None:
        """Let the call go on without it."""
        self._needs.discard(need)

    def lost_needs(self) -> list[Need]:
        """Return the needs that the caller's present access does not meet."""
        access = self.access
        return [need for need in self._needs if not access.allows(*need)]

    def is_met(self, need: Need, grants: Iterable[Grant]) -> bool:
        """Return whether grants for single applications meet the need."""
        principals = self._identity.principals
        return any(
            grant.application_id == need.application_id and grant.role >= need.role and grant.principal in principals
            for grant in grants
        )

    def end(self, error: ConfigsvcError) -> None:
        """End the call with the error, whatever it is waiting for."""
        if self._error is None and self._task is not None:
            self._error = error
            self._task.cancel()

    @contextmanager
    def in_task(self) -> Generator[None]:
        """Let the call be ended while it runs in the current task, as `asyncio.timeout` does."""
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


# Returns the grants that deleted applications had when they were deleted, by their ids.
GrantsAtDeletion = Callable[[Iterable[str]], Awaitable[Sequence[Grant]]]


async def end_revoked(calls: Iterable[RevocableCall], grants_at_deletion: GrantsAtDeletion) -> None:
    """End the calls whose callers lost a role they need, unless they lost it with the application itself."""
    lost = [(call, need) for call in calls for need in call.lost_needs()]
    if not lost:
        return
    # A caller that had the role until the application was deleted is still to be told of the deletion. One that lost
    # it earlier must not see what was written in between.
    try:
        grants = await grants_at_deletion({need.application_id for _, need in lost if need.application_id})
    except DatabaseUnavailableError:
        # End them all: the others must not wait for this query again and again.
        grants = ()
    for call, need in lost:
        if call.is_met(need, grants):
            call.drop(need)
        else:
            call.end(PermissionDeniedError("the caller no longer has the role that this stream requires"))
