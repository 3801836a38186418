"""Clients in forked processes, where gRPC does not work: in a child, streams of the parent and new ones are silent."""

import os
import weakref

from configsvc.client.errors import ConfigError
from configsvc.client.store import Store


class Forks:
    """The stores that are followed in this process. A child follows them again over HTTP, or keeps what they hold."""

    def __init__(self) -> None:
        # In this process, nothing arrives over gRPC.
        self.is_without_grpc = False
        self._has_used_grpc = False
        self._followed: weakref.WeakSet[Store] = weakref.WeakSet()
        self._is_registered = False

    def begin(self, store: Store, *, over_grpc: bool, over_http: bool) -> None:
        """Note that a store is followed from now on. Raises ConfigError in a child where nothing would arrive."""
        if self.is_without_grpc and not over_http:
            raise ConfigError(
                "this process was forked from one in which a client had been started, so nothing would arrive over "
                "gRPC: set http_address, or start clients after the fork only"
            )
        if not self._is_registered:
            os.register_at_fork(after_in_child=self._mark)
            self._is_registered = True
        self._has_used_grpc = self._has_used_grpc or over_grpc
        self._followed.add(store)

    def end(self, store: Store) -> None:
        """Note that a store is no longer followed."""
        self._followed.discard(store)

    def _mark(self) -> None:
        # Also if all were closed: threads of gRPC outlive its channels by a moment, and a child without them can hang.
        self.is_without_grpc = self._has_used_grpc
        for store in list(self._followed):
            store.mark_forked()


# One for the process, as forks are.
FORKS = Forks()
