"""Clients in forked processes, where gRPC does not work: in a child, streams of the parent and new ones are silent."""

import os
import weakref

from configsvc.client.errors import ConfigError
from configsvc.client.store import Store


class Forks:
    """The stores that are followed in this process. A child keeps what they hold, as stale."""

    def __init__(self) -> None:
        self._followed: weakref.WeakSet[Store] = weakref.WeakSet()
        self._is_registered = False
        self._is_silent = False

    def begin(self, store: Store) -> None:
        """Note that a store is followed from now on. Raises ConfigError in a child where nothing would arrive."""
        if self._is_silent:
            raise ConfigError(
                "this process was forked from one in which a client had been started, so nothing would arrive: "
                "start clients after the fork only"
            )
        if not self._is_registered:
            os.register_at_fork(after_in_child=self._mark)
            self._is_registered = True
        self._followed.add(store)

    def end(self, store: Store) -> None:
        """Note that a store is no longer followed."""
        self._followed.discard(store)

    def _mark(self) -> None:
        # Also if all were closed: threads of gRPC outlive its channels by a moment, and a child without them can hang.
        self._is_silent = True
        for store in list(self._followed):
            store.mark_forked()


# One for the process, as forks are.
FORKS = Forks()
