"""Admission: who calls, what the caller may do, and whether it calls too often."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from configsvc.access.caller import Caller
from configsvc.access.policy import AccessPolicy
from configsvc.domain.access import Authentication, Identity
from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import RateLimitedError
from configsvc.identity.authenticator import Authenticator
from configsvc.limits.quotas import Quotas
from configsvc.limits.slots import caller_slots

# Rate-limited calls wait this long before they are refused, up to this many at once.
DELAY_SECONDS = 0.2
DELAYED_CALLS = 5000


class Admission:
    """Admits calls: authenticates the caller, looks up its roles and counts the call against its quota."""

    def __init__(self, authenticator: Authenticator, policy: AccessPolicy, quotas: Quotas) -> None:
        self.authenticator = authenticator
        # Bound once: every call takes these.
        self._known = authenticator.known
        self._access_of = policy.access_of
        self._policy = policy
        self._quotas = quotas
        self._delayed = 0

    async def admit(self, credentials: Credentials, identified: Callable[[Identity], None]) -> Caller:
        """Return the caller. `identified` is called with its identity first, so that a refusal can be logged under it.

        Raises UnauthenticatedError, IdentityProviderUnavailableError, RateLimitedError, or DatabaseUnavailableError if
        roles may have changed unnoticed.
        """
        identity = self._known(credentials) or await self.authenticator.identify(credentials)
        identified(identity)
        access = self._access_of(identity)
        if identity.authentication is Authentication.NONE:
            return Caller(identity=identity, access=access)
        quota = self._quotas.of(identity.principal)
        try:
            quota.take_call()
        except RateLimitedError:
            await self._delay()
            raise
        self._policy.check_current()
        caller_slots.set(quota.slots)
        return Caller(identity=identity, access=access, quota=quota)

    async def _delay(self) -> None:
        """Delay a rate-limited call, so that a client that retries in a tight loop costs next to nothing."""
        if self._delayed < DELAYED_CALLS:
            self._delayed += 1
            try:
                await asyncio.sleep(DELAY_SECONDS)
            finally:
                self._delayed -= 1

    @contextmanager
    def revocable(self, caller: Caller) -> Generator[Caller]:
        """Yield the caller of a long call, which ends once the caller loses a role that it needs.

        See `AccessPolicy.revocable`.
        """
        with self._policy.revocable(caller.identity) as call:
            yield caller._replace(revocable=call)
