"""Two builds of the service side by side: the same loads in turn, each build on a database of its own."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial

from bench.loads.load import Load
from bench.measure import batches, reads, watches, writes
from bench.plan import Run
from bench.report.results import Figure, Row, row

WARM_UP_SECONDS = 0.4
WATCHERS = (1, 1000)


class Side(StrEnum):
    """A build in the comparison."""

    THIS = "this"
    OTHER = "other"


class ComparedGroup(StrEnum):
    """A group of loads to compare on their own."""

    READS = "reads"
    WRITES = "writes"
    DELIVERIES = "deliveries"
    BATCHES = "batches"


Loads = Callable[[Run, AsyncExitStack], Awaitable[dict[str, Load]]]
Samples = defaultdict[tuple[str, Side], tuple[tuple[float, float], ...]]

# The unit of an operation, and the loads. Each entry has services of its own.
_GROUPS: dict[ComparedGroup, tuple[str, tuple[Loads, ...]]] = {
    ComparedGroup.READS: ("call", (reads.loads,)),
    ComparedGroup.WRITES: ("write", (writes.loads,)),
    ComparedGroup.DELIVERIES: ("delivery", tuple(partial(watches.loads, most=most) for most in WATCHERS)),
    ComparedGroup.BATCHES: ("configuration", (batches.loads,)),
}
_PLURALS = {"delivery": "deliveries"}


async def measure(runs: Mapping[Side, Run], group: ComparedGroup) -> tuple[Row, ...]:
    """Return the rows of a group: for each load its rate, and the processor time of one operation in the service."""
    operation, all_loads = _GROUPS[group]
    rows: list[Row] = []
    for loads_of in all_loads:
        samples = await _in_turn(runs, loads_of)
        for name in dict.fromkeys(name for name, _ in samples):
            rows += rows_of(name, operation, samples[name, Side.THIS], samples[name, Side.OTHER])
    return tuple(rows)


async def _in_turn(runs: Mapping[Side, Run], loads_of: Loads) -> Samples:
    plan, say = runs[Side.THIS].plan, runs[Side.THIS].say
    samples: Samples = defaultdict(tuple)
    async with AsyncExitStack() as stack:
        loads = {side: await loads_of(run, stack) for side, run in runs.items()}
        for load in (load for of_side in loads.values() for load in of_side.values()):
            await load.put(min(WARM_UP_SECONDS, plan.seconds))
        for repetition in range(plan.repetitions):
            # Each side is the first one in every second repetition: the machine favors one of the places.
            sides = tuple(Side)[:: -1 if repetition % 2 else 1]
            for name in loads[Side.THIS]:
                for side in sides:
                    rate, cpu_us = await loads[side][name].weighed(plan.seconds)
                    samples[name, side] += ((rate, cpu_us),)
                    say(f"{repetition + 1}/{plan.repetitions} {name}, {side}: {rate:,.1f}/s, {cpu_us:,.1f} µs")
    return samples


def rows_of(
    name: str, operation: str, this: tuple[tuple[float, float], ...], other: tuple[tuple[float, float], ...]
) -> tuple[Row, Row]:
    """Return the rows of a load, given the rate and the µs per operation of both builds in each repetition."""

    def compared(title: str, unit: str, quantity: int) -> Row:
        ours, theirs = (Figure(samples=tuple(sample[quantity] for sample in side)) for side in (this, other))
        return row(title, title, unit, ours, limit=("", theirs))

    return (
        compared(name, f"{_PLURALS.get(operation, operation + 's')}/s", 0),
        compared(f"{name}: processor time per {operation}", "µs", 1),
    )
