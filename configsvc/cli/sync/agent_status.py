"""The state of an agent: its health, and its metrics in the text format of Prometheus."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from configsvc.cli.sync.commit import Commit

# Intervals without a good round, and seconds at least, after which an agent is unhealthy.
UNHEALTHY_INTERVALS = 3
UNHEALTHY_SECONDS = 300.0


class Outcome(StrEnum):
    """The ends of a round."""

    # Something was changed.
    APPLIED = "applied"
    # The service is what the commit says.
    UNCHANGED = "unchanged"
    # Another agent has the lease.
    STANDBY = "standby"
    # The commit cannot be applied. It takes another commit, or a person.
    REFUSED = "refused"
    # Git or the service is away, or the like. The next round may succeed.
    FAILED = "failed"


class FailureKind(StrEnum):
    """The kinds of failures."""

    GIT = "git"
    SERVICE = "service"
    # Credentials, roles or options of the agent are wrong.
    SETUP = "setup"
    # Somebody else wrote at the same time.
    CONFLICT = "conflict"
    LEASE = "lease"
    # Faults of files, drift, too many deletions.
    COMMIT = "commit"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of an agent."""

    name: str
    kind: str
    text: str


METRICS = (
    Metric(name="configsvc_sync_rounds_total", kind="counter", text="Rounds, by outcome."),
    Metric(name="configsvc_sync_failures_total", kind="counter", text="Failures of rounds, by kind."),
    Metric(name="configsvc_sync_round_seconds", kind="summary", text="Time that rounds took."),
    Metric(name="configsvc_sync_commit_info", kind="gauge", text="The commit that was applied last."),
    Metric(name="configsvc_sync_last_success_timestamp_seconds", kind="gauge", text="End of the last good round."),
    Metric(name="configsvc_sync_lease_held", kind="gauge", text="1 if this agent has the lease."),
    Metric(name="configsvc_sync_drifted_configurations", kind="gauge", text="Changes by hand that were left."),
)


class AgentStatus:
    """Counts of an agent. Written by the agent, read by the threads that serve them."""

    def __init__(self, interval_seconds: float, branch: str, lease_held: Callable[[], bool]) -> None:
        self._interval_seconds = interval_seconds
        self._branch = branch
        self._lock = threading.Lock()
        self._rounds = Counter(dict.fromkeys(Outcome, 0))
        self._failures = Counter(dict.fromkeys(FailureKind, 0))
        self._seconds = 0.0
        self._last: Outcome | None = None
        self._failure = ""
        self._good = time.monotonic()
        self._success_time = 0.0
        self._commit: Commit | None = None
        self._drifted = 0
        self._lease_held = lease_held

    def end_round(self, outcome: Outcome, seconds: float, failure: str = "") -> None:
        """Count a round."""
        with self._lock:
            self._rounds[outcome] += 1
            self._seconds += seconds
            self._last, self._failure = outcome, failure
            if outcome is not Outcome.FAILED:
                self._good = time.monotonic()
            if outcome in {Outcome.APPLIED, Outcome.UNCHANGED}:
                self._success_time = time.time()

    def fail(self, kind: FailureKind) -> None:
        """Count a failure."""
        with self._lock:
            self._failures[kind] += 1

    def applied(self, commit: Commit, drifted: int) -> None:
        """Keep the commit that the service has now."""
        with self._lock:
            self._commit, self._drifted = commit, drifted

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return the status code of HTTP and the document of /health."""
        with self._lock:
            late = time.monotonic() - self._good
            if late > max(UNHEALTHY_INTERVALS * self._interval_seconds, UNHEALTHY_SECONDS):
                state = "unhealthy"
            elif self._last is None:
                state = "starting"
            else:
                state = "degraded" if self._last in {Outcome.REFUSED, Outcome.FAILED} else "ok"
            document = {
                "status": state,
                "last_round": self._last,
                "failure": self._failure,
                "lease_held": self._lease_held(),
                "commit": self._commit.commit if self._commit else "",
                "seconds_since_good_round": round(late, 1),
            }
        return (503 if state == "unhealthy" else 200), document

    def metrics(self) -> str:
        """Return the metrics as text."""
        with self._lock:
            info: list[tuple[str, float]] = []
            if self._commit is not None:
                labels = {"repository": self._commit.repository, "path": self._commit.path, "branch": self._branch}
                info = [(_labels(labels | {"commit": self._commit.commit}), 1)]
            rounds = sum(self._rounds.values())
            samples: dict[str, list[tuple[str, float]]] = {
                "configsvc_sync_rounds_total": [(_labels({"outcome": key}), self._rounds[key]) for key in Outcome],
                "configsvc_sync_failures_total": [(_labels({"kind": key}), self._failures[key]) for key in FailureKind],
                "configsvc_sync_round_seconds": [("_sum", self._seconds), ("_count", rounds)],
                "configsvc_sync_commit_info": info,
                "configsvc_sync_last_success_timestamp_seconds": [("", self._success_time)],
                "configsvc_sync_lease_held": [("", int(self._lease_held()))],
                "configsvc_sync_drifted_configurations": [("", self._drifted)],
            }
        lines: list[str] = []
        for metric in METRICS:
            lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.kind}"]
            lines += (f"{metric.name}{suffix} {value}" for suffix, value in samples[metric.name])
        return "\n".join(lines) + "\n"


def _labels(values: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
