"""How long a polite caller waits, alone and beside another that floods the service."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bench import messages, peers
from bench.h2load import Load
from bench.plan import Measure, Run, in_turn
from bench.provider import Provider
from bench.remote import Remote, remote
from bench.results import Figure, Row, figures, row

NAME = messages.row_name(1)
UNBOUNDED = {"CONFIGSVC_CALLS_PER_SECOND": "0"}
# Some calls are made before the flood is under way.
AFTER_SECONDS = 0.2


async def measure(run: Run) -> tuple[Row, ...]:
    """The rows of floods."""
    reason = peers.missing("h2load")
    if reason:
        return _rows(lambda _: Figure(missing=reason))
    provider = Provider(run.folder, "polite", "flooder")
    async with AsyncExitStack() as stack:
        bounded = await _subject(run, stack, provider, {"CONFIGSVC_CALLS_BURST": "100"})
        unbounded = await _subject(run, stack, provider, UNBOUNDED)
        measurements: dict[str, Measure] = {
            "alone": partial(_median, bounded[0], None, run.plan.seconds),
            "bounded": partial(_median, *bounded, run.plan.seconds),
            "unbounded": partial(_median, *unbounded, run.plan.seconds),
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
    )


async def _subject(
    run: Run, stack: AsyncExitStack, provider: Provider, environment: dict[str, str]
) -> tuple[Remote, Load]:
    """A polite caller of a service, and a flood."""
    server = await stack.enter_async_context(
        peers.service(run.database_url, run.folder, environment=provider.environment | environment)
    )
    call = messages.get(NAME)
    polite = await stack.enter_async_context(
        remote("polite_caller", server.address, call.path, call.request.hex(), provider.authorization("polite"))
    )
    return polite, Load.of(run.folder, server.address, call, provider.authorization("flooder"))


async def _median(polite: Remote, flood: Load | None, seconds: float) -> float:
    async with _flooded(flood, seconds + 2 * AFTER_SECONDS):
        await asyncio.sleep(AFTER_SECONDS)
        taken = await polite.ask(seconds=seconds)
    return taken[len(taken) // 2]


@asynccontextmanager
async def _flooded(flood: Load | None, seconds: float) -> AsyncGenerator[None]:
    if flood is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        flooding = tasks.create_task(flood.run(seconds))
        yield
        flooding.cancel()
