"""All measurements of one run, on one database."""

import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import asyncpg
import grpc
from rich.console import Console

from bench.loads import messages
from bench.measure import batches, cold_reads, floods, history, imports, reads, strict, validation, watches, writes
from bench.peers import servers
from bench.plan import Plan, Run, output_of
from bench.report.results import Curve, Results, Row
from configsvc.embedded import embedded_postgres

APPLICATION = "INSERT INTO applications (name) VALUES ($1)"
WATCHED = "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3::jsonb)"
ROWS = """
INSERT INTO configurations (application, name, config)
SELECT $1, 'row-' || lpad(i::text, 8, '0'), $2::jsonb
FROM generate_series(0, $3::integer - 1) AS i
"""


# A program that ends, does not answer, or answers with something else than it should.
FAILURES = (RuntimeError, OSError, TimeoutError, grpc.RpcError, asyncpg.PostgresError)


class Group(StrEnum):
    """What can be measured by itself."""

    READS = "reads"
    WATCHES = "watches"
    COLD_READS = "cold-reads"
    HISTORY = "history"
    WRITES = "writes"
    BATCHES = "batches"
    IMPORTS = "imports"
    FLOODS = "floods"
    STRICT = "strict"


_WITHOUT_CURVES: dict[Group, tuple[Callable[[Run], Awaitable[Sequence[Row]]], ...]] = {
    Group.READS: (reads.measure,),
    Group.COLD_READS: (cold_reads.measure,),
    Group.HISTORY: (history.measure,),
    Group.WRITES: (writes.measure,),
    Group.BATCHES: (batches.measure, validation.measure),
    Group.IMPORTS: (imports.measure,),
    Group.FLOODS: (floods.measure,),
    Group.STRICT: (strict.measure,),
}


async def measure(plan: Plan, groups: Sequence[Group]) -> Results:
    """Starts everything, measures, and ends everything."""
    rows: list[Row] = []
    curves: list[Curve] = []
    failed: list[str] = []
    # One minute's average. A figure of a busy machine is none.
    load_before = f"{os.getloadavg()[0]:.2f}"
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="configsvc-bench-") as name:
        folder = Path(name)
        async with embedded_postgres(folder / "data") as url, AsyncExitStack() as stack:
            run = Run(plan=plan, database_url=url, folder=folder, say=lambda text: console.print(text, markup=False))
            await _prepare(run)
            if plan.quick:
                run = replace(run, shared=await stack.enter_async_context(servers.service(url, folder)))
            for group in groups:
                try:
                    measured, drawn = await _measured(run, group)
                except FAILURES as error:
                    # Minutes of other figures are worth keeping.
                    failed.append(f"{group}: {type(error).__name__}: {error}")
                    run.say(failed[-1])
                else:
                    rows += measured
                    curves += drawn
            machine = await _machine(url, load_before)
    return Results(
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        repetitions=plan.repetitions,
        quick=plan.quick,
        machine=machine,
        rows=tuple(rows),
        failed=tuple(failed),
        curves=tuple(curves),
    )


async def _measured(run: Run, group: Group) -> tuple[tuple[Row, ...], tuple[Curve, ...]]:
    if group is Group.WATCHES:
        return await watches.measure(run)
    rows: list[Row] = []
    for measured in _WITHOUT_CURVES[group]:
        rows += await measured(run)
    return tuple(rows), ()


async def _prepare(run: Run) -> None:
    """Migrates the database and fills it."""
    await output_of(str(servers.CONFIGSVC), "migrate", "--database-url", run.database_url)
    connection = await asyncpg.connect(run.database_url, timeout=10, command_timeout=60)
    text = messages.content_text()
    await connection.execute(APPLICATION, messages.APPLICATION)
    await connection.execute(WATCHED, messages.APPLICATION, messages.WATCHED, text)
    await connection.execute(ROWS, messages.APPLICATION, text, max(messages.ROWS, run.plan.cold_reads))
    # Otherwise autovacuum does so at a moment of its own.
    await connection.execute("VACUUM ANALYZE")
    await connection.close(timeout=10)


async def _machine(url: str, load_before: str) -> dict[str, str]:
    """What the figures depend on."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=10)
    postgres: str = await connection.fetchval("SHOW server_version")
    await connection.close(timeout=10)
    libraries = ("configsvc", "grpcio", "asyncpg", "uvloop", "protobuf")
    commands = {"etcd": "--version", "h2load": "--version", "pgbench": "--version", "redis-server": "--version"}
    found = {name: path for name in commands if (path := servers.program(name))}
    printed = {name: (await output_of(path, commands[name])).splitlines()[0] for name, path in found.items()}
    return {
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "load before": load_before,
        "Python": sys.version.split()[0],
        "PostgreSQL": postgres,
        **{name: version(name) for name in libraries},
        **printed,
    }
