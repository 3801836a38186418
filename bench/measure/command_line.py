"""The time that a command takes before it does anything: `configsvc --help`."""

import asyncio
import sys
import time
from functools import partial
from statistics import median

from bench.plan import Run, in_turn
from bench.report.results import Row, Target, figures, row

RUNS = 20
QUICK_RUNS = 1
MOST_MILLISECONDS = 250.0
OURS, EMPTY = "configsvc --help", "an empty program"


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the row of --help."""
    runs = QUICK_RUNS if run.plan.quick else RUNS
    commands = {OURS: (str(run.configsvc), "--help"), EMPTY: (sys.executable, "-c", "")}
    for command in commands.values():
        # Its modules are compiled once.
        await _milliseconds(*command)
    measurements = {name: partial(_median, runs, command) for name, command in commands.items()}
    figure = figures(await in_turn(run.plan.repetitions, measurements, run.say), {})
    help_ = row(
        "command_line_help",
        f"{OURS}, from its start to its end",
        "ms",
        figure(OURS),
        limit=("an empty program of Python", figure(EMPTY)),
        by="value",
        target=Target(at="most", bound=MOST_MILLISECONDS),
    )
    return (help_,)


async def _median(runs: int, command: tuple[str, ...]) -> float:
    return median([await _milliseconds(*command) for _ in range(runs)])


async def _milliseconds(*command: str) -> float:
    """Run a command that must succeed; return the time until its end."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    return (time.perf_counter() - began) * 1000
