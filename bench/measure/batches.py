"""Many configurations in one call and one commit, against PostgreSQL alone and gRPC alone with the same bytes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count

import asyncpg

from bench.loads import messages
from bench.loads.load import Load, generated, rates
from bench.loads.messages import BATCH, Call
from bench.peers import bare, servers
from bench.peers.databases import database_beside
from bench.peers.processes import Running
from bench.plan import Measure, Run, Transport, in_turn
from bench.report.results import Row, Target, figures, row

CALLERS = 4
DATABASE = "batches"
TABLE = "CREATE TABLE items (name text PRIMARY KEY, config jsonb NOT NULL)"
INSERT = """
INSERT INTO items (name, config)
SELECT name, config::jsonb FROM unnest($1::text[], $2::text[]) AS new (name, config)
"""


async def measure(run: Run, transport: Transport) -> tuple[Row, ...]:
    """Return the rows of batches."""
    async with AsyncExitStack() as stack:
        by_name = await loads(run, stack, *transport.flags)
        idle = await stack.enter_async_context(servers.bare(b"", run.folder))
        call = Call(path=bare.GET, request=messages.batch_write().request)
        by_name["bare handler"] = await _callers(run, stack, idle, call, CALLERS)
        measurements = rates(by_name, run.plan.seconds) | {"INSERT": await stack.enter_async_context(_inserts(run))}
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    figure = figures(samples, {})
    ours = figure("BatchWriteConfigurations")
    return (
        row(
            f"batch_write{transport.key}",
            f"BatchWriteConfigurations, {BATCH:,} a call, {CALLERS} callers{transport.title}",
            "configurations/s",
            ours,
            limit=("asyncpg: INSERT of as many rows", figure("INSERT")),
            by="value",
            target=Target(at="least", bound=15_000),
        ),
        row(
            f"batch_write_against_insert{transport.key}",
            f"the same, against the INSERT{transport.title}",
            "configurations/s",
            ours,
            limit=("asyncpg: INSERT of as many rows", figure("INSERT")),
        ),
        row(
            f"batch_write_against_bare{transport.key}",
            f"the same, against a handler that does no work{transport.title}",
            "configurations/s",
            ours,
            limit=("bare grpc.aio", figure("bare handler")),
        ),
        row(
            f"batch_write_alone{transport.key}",
            f"BatchWriteConfigurations, {BATCH:,} a call, 1 caller{transport.title}",
            "configurations/s",
            figure("BatchWriteConfigurations, 1 caller"),
            by="value",
        ),
    )


async def loads(run: Run, stack: AsyncExitStack, *flags: str) -> dict[str, Load]:
    """Start the service, and return the loads of batches on it."""
    server = await stack.enter_async_context(run.service(*flags))
    call = messages.batch_write()
    return {
        "BatchWriteConfigurations": await _callers(run, stack, server, call, CALLERS),
        "BatchWriteConfigurations, 1 caller": await _callers(run, stack, server, call, 1),
    }


async def _callers(run: Run, stack: AsyncExitStack, server: Running, call: Call, callers: int) -> Load:
    # A file of its own: the callers before may still be reading theirs.
    file = run.folder / f"batch-{server.address}-{callers}.bin"
    file.write_bytes(call.request)
    return await generated(stack, server, "batch_callers", call.path, str(file), str(callers), each=BATCH)


@asynccontextmanager
async def _inserts(run: Run) -> AsyncGenerator[Measure]:
    """Yield INSERTs of as many rows from as many callers, into a database beside the service's own."""
    url = await database_beside(run.database_url, DATABASE)
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
            names = [f"{batch}-{index}" for index in range(BATCH)]
            await pool.execute(INSERT, names, [messages.content_text()] * BATCH)
            done += BATCH

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(insert())
    return done / (time.monotonic() - began)
