"""Whom calls are let in for."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from configsvc.bindings import Bindings
from configsvc.domain.access import Authentication, Identity
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.feed import Feed
from configsvc.guard import Caller
from configsvc.rpc.authentication import Authenticator

# What somebody may do is known to have been true so long ago at the most: the feed asks every 2 s at the least.
STALENESS_LIMIT_SECONDS = 5.0


class Gate:
    """Who calls, and what that one may do."""

    def __init__(self, authenticator: Authenticator, bindings: Bindings, feed: Feed) -> None:
        self.known = authenticator.known
        self.identify = authenticator.identify
        self._bindings = bindings
        self._feed = feed

    def caller(self, identity: Identity) -> Caller:
        """The caller, with what it may do. Raises DatabaseUnavailableError if that may have changed unnoticed."""
        if identity.authentication is not Authentication.NONE and self._feed.lag_seconds > STALENESS_LIMIT_SECONDS:
            raise DatabaseUnavailableError
        return Caller(identity=identity, access=self._bindings.access_of(identity))

    @contextmanager
    def standing(self, caller: Caller) -> Generator[Caller]:
        """The caller for the time of a call that lasts, see `Bindings.standing`."""
        with self._bindings.standing(caller.identity) as standing:
            yield replace(caller, standing=standing)
