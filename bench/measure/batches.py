"""Many configurations in one call and one commit, against what PostgreSQL and gRPC alone do with the same bytes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.loads import messages
from bench.loads.messages import BATCH, Call
from bench.loads.remote import Remote, remote
from bench.peers import bare, servers
from bench.plan import Measure, Run, in_turn
from bench.report.results import Row, Target, figures, row

CALLERS = 4
DATABASE = "batches"
TABLE = "CREATE TABLE items (name text PRIMARY KEY, config jsonb NOT NULL)"
INSERT = """
INSERT INTO items (name, config)
SELECT name, config::jsonb FROM unnest($1::text[], $2::text[]) AS new (name, config)
"""


async def measure(run: Run) -> tuple[Row, ...]:
    """The rows of batches."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.service_of(run))
        idle = await stack.enter_async_context(servers.bare(b"", run.folder))
        call = messages.batch_write()
        measurements: dict[str, Measure] = {
            "BatchWriteConfigurations": await _callers(run, stack, server.address, call, CALLERS),
            "INSERT": await stack.enter_async_context(_inserts(run)),
            "bare handler": await _callers(
                run, stack, idle.address, Call(path=bare.GET, request=call.request), CALLERS
            ),
            "BatchWriteConfigurations, 1 caller": await _callers(run, stack, server.address, call, 1),
        }
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    figure = figures(samples, {})
    ours = figure("BatchWriteConfigurations")
    return (
        row(
            "batch_write",
            f"BatchWriteConfigurations, {BATCH:,} a call, {CALLERS} callers",
            "configurations/s",
            ours,
            limit=("asyncpg: INSERT of as many rows", figure("INSERT")),
            by="value",
            target=Target(at="least", bound=20_000),
        ),
        row(
            "batch_write_against_insert",
            "the same, against the INSERT",
            "configurations/s",
            ours,
            limit=("asyncpg: INSERT of as many rows", figure("INSERT")),
        ),
        row(
            "batch_write_against_bare",
            "the same, against a handler that does nothing",
            "configurations/s",
            ours,
            limit=("bare grpc.aio", figure("bare handler")),
        ),
        row(
            "batch_write_alone",
            f"BatchWriteConfigurations, {BATCH:,} a call, 1 caller",
            "configurations/s",
            figure("BatchWriteConfigurations, 1 caller"),
            by="value",
        ),
    )


async def _callers(run: Run, stack: AsyncExitStack, address: str, call: Call, callers: int) -> Measure:
    file = run.folder / "batch.bin"
    file.write_bytes(call.request)
    program = await stack.enter_async_context(remote("batch_callers", address, call.path, str(file), str(callers)))
    return partial(_rate, program, run.plan.seconds)


async def _rate(callers: Remote, seconds: float) -> float:
    return BATCH * await callers.ask(seconds=seconds)


@asynccontextmanager
async def _inserts(run: Run) -> AsyncGenerator[Measure]:
    """Inserts of as many rows, from as many callers, into a database beside the service's own, as durable as that."""
    connection = await asyncpg.connect(run.database_url, timeout=10, command_timeout=30)
    await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close(timeout=10)
    url = urlunsplit(urlsplit(run.database_url)._replace(path=f"/{DATABASE}"))
    async with asyncpg.create_pool(url, min_size=CALLERS, max_size=CALLERS, command_timeout=30) as pool:
        await pool.execute(TABLE)
        yield partial(_insert_for, pool, count(), run.plan.seconds)


async def _insert_for(pool: "asyncpg.Pool[asyncpg.Record]", numbers: "count[int]", seconds: float) -> float:
    began = time.monotonic()
    done = 0

    async def insert() -> None:
        nonlocal done
        while time.monotonic() < began + seconds:
            batch = next(numbers)
            names = [f"{batch}-{place}" for place in range(BATCH)]
            await pool.execute(INSERT, names, [messages.content_text()] * BATCH)
            done += BATCH

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(insert())
    return done / (time.monotonic() - began)
