"""Changes that a reader has not taken yet."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from configsvc.client.errors import ConfigError
from configsvc.client.view import Change


class Mailbox:
    """The changes that one reader has not taken: at most one for each name, so that a slow reader costs little.

    Several changes of a name become one, from before the first to after the last.
    """

    def __init__(self, name: str | None, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: dict[str, Change] = {}
        self._is_over = False
        self._error: ConfigError | None = None

    def put(self, changes: Iterable[Change]) -> None:
        """Add changes, and wake the reader."""
        with self._lock:
            for change in changes:
                if self._name in {None, change.name}:
                    self._add(change)
        self._wake()

    def _add(self, change: Change) -> None:
        earlier = self._waiting.pop(change.name, None)
        joined = replace(change, before=earlier.before) if earlier else change
        if joined.before != joined.after:
            self._waiting[change.name] = joined

    def end(self, error: ConfigError | None) -> None:
        """Let the reader end once it has taken everything, with an error or without."""
        self._is_over, self._error = True, error
        self._wake()

    def take(self) -> Change | None:
        """Return the oldest change; None: there is none yet. Raises EndedError or the error at the end."""
        with self._lock:
            if self._waiting:
                return self._waiting.pop(next(iter(self._waiting)))
        if self._error:
            raise self._error
        if self._is_over:
            raise EndedError
        return None

    def forget_locks(self) -> None:
        """Take new locks in a forked child, where nobody releases those of the parent's other threads."""
        self._lock = threading.Lock()
        self._wake = lambda: None


class EndedError(Exception):
    """The client was closed."""
