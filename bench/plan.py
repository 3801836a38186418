"""The plan of a run, and the parts that all its measurements share."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import servers
from bench.peers.processes import Running

# Flags of a service on the other transport of gRPC.
NGH2 = ("--transport", "ngh2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """A transport of gRPC: the flags of its service, and what it adds to the keys and the titles of rows."""

    flags: tuple[str, ...] = ()
    key: str = ""
    title: str = ""


GRPCIO = Transport()
ON_NGH2 = Transport(flags=NGH2, key="_ngh2", title=", transport ngh2")

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The amounts to measure."""

    # Too little for figures.
    quick: bool
    repetitions: int
    # Of each load; pgbench needs whole ones.
    seconds: float
    # Ascending: an open watch stays open.
    watchers: tuple[int, ...]
    # Messages for each figure of the watch, over as many commits as needed.
    deliveries: int
    least_commits: int
    cold_reads: int
    cold_processes: int
    # Of one configuration.
    versions: int
    version_reads: int
    imported: int
    pinned: int
    # Processes with the client library.
    crowd: int


FULL = Plan(
    quick=False,
    repetitions=3,
    seconds=3,
    watchers=(1, 100, 300, 1000, 3000, 10_000),
    deliveries=30_000,
    least_commits=5,
    cold_reads=10_000,
    cold_processes=4,
    versions=10_000,
    version_reads=300,
    imported=100_000,
    pinned=100_000,
    crowd=200,
)
QUICK = Plan(
    quick=True,
    repetitions=1,
    seconds=0.1,
    watchers=(1, 100),
    deliveries=100,
    least_commits=2,
    cold_reads=200,
    cold_processes=1,
    versions=100,
    version_reads=20,
    imported=100,
    pinned=100,
    crowd=4,
)
MOST_COMMITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a program: its plan, its migrated and filled database, its own folder, and the output of progress.

    `shared` is the service for all groups; without it, each group starts its own.
    """

    plan: Plan
    configsvc: Path
    database_url: str
    folder: Path
    say: Callable[[str], None]
    shared: Running | None = None

    def commits(self, watchers: int) -> int:
        """Return the number of commits for enough deliveries, at most MOST_COMMITS."""
        return max(self.plan.least_commits, min(MOST_COMMITS, self.plan.deliveries // watchers))

    def service_with(
        self,
        *flags: str,
        log_level: str = "warning",
        environment: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> AbstractAsyncContextManager[Running]:
        """Start a service with flags and variables of its own."""
        place = (self.configsvc, self.database_url, self.folder)
        return servers.service(*place, *flags, log_level=log_level, environment=environment, address=address)

    @asynccontextmanager
    async def service(self, *flags: str) -> AsyncGenerator[Running]:
        """Yield the shared service, or a new one, whose memory no other group has changed, or one with flags."""
        if self.shared and not flags:
            yield self.shared
        else:
            async with self.service_with(*flags) as server:
                yield server


async def in_turn(
    repetitions: int, measurements: Mapping[str, Measure], say: Callable[[str], None]
) -> dict[str, tuple[float, ...]]:
    """Take each measurement once, then each again, so that a slow period of the machine affects all of them alike."""
    samples: dict[str, tuple[float, ...]] = dict.fromkeys(measurements, ())
    for repetition in range(repetitions):
        for name, measure in measurements.items():
            samples[name] += (await measure(),)
            say(f"{repetition + 1}/{repetitions} {name}: {samples[name][-1]:,.1f}")
    return samples
