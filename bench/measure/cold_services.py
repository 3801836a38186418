"""Reads of everything through a service that has just started, with and without Redis as the second level."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import grpc

from bench.loads import messages
from bench.peers import servers
from bench.peers.programs import missing
from bench.plan import Run
from bench.report.results import Row, figures, row

CALLERS = 64
# Sessions that keep PostgreSQL busy, and what each does all the time.
BUSY_SESSIONS = 4
BUSY = "SELECT count(*) FROM generate_series(1, 300000)"
# The time that a new service has to connect to Redis, and to learn what recent commits changed.
SETTLE_SECONDS = 1.0

Samples = defaultdict[str, tuple[float, ...]]


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of cold reads through a service."""
    samples: Samples = defaultdict(tuple)
    reason = missing("redis-server")
    async with AsyncExitStack() as stack:
        sources = {"PostgreSQL": dict[str, str]()}
        if not reason:
            redis = await stack.enter_async_context(servers.redis(run.folder))
            sources["Redis"] = {"CONFIGSVC_REDIS_URL": f"redis://{redis.address}"}
            # The first service leaves the answers for the others.
            await _read_all(run, sources["Redis"])
        for repetition in range(run.plan.repetitions):
            for busy in (False, True):
                for source, environment in sources.items():
                    async with _busy(run.database_url, BUSY_SESSIONS if busy else 0):
                        cpu, rate = await _read_all(run, environment)
                    name = f"{source}, {_state(busy)}"
                    samples[f"{name}: cpu"] += (cpu,)
                    samples[f"{name}: rate"] += (rate,)
                    run.say(f"{repetition + 1}/{run.plan.repetitions} {name}: {rate:,.0f} reads/s, {cpu:,.0f} µs")
    return tuple(_rows(samples, reason))


def _state(busy: bool) -> str:
    return "busy PostgreSQL" if busy else "idle PostgreSQL"


async def _read_all(run: Run, environment: dict[str, str]) -> tuple[float, float]:
    """Read each row once through a new service; return its processor time for a read in µs, and reads a second."""
    calls = iter([messages.get(messages.row_name(number)) for number in range(run.plan.cold_reads)])
    async with (
        run.service_with(environment=environment) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await asyncio.sleep(SETTLE_SECONDS)
        began, cpu = asyncio.get_running_loop().time(), server.cpu_seconds()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(_read_in_turn(channel, calls))
        seconds = asyncio.get_running_loop().time() - began
        return (server.cpu_seconds() - cpu) * 1e6 / run.plan.cold_reads, run.plan.cold_reads / seconds


async def _read_in_turn(channel: grpc.aio.Channel, calls: Iterator[messages.Call]) -> None:
    # Calls without a stub have no types.
    untyped: Any = channel
    for call in calls:
        method = untyped.unary_unary(call.path)
        if not await method(call.request):
            raise RuntimeError("a read has no answer")


@asynccontextmanager
async def _busy(database_url: str, sessions: int) -> AsyncGenerator[None]:
    """Keep PostgreSQL busy with some sessions."""
    async with AsyncExitStack() as stack:
        working: list[asyncio.Task[None]] = []
        for _ in range(sessions):
            connection = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
            stack.callback(connection.terminate)
            working.append(asyncio.create_task(_work(connection)))
        try:
            yield
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)


async def _work(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    while True:
        await connection.execute(BUSY)


def _rows(samples: Samples, reason: str | None) -> Iterator[Row]:
    titles = {
        "cpu": ("cold read by a service with Redis, processor time", "µs"),
        "rate": ("cold reads by a service with Redis", "reads/s"),
    }
    names = [f"Redis, {_state(busy)}: {quantity}" for busy in (False, True) for quantity in titles]
    figure = figures(samples, dict.fromkeys(names, reason or ""))
    for busy in (False, True):
        for quantity, (title, unit) in titles.items():
            yield row(
                f"cold_service_{quantity}_{'busy' if busy else 'idle'}",
                f"{title}, {_state(busy)}",
                unit,
                figure(f"Redis, {_state(busy)}: {quantity}"),
                limit=("without Redis", figure(f"PostgreSQL, {_state(busy)}: {quantity}")),
            )
