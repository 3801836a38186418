"""The latency of a polite caller, alone and beside another that floods the service."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bench.loads import messages
from bench.loads.h2load import H2load
from bench.loads.messages import Call
from bench.loads.remote import Remote, remote
from bench.peers.databases import connected
from bench.peers.programs import missing
from bench.peers.provider import Provider
from bench.plan import Measure, Run, in_turn
from bench.report.results import Figure, Row, figures, percentile, row

NAME = messages.row_name(1)
UNBOUNDED = {"CONFIGSVC_CALLS_PER_SECOND": "0"}
LISTED = "large"
# 230 KB each, of many small members, which take longest to encode.
LARGE = """
INSERT INTO configurations (application, name, config)
SELECT $1, 'large-' || number, (
    SELECT jsonb_object_agg('member-' || member, repeat('x', 40)) FROM generate_series(1, 4000) AS member
)
FROM generate_series(1, 12) AS number
"""
# Some calls are made before the flood is under way.
AFTER_SECONDS = 0.2


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of floods."""
    reason = missing("h2load")
    if reason:
        return _rows(lambda _: Figure(missing=reason))
    provider = Provider(run.folder, "polite", "flooder")
    async with AsyncExitStack() as stack:
        await _create_large(run)
        small, large = messages.get(NAME), messages.list_of(LISTED)
        bounded = await _subject(run, stack, provider, small, {"CONFIGSVC_CALLS_BURST": "100"})
        unbounded = await _subject(run, stack, provider, small, UNBOUNDED)
        listed = await _subject(run, stack, provider, large, {})
        seconds = run.plan.seconds
        measurements: dict[str, Measure] = {
            "alone": partial(_latency, bounded[0], None, seconds, 50),
            "bounded": partial(_latency, *bounded, seconds, 50),
            "unbounded": partial(_latency, *unbounded, seconds, 50),
            "lists": partial(_latency, *listed, seconds, 50),
            "lists, p99": partial(_latency, *listed, seconds, 99),
            "alone, p99": partial(_latency, listed[0], None, seconds, 99),
        }
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    return _rows(figures(samples, {}))


def _rows(figure: Callable[[str], Figure]) -> tuple[Row, ...]:
    return (
        row(
            "flood",
            "a call every 10 ms, beside a flood of another caller, median",
            "ms",
            figure("bounded"),
            limit=("without the flood", figure("alone")),
        ),
        row(
            "flood_unbounded",
            "the same where callers have no limit of calls",
            "ms",
            figure("unbounded"),
            limit=("without the flood", figure("alone")),
        ),
        row(
            "flood_of_lists",
            "the same, beside a flood of lists of 12 configurations of 230 KB, median",
            "ms",
            figure("lists"),
            limit=("without the flood", figure("alone")),
        ),
        row(
            "flood_of_lists_p99",
            "the same, p99",
            "ms",
            figure("lists, p99"),
            limit=("without the flood", figure("alone, p99")),
        ),
    )


async def _create_large(run: Run) -> None:
    async with connected(run.database_url) as connection:
        await connection.execute("INSERT INTO applications (name) VALUES ($1)", LISTED)
        await connection.execute(LARGE, LISTED)


async def _subject(
    run: Run, stack: AsyncExitStack, provider: Provider, flooded_with: Call, environment: dict[str, str]
) -> tuple[Remote, H2load]:
    """Start a service, and return a polite caller of it and a flood."""
    server = await stack.enter_async_context(run.service_with(environment=provider.environment | environment))
    call = messages.get(NAME)
    polite = await stack.enter_async_context(
        remote("polite_caller", server.address, call.path, call.request.hex(), provider.authorization("polite"))
    )
    return polite, H2load.of(run.folder, server.address, flooded_with, provider.authorization("flooder"))


async def _latency(polite: Remote, flood: H2load | None, seconds: float, percent: int) -> float:
    async with _flooded(flood, seconds + 2 * AFTER_SECONDS):
        await asyncio.sleep(AFTER_SECONDS)
        taken = await polite.ask(seconds=seconds)
    return percentile(taken, percent)


@asynccontextmanager
async def _flooded(flood: H2load | None, seconds: float) -> AsyncGenerator[None]:
    if flood is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        flooding = tasks.create_task(flood.run(seconds))
        yield
        flooding.cancel()
