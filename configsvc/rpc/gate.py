"""Whom calls are let in for."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from configsvc.access.caller import Caller
from configsvc.access.policy import Bindings
from configsvc.domain.access import Authentication, Identity
from configsvc.limits.quotas import Quotas
from configsvc.limits.slots import caller_slots
from configsvc.rpc.authentication import Authenticator

# How long calls that come too often are held before they are refused, and how many of them.
HOLD_SECONDS = 0.2
HELD_CALLS = 5000


class Gate:
    """Who calls, and what that one may do."""

    def __init__(self, authenticator: Authenticator, bindings: Bindings, quotas: Quotas) -> None:
        self.known = authenticator.known
        self.identify = authenticator.identify
        self._bindings = bindings
        self._quotas = quotas
        self._held = 0

    def caller(self, identity: Identity) -> Caller:
        """The caller, with what it may do and what it takes.

        Raises RateLimitedError, or DatabaseUnavailableError if what it may do may have changed unnoticed.
        """
        access = self._bindings.access_of(identity)
        if identity.authentication is Authentication.NONE:
            return Caller(identity=identity, access=access)
        quota = self._quotas.of(identity.principal)
        quota.take_call()
        self._bindings.check_current()
        caller_slots.set(quota.slots)
        return Caller(identity=identity, access=access, quota=quota)

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
    def standing(self, caller: Caller) -> Generator[Caller]:
        """The caller for the time of a call that lasts, which ends when the caller loses what it needed: see
        `Bindings.standing`.
        """
        with self._bindings.standing(caller.identity) as standing:
            yield replace(caller, standing=standing)
