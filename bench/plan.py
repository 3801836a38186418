"""What all measurements of a run have in common."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.processes import Running

Measure = Callable[[], Coroutine[Any, Any, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    # Too little for figures.
    quick: bool
    repetitions: int
    # Of each load; pgbench takes whole ones.
    seconds: float
    # Rising: a watch that is open stays open.
    watchers: tuple[int, ...]
    # Messages for each figure of the watch, over as many commits as it takes.
    deliveries: int
    least_commits: int
    cold_reads: int
    cold_processes: int
    # Of one configuration.
    versions: int
    version_reads: int
    imported: int
    pinned: int


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
)
MOST_COMMITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its plan, a migrated database with configurations in it, a folder of its own, who is told, and the
    service that all groups measure, if it is not one of each.
    """

    plan: Plan
    database_url: str
    folder: Path
    say: Callable[[str], None]
    shared: Running | None = None

    def commits(self, watchers: int) -> int:
        """How many commits give enough deliveries, within reason."""
        return max(self.plan.least_commits, min(MOST_COMMITS, self.plan.deliveries // watchers))


async def output_of(*command: str) -> str:
    """What a program prints. Raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {output.decode(errors='replace')[-2000:]}")
    return output.decode(errors="replace")


async def in_turn(
    repetitions: int, measurements: Mapping[str, Measure], say: Callable[[str], None]
) -> dict[str, tuple[float, ...]]:
    """Takes each measurement once, then each again: the machine is shared, and what slows it slows all alike."""
    samples: dict[str, tuple[float, ...]] = dict.fromkeys(measurements, ())
    for repetition in range(repetitions):
        for name, measure in measurements.items():
            samples[name] += (await measure(),)
            say(f"{repetition + 1}/{repetitions} {name}: {samples[name][-1]:,.1f}")
    return samples
