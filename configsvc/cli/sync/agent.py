"""The agent: rounds that make the service what the newest commit of a branch says. It keeps nothing but its clone."""

import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from configsvc.cli import pb
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.session import Session
from configsvc.cli.sync.agent_log import log
from configsvc.cli.sync.agent_status import AgentStatus, FailureKind, Outcome
from configsvc.cli.sync.applying import Result
from configsvc.cli.sync.clone import Clone
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.git import Git, GitError, StoppedError
from configsvc.cli.sync.lease import Lease, LeaseLostError
from configsvc.cli.sync.plans import Kind, OnDrift, PlanOptions

# The session, the folder of the tree, its commit, the options, and a check before each step that changes something.
Apply = Callable[[Session, Path, Commit, PlanOptions, Callable[[], None]], Result]

# After a first failure; later ones wait longer, up to the interval, or a minute if that is longer.
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 60.0
# Ownership has no revision, so a look at everything is due even if nothing seems to have changed.
LOOK_AGAIN_SECONDS = 600.0
MAX_DETAILS = 20

# Of errors after which a new plan may succeed.
_RACES = frozenset(
    {
        *("VERSION_MISMATCH", "PRECONDITION_FAILED", "WRITE_CONFLICT", "EPOCH_CHANGED", "REVISION_COMPACTED"),
        *("RESOURCE_EXISTS", "RESOURCE_NOT_FOUND", "REQUEST_ID_REUSED"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of an agent. `sessions` returns a new session, which reads the token anew."""

    sessions: Callable[[], Session]
    git: Git
    clone: Clone
    lease: Lease
    status: AgentStatus
    apply: Apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The state that a round ended with: while it is the same, there is nothing to do."""

    commit: str
    epoch: str
    revision: int


class Agent:
    """Rounds until it is stopped."""

    def __init__(self, parts: Parts, options: PlanOptions, interval_seconds: float) -> None:
        self._parts = parts
        self._options = options
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._seen: Seen | None = None
        self._seen_outcome = Outcome.UNCHANGED
        self._look_again = 0.0
        # What the log has said already.
        self._reported_commit = ""
        self._failure = ""
        self._drift: tuple[str, ...] = ()
        self._holder = ""
        self._refusal: tuple[Commit, CliError] | None = None

    def stop(self) -> None:
        """End after the present step. Safe in a signal handler, and from other threads."""
        self._stopping.set()
        self._parts.git.stop()

    @property
    def status(self) -> AgentStatus:
        """The counts of its rounds."""
        return self._parts.status

    @property
    def stopping(self) -> bool:
        """True if it is to end."""
        return self._stopping.is_set()

    def run(self) -> None:
        """Work until it is stopped."""
        failures = 0
        self._parts.lease.start()
        try:
            while not self._stopping.is_set():
                failures = failures + 1 if self._counted_round() is Outcome.FAILED else 0
                self._stopping.wait(self._delay(failures))
        finally:
            self._parts.lease.release()

    def run_once(self) -> None:
        """Work for a round. Raises CliError, also if another agent has the lease."""
        self._parts.lease.start()
        try:
            if self._round() is Outcome.STANDBY:
                raise CliError(f"another agent has the lease: {self._holder}", ExitCode.CONFLICT)
            if self._refusal is not None:
                raise self._refusal[1]
        finally:
            self._parts.lease.release()

    def _delay(self, failures: int) -> float:
        if failures == 0:
            return self._interval_seconds * random.uniform(0.9, 1.1)  # noqa: S311
        first = min(FIRST_DELAY_SECONDS, self._interval_seconds)
        longest = max(LONGEST_DELAY_SECONDS, self._interval_seconds)
        return min(first * 2 ** min(failures - 1, 16), longest) * random.uniform(0.75, 1.25)  # noqa: S311

    # A round

    def _counted_round(self) -> Outcome:
        began = time.monotonic()
        failure = ""
        try:
            outcome = self._round()
            self._say_recovered()
            if outcome is Outcome.REFUSED and self._refusal is not None:
                failure = self._reported(*self._refusal)
        except CliError as error:
            if self.stopping:
                return Outcome.UNCHANGED
            failure = error.text
            outcome = self._failed(kind_of(error), error)
        except Exception as error:  # noqa: BLE001  # it goes on
            failure = f"{type(error).__name__}: {error}"
            outcome = self._failed(
                FailureKind.INTERNAL, CliError(failure, details=traceback.format_exc().splitlines()[-MAX_DETAILS:])
            )
        self._parts.status.end_round(outcome, time.monotonic() - began, failure)
        return outcome

    def _round(self) -> Outcome:
        """Do what the newest commit says. Raises CliError, but for a commit that is refused, which is reported once."""
        session = self._parts.sessions()
        try:
            self._holder = self._parts.lease.acquire(session)
            if self._holder != self._parts.lease.holder:
                return Outcome.STANDBY
            commit = self._parts.clone.fetch()
            seen = _look(session, commit)
            if seen is not None and seen == self._seen and time.monotonic() < self._look_again:
                return self._seen_outcome
            outcome = self._applied(session, commit)
        finally:
            session.close()
        # After a change, another look costs little, and finds what others did meanwhile.
        self._seen = seen if outcome is not Outcome.APPLIED else None
        self._seen_outcome = outcome
        self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
        return outcome

    def _applied(self, session: Session, commit: Commit) -> Outcome:
        try:
            with self._parts.clone.tree(commit) as folder:
                result = self._parts.apply(session, folder, commit, self._options, self._check_goes_on)
        except CliError as error:
            if kind_of(error) is not FailureKind.COMMIT:
                raise
            self._parts.status.fail(FailureKind.COMMIT)
            self._refusal = (commit, error)
            return Outcome.REFUSED
        self._refusal = None
        self._reported_commit = ""
        self._succeed(commit, result)
        return Outcome.APPLIED if result.changed else Outcome.UNCHANGED

    def _check_goes_on(self) -> None:
        """Raise CliError if nothing more may be changed."""
        if self.stopping:
            raise StoppedError("stopped")
        self._parts.lease.check()

    # Reports

    def _succeed(self, commit: Commit, result: Result) -> None:
        plan = result.plan
        if result.changed:
            counts = {f"{kind}d": plan.count(kind) for kind in Kind if plan.count(kind)}
            schemas = len(plan.schemas) or None
            log("info", "commit applied", **_named(commit), revision=result.revision, schemas=schemas, **counts)
        drift = tuple(f"{one.application}/{one.name} was {one.text}" for one in plan.drifts)
        reverted = self._options.on_drift is OnDrift.REVERT
        if drift and drift != self._drift:
            event = "drift reverted" if reverted else "drift left"
            log("warning", event, **_named(commit), details=list(drift[:MAX_DETAILS]))
        self._drift = drift
        self._parts.status.applied(commit, 0 if reverted else len(drift))

    def _reported(self, commit: Commit, error: CliError) -> str:
        if self._reported_commit != commit.commit:
            self._reported_commit = commit.commit
            log("error", "commit refused", **_named(commit), **_explained(error))
        return error.text

    def _failed(self, kind: FailureKind, error: CliError) -> Outcome:
        self._parts.status.fail(kind)
        if self._failure != f"{kind} {error.text}":
            self._failure = f"{kind} {error.text}"
            log(
                "warning" if kind is not FailureKind.INTERNAL else "error",
                "round failed",
                kind=kind,
                **_explained(error),
            )
        return Outcome.FAILED

    def _say_recovered(self) -> None:
        if self._failure:
            self._failure = ""
            log("info", "working again")


def kind_of(error: CliError) -> FailureKind:
    """Return the kind of a failure: it decides whether the commit is at fault."""
    match error:
        case LeaseLostError():
            return FailureKind.LEASE
        case GitError():
            return FailureKind.GIT
        case CliError(reason=reason) if reason in _RACES:
            return FailureKind.CONFLICT
        case CliError(code=ExitCode.NOT_PERMITTED | ExitCode.USAGE):
            return FailureKind.SETUP
        case CliError(code=ExitCode.UNAVAILABLE) | CliError(code=ExitCode.ERROR, reason="" | "INTERNAL"):
            return FailureKind.SERVICE
        case _:
            return FailureKind.COMMIT


def _look(session: Session, commit: Commit) -> Seen | None:
    """Return the state of the service; None if its head is unknown."""
    calls = session.connection
    found = calls.call(calls.server.GetServerStatus, pb.GetServerStatusRequest())
    if not found.head_revision:
        return None
    return Seen(commit=commit.commit, epoch=found.epoch, revision=found.head_revision)


def _named(commit: Commit) -> dict[str, object]:
    return {"commit": commit.commit, "author": commit.author, "subject": commit.subject}


def _explained(error: CliError) -> dict[str, object]:
    more = [f"and {len(error.details) - MAX_DETAILS} more"] if len(error.details) > MAX_DETAILS else []
    details = error.details[:MAX_DETAILS] + more
    return {"error": error.text, "reason": error.reason, "details": details, "hint": error.hint}
