"""A run: one PostgreSQL, all groups of measurements on it, and their results."""

import os
import platform
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path

import asyncpg
import grpc
from rich.console import Console

from bench.loads import messages
from bench.measure import (
    batches,
    clients,
    cold_reads,
    cold_services,
    command_line,
    comparison,
    floods,
    history,
    imports,
    reads,
    strict,
    validation,
    watches,
    web,
    writes,
)
from bench.measure.comparison import ComparedGroup, Side
from bench.peers.databases import connected, database_beside
from bench.peers.programs import found, output_of
from bench.plan import GRPCIO, ON_NGH2, Plan, Run, Transport
from bench.report.results import Curve, Results, Row
from configsvc.embedded import embedded_postgres

CONFIGSVC = Path(sys.executable).with_name("configsvc")
APPLICATION = "INSERT INTO applications (name) VALUES ($1)"
WATCHED = "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3::jsonb)"
ROWS = """
INSERT INTO configurations (application, name, config)
SELECT $1, 'row-' || lpad(i::text, 8, '0'), $2::jsonb
FROM generate_series(0, $3::integer - 1) AS i
"""

# A program that ended, did not answer, or gave a wrong answer.
FAILURES = (RuntimeError, OSError, TimeoutError, grpc.RpcError, asyncpg.PostgresError)

Measured = tuple[tuple[Row, ...], tuple[Curve, ...]]


class Group(StrEnum):
    """A group of rows to measure on its own."""

    READS = "reads"
    WATCHES = "watches"
    WEB = "web"
    # Before the groups that add configurations: a client of everything follows them too.
    CLIENTS = "clients"
    COLD_READS = "cold-reads"
    HISTORY = "history"
    WRITES = "writes"
    BATCHES = "batches"
    IMPORTS = "imports"
    VALIDATION = "validation"
    FLOODS = "floods"
    STRICT = "strict"


_WITHOUT_CURVES: dict[Group, tuple[Callable[[Run], Awaitable[tuple[Row, ...]]], ...]] = {
    Group.READS: (reads.measure,),
    Group.WEB: (web.measure,),
    Group.CLIENTS: (clients.measure, command_line.measure),
    Group.COLD_READS: (cold_reads.measure, cold_services.measure),
    Group.HISTORY: (history.measure,),
    Group.VALIDATION: (validation.measure,),
    Group.FLOODS: (floods.measure,),
    Group.STRICT: (strict.measure,),
}


# One transport after the other, each on a database of its own: an idle service would read each commit.
_ON_EACH: dict[Group, Callable[[Run, Transport], Awaitable[tuple[Row, ...]]]] = {
    Group.WRITES: writes.measure,
    Group.BATCHES: batches.measure,
    Group.IMPORTS: imports.measure,
}


async def measure(plan: Plan, groups: Sequence[Group]) -> Results:
    """Measure the groups of rows of this checkout's service."""
    async with _run(plan) as run, AsyncExitStack() as stack:
        await _fill(run)
        shared = await stack.enter_async_context(run.service()) if plan.quick else None
        run_of_groups = replace(run, shared=shared)
        return await _results(run, {group: partial(_measured, run_of_groups, group) for group in groups})


async def _measured(run: Run, group: Group) -> Measured:
    if group is Group.WATCHES:
        return await watches.measure(run)
    if group in _ON_EACH:
        return await _measured_on_each(run, _ON_EACH[group]), ()
    return tuple([row for measure_rows in _WITHOUT_CURVES[group] for row in await measure_rows(run)]), ()


async def _measured_on_each(
    run: Run, measure_rows: Callable[[Run, Transport], Awaitable[tuple[Row, ...]]]
) -> tuple[Row, ...]:
    other = replace(run, shared=None, database_url=await database_beside(run.database_url, "ngh2"))
    await _fill(other)
    return (*await measure_rows(run, GRPCIO), *await measure_rows(other, ON_NGH2))


async def compare(plan: Plan, groups: Sequence[ComparedGroup], other: Path) -> Results:
    """Compare this checkout's service with another build of it."""
    async with _run(plan) as run:
        programs = {Side.THIS: run.configsvc, Side.OTHER: other}
        runs = {side: await _run_of(run, side, program) for side, program in programs.items()}
        return await _results(run, {group: partial(_compared, runs, group) for group in groups})


async def _compared(runs: Mapping[Side, Run], group: ComparedGroup) -> Measured:
    return await comparison.measure(runs, group), ()


async def _run_of(run: Run, side: Side, configsvc: Path) -> Run:
    """Return the run of a side, with a folder and a filled database of its own."""
    folder = run.folder / side
    folder.mkdir()
    url = await database_beside(run.database_url, side)
    of_side = replace(run, configsvc=configsvc, database_url=url, folder=folder)
    await _fill(of_side)
    return of_side


@asynccontextmanager
async def _run(plan: Plan) -> AsyncGenerator[Run]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="configsvc-bench-") as name:
        folder = Path(name)
        async with embedded_postgres(folder / "data") as url:
            yield Run(
                plan=plan,
                configsvc=CONFIGSVC,
                database_url=url,
                folder=folder,
                say=lambda text: console.print(text, markup=False),
            )


async def _results(run: Run, groups: Mapping[str, Callable[[], Awaitable[Measured]]]) -> Results:
    rows: list[Row] = []
    curves: list[Curve] = []
    failed: list[str] = []
    machine = await _machine(run.database_url)
    for group, measured in groups.items():
        try:
            of_group = await measured()
        except FAILURES as error:
            # The figures of the other groups took minutes: keep them.
            failed.append(f"{group}: {type(error).__name__}: {error}")
            run.say(failed[-1])
        else:
            rows += of_group[0]
            curves += of_group[1]
    return Results(
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        repetitions=run.plan.repetitions,
        quick=run.plan.quick,
        machine=machine,
        rows=tuple(rows),
        failed=tuple(failed),
        curves=tuple(curves),
    )


async def _fill(run: Run) -> None:
    """Migrate the database with the program of the run, and fill it."""
    await output_of(str(run.configsvc), "migrate", "--database-url", run.database_url)
    text = messages.content_text()
    async with connected(run.database_url) as connection:
        await connection.execute(APPLICATION, messages.APPLICATION)
        await connection.execute(WATCHED, messages.APPLICATION, messages.WATCHED, text)
        await connection.execute(ROWS, messages.APPLICATION, text, max(messages.ROWS, run.plan.cold_reads))
        # Now, so that autovacuum does not do it during a measurement.
        await connection.execute("VACUUM ANALYZE")


async def _machine(url: str) -> dict[str, str]:
    """Return the facts about the machine that figures depend on."""
    # The average of one minute. Figures of a busy machine are worthless.
    load_before = f"{os.getloadavg()[0]:.2f}"
    async with connected(url) as connection:
        postgres: str = await connection.fetchval("SHOW server_version")
    libraries = ("configsvc", "grpcio", "ngh2", "asyncpg", "uvloop", "protobuf")
    commands = {"etcd": "--version", "h2load": "--version", "pgbench": "--version", "redis-server": "--version"}
    paths = {name: path for name in commands if (path := found(name))}
    printed = {name: (await output_of(path, commands[name])).splitlines()[0] for name, path in paths.items()}
    return {
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "load before": load_before,
        "Python": sys.version.split()[0],
        "PostgreSQL": postgres,
        **{name: version(name) for name in libraries},
        **printed,
    }
