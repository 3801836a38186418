"""Whom calls are let in for."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from configsvc.access.caller import Caller
from configsvc.access.policy import AccessPolicy
from configsvc.domain.access import Authentication, Identity
from configsvc.limits.quotas import Shares
from configsvc.rpc.authentication import Authenticator
from configsvc.storage.database import connection_share

# How long calls that come too often are held before they are refused, and how many of them.
HOLD_SECONDS = 0.2
HELD_CALLS = 5000


class Gate:
    """Who calls, and what that one may do."""

    def __init__(self, authenticator: Authenticator, policy: AccessPolicy, shares: Shares) -> None:
        self.known = authenticator.known
        self.identify = authenticator.identify
        self._policy = policy
        self._shares = shares
        self._held = 0

    def caller(self, identity: Identity) -> Caller:
        """The caller, with what it may do and what it takes.

        Raises RateLimitedError, or DatabaseUnavailableError if what it may do may have changed unnoticed.
        """
        access = self._policy.access_of(identity)
        if identity.authentication is Authentication.NONE:
            return Caller(identity=identity, access=access)
        share = self._shares.of(identity.principal)
        share.take_call()
        self._policy.check_current()
        connection_share.set(share.connections)
        return Caller(identity=identity, access=access, share=share)

    async def slow_down(self) -> None:
        """Keeps a caller waiting that calls too often: one that calls again as soon as it has an answer, as most do
        that have lost control, then costs next to nothing.
        """
        if self._held < HELD_CALLS:
            self._held += 1
            try:
                await asyncio.sleep(HOLD_SECONDS)
            finally:
                self._held -= 1

    @contextmanager
    def revocable(self, caller: Caller) -> Generator[Caller]:
        """The caller for the time of a call that lasts, which ends when the caller loses what it needed: see
        `AccessPolicy.revocable`.
        """
        with self._policy.revocable(caller.identity) as call:
            yield replace(caller, revocable=call)
