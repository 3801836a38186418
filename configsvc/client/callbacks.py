"""Functions of the program that are called for changes, each in a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from configsvc.client.errors import ConfigError
from configsvc.client.mailbox import EndedError, Mailbox
from configsvc.client.store import Store
from configsvc.client.view import Change

_POLL_SECONDS = 0.01

log = logging.getLogger("configsvc.client")


class WaitingChanges(Iterator[Change]):
    """Changes as they come, for a thread that waits for them. It ends when the client is closed."""

    def __init__(self, store: Store, name: str | None) -> None:
        self._arrived = threading.Event()
        self._mailbox = Mailbox(name, self._arrived.set)
        store.attach(self._mailbox)

    def __next__(self) -> Change:
        """Wait for a change. Raises StoppedError if the client has stopped."""
        while True:
            try:
                if change := self._mailbox.take():
                    return change
            except EndedError:
                raise StopIteration from None
            self._arrived.wait()
            self._arrived.clear()

    def end(self) -> None:
        """Let the iteration end, once everything was taken."""
        self._mailbox.end(None)


class Callbacks:
    """The threads that call functions of the program: one that blocks or fails stops nobody else."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: list[tuple[threading.Thread, WaitingChanges]] = []
        self._added: list[tuple[Callable[[Change], object], str | None]] = []

    def add(self, callback: Callable[[Change], object], name: str | None) -> None:
        """Call the function for each change from now on."""
        # In this order: in a forked child, the first can be the beginning, which starts all that were added.
        self._run(callback, name)
        self._added.append((callback, name))

    def begin_anew(self) -> None:
        """Start the threads in a forked child, which has not inherited them."""
        self._running = []
        for callback, name in self._added:
            self._run(callback, name)

    def _run(self, callback: Callable[[Change], object], name: str | None) -> None:
        changes = WaitingChanges(self._store, name)
        # A daemon: a function that never returns must not keep the program from ending.
        thread = threading.Thread(
            target=_call_for_each, args=(callback, changes), daemon=True, name=f"configsvc: {callback!r}"
        )
        self._running.append((thread, changes))
        thread.start()

    def end(self) -> None:
        """Let the threads end."""
        for _, changes in self._running:
            changes.end()

    def waits(self, limit_seconds: float) -> Iterator[float]:
        """Yield pauses until the threads have ended, or the time is over."""
        until = time.monotonic() + limit_seconds
        while running := self._alive():
            if time.monotonic() > until:
                log.warning("still running after %g s: %s", limit_seconds, ", ".join(running))
                return
            yield _POLL_SECONDS

    def _alive(self) -> list[str]:
        """Return the names of the threads that have not ended, this one aside."""
        here = threading.current_thread()
        return [thread.name for thread, _ in self._running if thread.is_alive() and thread is not here]


def _call_for_each(callback: Callable[[Change], object], changes: WaitingChanges) -> None:
    # When the client has stopped, its log and status say why.
    with suppress(ConfigError):
        for change in changes:
            _call(callback, change)


def _call(callback: Callable[[Change], object], change: Change) -> None:
    try:
        callback(change)
    except BaseException:  # also sys.exit(), which would end this thread alone, and silently
        log.exception("a callback failed for a change of %s", change.name)
