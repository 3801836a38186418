"""The rules of `configsvc exec`: when a program is told of changes, and how it is stopped and started again."""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from threading import Lock

from configsvc.cli.failures import CliError
from configsvc.cli.following import Events, talk
from configsvc.cli.programs import Program
from configsvc.cli.signals import ENDING, Arrived
from configsvc.cli.tools import OnChange

# A program that is restarted again within this time has to wait, longer each time, up to the second.
STEADY_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 60.0
# Changes that never pause are acted upon after so many quiet periods.
MOST_QUIET_PERIODS = 10
# After a file could not be written.
RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The options of a supervisor."""

    on_change: OnChange
    signal: int
    stop_seconds: float
    quiet_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a program runs with: the variables, and a function that writes its file."""

    variables: Mapping[bytes, bytes]
    file_text: str
    versions: Mapping[str, int] = field(compare=False)
    write: Callable[[], None] = field(compare=False)

    def changed_since(self, other: "Prepared") -> str:
        """Return the keys of other versions."""
        return ", ".join(key for key, version in self.versions.items() if other.versions.get(key) != version)


def pause_seconds(restarts: int, quiet_seconds: float) -> float:
    """Return the time that a program runs at least before it is restarted again, after so many quick restarts."""
    # Bounded, as a power of two is not.
    return min(quiet_seconds * 2.0 ** min(restarts, 20), LONGEST_PAUSE_SECONDS) if restarts else 0.0


class Supervisor:
    """Runs one program until it ends. What it runs with comes from a function, which is asked again after events."""

    def __init__(
        self, program: Program, rules: Rules, events: Events, *, prepare: Callable[[], Prepared], waited_for: Lock
    ) -> None:
        self._program = program
        self._rules = rules
        self._events = events
        self._prepare = prepare
        self._waited_for = waited_for
        self._running = prepare()
        # What it is to run with, once that has been the same for the quiet period.
        self._next: Prepared | None = None
        self._changed_at = 0.0
        self._due_at: float | None = None
        self._fault = ""
        # Somebody else ends the program: changes no longer matter.
        self._is_ending = False
        self._is_stopping = False
        self._kill_at: float | None = None
        self._started_at = 0.0
        self._restarts = 0

    def run(self) -> int:
        """Run the program, and return its exit code. Raises CliError or StartError."""
        self._running.write()
        self._start()
        while True:
            event = self._next_event()
            if isinstance(event, Arrived):
                self._pass_on(event)
            if self._program.has_ended():
                code = self._end()
                if not self._is_to_restart:
                    return code
                self._start_again()
            self._program.reap_orphans(self._waited_for)
            if not self._is_stopping and not self._is_ending:
                self._look_for_changes()
            self._act_when_due()

    def _start(self) -> None:
        self._program.start(self._running.variables)
        self._started_at = time.monotonic()

    def _next_event(self) -> object:
        deadlines = [at for at in (self._kill_at, self._due_at) if at is not None]
        seconds = max(min(deadlines) - time.monotonic(), 0.0) if deadlines else None
        with suppress(Empty):
            return self._events.get(timeout=seconds)
        return None

    def _pass_on(self, event: Arrived) -> None:
        if event.number == signal.SIGCHLD:
            return
        if event.number in ENDING:
            self._is_ending, self._next, self._due_at = True, None, None
        # The terminal has sent it to the program, too.
        if self._program.has_own_group or not event.is_of_terminal:
            self._program.send(event.number)

    def _end(self) -> int:
        if self._is_stopping:
            # What it has left behind.
            self._program.kill()
        return self._program.take()

    @property
    def _is_to_restart(self) -> bool:
        return self._is_stopping and not self._is_ending and self._rules.on_change is OnChange.RESTART

    def _start_again(self) -> None:
        # More may have changed meanwhile.
        prepared = self._prepared()
        if prepared is not None and prepared != self._running and self._has_written(prepared):
            self._running = prepared
        self._is_stopping, self._kill_at = False, None
        self._start()

    def _prepared(self) -> Prepared | None:
        """Return what the program should run with; None if that is impossible, which is said once."""
        try:
            prepared = self._prepare()
        except CliError as error:
            text = "; ".join([str(error), *error.details])
            if text != self._fault:
                talk(f"the program keeps what it has: {text}")
            self._fault = text
            return None
        self._fault = ""
        return prepared

    def _look_for_changes(self) -> None:
        prepared = self._prepared()
        if prepared is None or prepared == self._running:
            self._next, self._due_at = None, None
        elif prepared != self._next:
            now = time.monotonic()
            if self._next is None:
                self._changed_at = now
            self._next = prepared
            quiet = self._rules.quiet_seconds
            self._due_at = max(min(now + quiet, self._changed_at + MOST_QUIET_PERIODS * quiet), self._earliest())

    def _earliest(self) -> float:
        """Return the time before which the program is not restarted."""
        if self._rules.on_change is not OnChange.RESTART:
            return 0.0
        return self._started_at + pause_seconds(self._restarts, self._rules.quiet_seconds)

    def _act_when_due(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            talk(f"{self._program.name} has not ended within {self._rules.stop_seconds:g} s: killing it")
            self._program.kill()
        if self._next is not None and self._due_at is not None and now >= self._due_at:
            if self._has_written(self._next):
                what, self._running = self._next.changed_since(self._running), self._next
                self._next, self._due_at = None, None
                self._act(what)
            else:
                self._due_at = now + RETRY_SECONDS

    def _has_written(self, prepared: Prepared) -> bool:
        try:
            prepared.write()
        except CliError as error:
            talk(f"the program keeps what it has: {error}")
            return False
        return True

    def _act(self, what: str) -> None:
        match self._rules.on_change:
            case OnChange.SIGNAL:
                talk(f"{what} changed: sending {signal.Signals(self._rules.signal).name}")
                self._program.send(self._rules.signal)
            case OnChange.RESTART:
                talk(f"{what} changed: restarting {self._program.name}")
                has_been_steady = time.monotonic() - self._started_at > STEADY_SECONDS
                self._restarts = 1 if has_been_steady else self._restarts + 1
                self._stop()
            case OnChange.EXIT:
                talk(f"{what} changed: ending {self._program.name}")
                self._stop()
            case OnChange.IGNORE:
                pass

    def _stop(self) -> None:
        self._is_stopping, self._kill_at = True, time.monotonic() + self._rules.stop_seconds
        self._program.send(signal.SIGTERM)
