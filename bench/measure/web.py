"""HTTP beside gRPC in the same run: reads, and deliveries as server-sent events, against bare ASGI handlers."""

import asyncio
import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bench.loads import messages
from bench.loads.calls import call_once
from bench.loads.commits import Committer, committer
from bench.loads.h2load import H2load, http1
from bench.loads.http2 import enveloped
from bench.loads.load import Load
from bench.loads.remote import remote
from bench.measure.watches import Samples, Subject, deliver, measure_deliveries, service_subject
from bench.peers import bare_web, servers
from bench.peers.processes import Running, free_address
from bench.peers.programs import missing
from bench.plan import Run
from bench.report.results import Figure, Row, Target, row

NAME = messages.row_name(1)
PATH = f"/api/v1/applications/{messages.APPLICATION}/configurations/{NAME}"
WATCH = (
    f"/api/v1/configurations:watch?application={messages.APPLICATION}&names={messages.WATCHED}&progress_interval=3600s"
)
WATCHERS = 1000
WARM_UP_SECONDS = 0.4
AT_LEAST_08 = Target(at="least", bound=0.8)
HTTP, GRPC, BARE, STARLETTE = "HTTP", "gRPC", "bare", "Starlette"
# Of a watch over HTTP: the opening, a snapshot and synced.
GREETINGS = 3


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of HTTP."""
    async with _service(run) as (server, http):
        reads = await _reads(run, server, http)
        samples = await _deliveries(run, server, http)
    return (*_read_rows(reads), *_delivery_rows(samples, min(WATCHERS, run.plan.watchers[-1])))


@asynccontextmanager
async def _service(run: Run) -> AsyncGenerator[tuple[Running, str]]:
    """Yield a service that serves both, and its address for HTTP."""
    http = free_address()
    async with run.service_with(environment={"CONFIGSVC_HTTP_LISTEN": http}) as server:
        yield server, http


async def _reads(run: Run, server: Running, http: str) -> Callable[[str, int], Figure]:
    """Return the figures of reads: calls per second (0) and µs of processor time per call (1)."""
    reason = missing("h2load")
    if reason:
        return lambda _name, _quantity: Figure(missing=reason)
    taken: dict[str, tuple[tuple[float, float], ...]] = {}
    async with AsyncExitStack() as stack:
        loads = await _read_loads(run, stack, server, http)
        for load in loads.values():
            await load.put(min(WARM_UP_SECONDS, run.plan.seconds))
        for repetition in range(run.plan.repetitions):
            for name, load in loads.items():
                sample = await load.weighed(run.plan.seconds)
                taken[name] = (*taken.get(name, ()), sample)
                run.say(f"{repetition + 1}/{run.plan.repetitions} {name} read: {sample[0]:,.0f}/s, {sample[1]:,.1f} µs")
    return lambda name, quantity: Figure(samples=tuple(sample[quantity] for sample in taken[name]))


async def _read_loads(run: Run, stack: AsyncExitStack, server: Running, http: str) -> dict[str, Load]:
    answer = _got(f"http://{http}{PATH}")
    limit = await stack.enter_async_context(servers.bare_web(answer, run.folder))
    call = messages.get(NAME)
    size = len(enveloped(await call_once(server.address, call)))
    flood = H2load.of(run.folder, server.address, call)
    return {
        HTTP: Load(server=server, put=partial(http1, f"http://{http}{PATH}", len(answer))),
        BARE: Load(server=limit, put=partial(http1, f"http://{limit.address}{bare_web.GET}", len(answer))),
        STARLETTE: Load(server=limit, put=partial(http1, f"http://{limit.address}{bare_web.STARLETTE}", len(answer))),
        GRPC: Load(server=server, put=partial(flood.checked, size)),
    }


def _got(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # a URL of our own
        body: bytes = answer.read()
    if json.loads(body)["config"] != messages.content():
        raise RuntimeError(f"the answer to {url} has no content")
    return body


async def _deliveries(run: Run, server: Running, http: str) -> Samples:
    samples: Samples = defaultdict(list)
    watchers = min(WATCHERS, run.plan.watchers[-1])
    # One after the other: each has the service for itself.
    for repetition in range(run.plan.repetitions):
        for name in (HTTP, GRPC, BARE):
            async with AsyncExitStack() as stack:
                commits = await stack.enter_async_context(committer(run.database_url))
                subject = await _subject(run, stack, name, server, http, commits)
                await subject.watchers.ask(watchers=watchers)
                await deliver(subject, 1)
                await measure_deliveries(samples, subject, watchers, run.commits(watchers))
            cost = samples[subject.name, "cpu_us", watchers][-1]
            run.say(f"{repetition + 1}/{run.plan.repetitions} {name} delivery to {watchers:,}: {cost:,.1f} µs")
    return samples


async def _subject(
    run: Run, stack: AsyncExitStack, name: str, server: Running, http: str, commits: Committer
) -> Subject:
    if name == GRPC:
        return await service_subject(stack, server, commits)
    if name == HTTP:
        watchers = await stack.enter_async_context(remote("event_watchers", http, WATCH, str(GREETINGS)))
        return Subject(name=name, server=server, watchers=watchers, change=commits.commit)
    event = b"event: change\ndata: " + messages.content_text().encode() + b"\n\n"
    limit = await stack.enter_async_context(servers.bare_web(event, run.folder))
    watchers = await stack.enter_async_context(remote("event_watchers", limit.address, bare_web.WATCH, "1"))
    return Subject(name=name, server=limit, watchers=watchers, change=_publish(limit, event))


def _publish(server: Running, event: bytes) -> Callable[[], Awaitable[int]]:
    request = urllib.request.Request(f"http://{server.address}{bare_web.PUBLISH}", data=event)

    async def change() -> int:
        began = time.monotonic_ns()
        (await asyncio.to_thread(urllib.request.urlopen, request)).close()
        return began

    return change


def _read_rows(figure: Callable[[str, int], Figure]) -> tuple[Row, ...]:
    return (
        row(
            "http_get_configuration",
            "GetConfiguration over HTTP, 650 B",
            "calls/s",
            figure(HTTP, 0),
            limit=("a bare Starlette handler", figure(STARLETTE, 0)),
            target=AT_LEAST_08,
        ),
        row(
            "http_get_configuration_beside_asgi",
            "the same, against ASGI alone",
            "calls/s",
            figure(HTTP, 0),
            limit=("a bare ASGI handler", figure(BARE, 0)),
        ),
        row(
            "http_get_configuration_cpu",
            "the same, processor time per call",
            "µs",
            figure(HTTP, 1),
            limit=("a bare Starlette handler", figure(STARLETTE, 1)),
        ),
        row(
            "http_get_configuration_beside_grpc",
            "the same, against gRPC",
            "calls/s",
            figure(HTTP, 0),
            limit=("over gRPC", figure(GRPC, 0)),
        ),
    )


def _delivery_rows(samples: Samples, watchers: int) -> tuple[Row, ...]:
    def figure(name: str) -> Figure:
        return Figure(samples=tuple(samples[name, "cpu_us", watchers]))

    return (
        row(
            "http_delivery_cpu",
            f"processor time per server-sent event, {watchers:,} watchers",
            "µs",
            figure(HTTP),
            limit=("a bare event stream's write", figure(BARE)),
        ),
        row(
            "http_delivery_cpu_beside_grpc",
            "the same, against gRPC",
            "µs",
            figure(HTTP),
            limit=("over gRPC", figure("service")),
        ),
    )
