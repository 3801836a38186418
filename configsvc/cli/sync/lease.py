"""The lease of a source: of several agents, one works. A thread extends it."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from configsvc.cli import pb
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.session import Session
from configsvc.cli.sync.state import SourceId

# Another agent takes over after this time at the latest, and its own interval.
LEASE_SECONDS = 60.0
# Within its time, so that a few may fail.
EXTENSIONS = 6
# At the end, which must not take long: the lease ends by itself.
RELEASE_SECONDS = 5.0


class LeaseLostError(CliError):
    """The end of work because another agent may have begun."""


def new_holder() -> str:
    """Return a name for this agent, which no other one has."""
    name = os.environ.get("CONFIGSVC_INSTANCE") or socket.gethostname()
    return f"{name[:200]}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """The lease of a source for one holder. What it guards is checked before each step: see `check`."""

    def __init__(
        self, sessions: Callable[[], Session], source: SourceId, holder: str, seconds: float = LEASE_SECONDS
    ) -> None:
        self.holder = holder
        self._sessions = sessions
        self._source = source
        self._seconds = seconds
        self._until = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._extend, name="configsvc-lease", daemon=True)

    @property
    def held(self) -> bool:
        """True while no other agent can have the lease."""
        return time.monotonic() < self._until

    def check(self) -> None:
        """Raise LeaseLostError unless the lease is held."""
        if not self.held:
            raise LeaseLostError("the lease was lost: another agent may have begun", ExitCode.UNAVAILABLE)

    def acquire(self, session: Session) -> str:
        """Acquire the lease, or extend it. Return its holder. Raises CliError."""
        request = pb.AcquireSourceLeaseRequest(
            repository=self._source.repository, path=self._source.path, holder=self.holder
        )
        request.duration.FromMilliseconds(round(1000 * self._seconds))
        with self._lock:
            began = time.monotonic()
            calls = session.connection
            answer = calls.call(calls.sources.AcquireSourceLease, request, self._seconds / 3)
            # The clock of the service began later.
            self._until = began + self._seconds if answer.acquired else 0.0
        return answer.holder

    def start(self) -> None:
        """Begin to extend the lease while it is held."""
        self._thread.start()

    def _extend(self) -> None:
        session = self._sessions()
        while not self._ended.wait(self._seconds / EXTENSIONS):
            if self.held:
                # Whatever fails: the lease ends by itself if that goes on.
                with suppress(Exception):
                    self.acquire(session)
            # A new connection has a new token, and goes to a server that is there.
            session.reconnect()

    def release(self) -> None:
        """Let another agent begin at once, if the service can be reached. The lease is not acquired again."""
        self._ended.set()
        if self._thread.ident is not None:
            # It may have extended the lease just now.
            self._thread.join(RELEASE_SECONDS)
        if not self.held:
            return
        self._until = 0.0
        session = self._sessions()
        request = pb.ReleaseSourceLeaseRequest(
            repository=self._source.repository, path=self._source.path, holder=self.holder
        )
        with suppress(CliError):
            calls = session.connection
            calls.call(calls.sources.ReleaseSourceLease, request, RELEASE_SECONDS)
        session.close()
