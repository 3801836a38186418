"""Reads of everything by new processes, from PostgreSQL and from Redis: the value of a second-level cache."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.loads import messages
from bench.loads.cold_reader import postgres, redis_command
from bench.loads.remote import remote
from bench.peers import servers
from bench.peers.programs import missing
from bench.plan import Run
from bench.report.results import Row, figures, row

POSTGRES, REDIS = "PostgreSQL", "Redis"
CALLERS = (1, 64)

Samples = defaultdict[str, tuple[float, ...]]


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of cold reads."""
    samples: Samples = defaultdict(tuple)
    async with AsyncExitStack() as stack:
        sources = {POSTGRES: ("postgres", run.database_url)}
        reason = missing("redis-server")
        if not reason:
            sources[REDIS] = ("redis", await _filled_redis(run, stack))
        for repetition in range(run.plan.repetitions):
            for callers in CALLERS:
                for name, source in sources.items():
                    answers = await _read_in_processes(run, source, callers)
                    _add(samples, f"{name}, {callers}", answers, run.plan.cold_reads)
                    rate = samples[f"{name}, {callers}: rate"][-1]
                    run.say(f"{repetition + 1}/{run.plan.repetitions} {name}, {callers} callers: {rate:,.0f} reads/s")
    return tuple(line for callers in CALLERS for line in _rows(samples, callers, reason))


async def _filled_redis(run: Run, stack: AsyncExitStack) -> str:
    """Start a Redis that stores every encoded answer, and return its address."""
    answer_of = await postgres(run.database_url)
    server = await stack.enter_async_context(servers.redis(run.folder))
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for name in map(messages.row_name, range(run.plan.cold_reads)):
        writer.write(redis_command(b"SET", name.encode(), await answer_of(name)))
        if await reader.readline() != b"+OK\r\n":
            raise RuntimeError("Redis did not store a value")
    writer.close()
    return server.address


async def _read_in_processes(run: Run, source: tuple[str, str], callers: int) -> list[dict[str, float]]:
    """Read in several processes at once, and return their answers."""
    async with AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(remote("cold_reader", *source)) for _ in range(run.plan.cold_processes)
        ]
        # A request for nothing, which a process answers once it has started.
        await asyncio.gather(*(reader.ask(callers=0, rows=0) for reader in readers))
        asked: list[Any] = [reader.ask(callers=callers, rows=run.plan.cold_reads) for reader in readers]
        return await asyncio.gather(*asked)


def _add(samples: Samples, name: str, answers: Sequence[dict[str, float]], reads: int) -> None:
    for quantity in ("p50_ms", "p99_ms", "cpu_us"):
        samples[f"{name}: {quantity}"] += (sum(answer[quantity] for answer in answers) / len(answers),)
    samples[f"{name}: rate"] += (reads * len(answers) / max(answer["seconds"] for answer in answers),)


def _rows(samples: Samples, callers: int, reason: str | None) -> tuple[Row, ...]:
    titles = {
        "p50_ms": ("cold read, p50", "ms"),
        "p99_ms": ("cold read, p99", "ms"),
        "cpu_us": ("cold read, processor time of the reader", "µs"),
        "rate": ("cold reads of all processes", "reads/s"),
    }
    figure = figures(samples, {f"{REDIS}, {callers}: {quantity}": reason or "" for quantity in titles})
    shown = "1 caller each" if callers == 1 else f"{callers} callers each"
    return tuple(
        row(
            f"cold_{quantity}_{callers}",
            f"{title}, {shown}",
            unit,
            figure(f"{POSTGRES}, {callers}: {quantity}"),
            limit=("Redis GET", figure(f"{REDIS}, {callers}: {quantity}")),
        )
        for quantity, (title, unit) in titles.items()
    )
