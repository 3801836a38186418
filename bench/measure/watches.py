"""The cost of a watch and the latency of a change, for the service, a bare stream and etcd, by number of watchers."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Literal

import grpc

from bench.loads import messages
from bench.loads.calls import method, stream
from bench.loads.commits import Committer, committer
from bench.loads.load import Done, Load
from bench.loads.messages import Call
from bench.loads.remote import Remote, remote
from bench.peers import bare, servers
from bench.peers.processes import Running
from bench.peers.programs import missing
from bench.plan import NGH2, Run
from bench.report.results import Curve, Figure, Row, Target, percentile, row

SERVICE, ON_NGH2, BARE, ETCD, LISTEN = "service", "service on ngh2", "bare stream", "etcd", "LISTEN"

Quantity = Literal["cpu_us", "memory_kib", "p50_ms", "p99_ms"]
Samples = defaultdict[tuple[str, Quantity, int], list[float]]
FigureOf = Callable[[str, Quantity, int], Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server and its watchers. `change` causes one message for each, and returns time.monotonic_ns of its start."""

    name: str
    server: Running
    watchers: Remote
    change: Callable[[], Awaitable[int]]


async def measure(run: Run) -> tuple[tuple[Row, ...], tuple[Curve, ...]]:
    """Return the rows of the watch, and the lines of the plot."""
    samples: Samples = defaultdict(list)
    for repetition in range(run.plan.repetitions):
        async with AsyncExitStack() as stack:
            commits = await stack.enter_async_context(committer(run.database_url))
            subjects = await _subjects(run, stack, commits)
            heard = await _climb(run, samples, subjects, commits, f"{repetition + 1}/{run.plan.repetitions}")
            for watchers, latencies_ms in heard.items():
                _add_latencies(samples, LISTEN, watchers, latencies_ms)
        # By itself: a commit reaches the watchers of all services of the database.
        async with AsyncExitStack() as stack:
            commits = await stack.enter_async_context(committer(run.database_url))
            service = await stack.enter_async_context(run.service_with(*NGH2))
            subject = await service_subject(stack, service, commits, name=ON_NGH2)
            await _climb(run, samples, [subject], commits, f"{repetition + 1}/{run.plan.repetitions} ngh2")

    def figure(name: str, quantity: Quantity, watchers: int) -> Figure:
        taken = tuple(samples.get((name, quantity, watchers), ()))
        reason = missing("etcd") if name == ETCD else None
        return Figure(samples=taken, missing="" if taken else reason or f"not with {watchers:,} watchers in this run")

    return _rows(figure), _curves(figure, run.plan.watchers[1:])


async def loads(run: Run, stack: AsyncExitStack, *, most: int) -> dict[str, Load]:
    """Start the service, open at most `most` watches, and return the load of deliveries to them."""
    commits = await stack.enter_async_context(committer(run.database_url))
    server = await stack.enter_async_context(run.service())
    subject = await service_subject(stack, server, commits)
    watchers = min(most, run.plan.watchers[-1])
    await subject.watchers.ask(watchers=watchers)
    return {f"delivery, {_counted(watchers)}": Load(server=server, put=partial(_deliver_for, subject))}


async def _deliver_for(subject: Subject, seconds: float) -> Done:
    began, taken, delivered = time.monotonic(), 0.0, 0
    while taken < seconds:
        delivered += len(await deliver(subject, 1))
        taken = time.monotonic() - began
    return Done(count=delivered, seconds=taken)


async def _subjects(run: Run, stack: AsyncExitStack, commits: Committer) -> list[Subject]:
    """Start all servers, to measure them in turn. An idle one costs the others nothing."""
    service = await stack.enter_async_context(run.service())
    message = await _message(service.address, commits)
    bare_server = await stack.enter_async_context(servers.bare(message, run.folder))
    bare_watch = Call(path=bare.WATCH, request=b"")
    publish = await _change_by(stack, bare_server, Call(path=bare.PUBLISH, request=message))
    subjects = [
        await service_subject(stack, service, commits),
        await _subject(stack, BARE, bare_server, bare_watch, publish, greetings=1),
    ]
    if not missing("etcd"):
        etcd = await stack.enter_async_context(servers.etcd(run.folder))
        put = await _change_by(stack, etcd, messages.etcd_put(messages.WATCHED))
        watch = messages.etcd_watch(messages.WATCHED)
        subjects.append(await _subject(stack, ETCD, etcd, watch, put, greetings=1, half_open=True))
    return subjects


async def service_subject(
    stack: AsyncExitStack, server: Running, commits: Committer, *, name: str = SERVICE
) -> Subject:
    # The opening, a snapshot and synced precede the changes.
    return await _subject(stack, name, server, messages.watch(), commits.commit, greetings=3)


async def _subject(
    stack: AsyncExitStack,
    name: str,
    server: Running,
    call: Call,
    change: Callable[[], Awaitable[int]],
    *,
    greetings: int,
    half_open: bool = False,
) -> Subject:
    arguments = (server.address, call.path, call.request.hex(), str(greetings), str(not half_open))
    watchers = await stack.enter_async_context(remote("watchers", *arguments))
    return Subject(name=name, server=server, watchers=watchers, change=change)


async def _message(address: str, commits: Committer) -> bytes:
    """Return the service's message for one change. A gRPC client receives it, so errors are raised."""
    async with stream(address, messages.watch()) as received:
        _opened, snapshot, _synced = await anext(received), await anext(received), await anext(received)
        await commits.commit()
        message = await anext(received)
    if messages.WATCHED.encode() not in snapshot or messages.WATCHED.encode() not in message:
        raise RuntimeError("the messages of the watch have no configuration")
    return message


async def _change_by(stack: AsyncExitStack, server: Running, call: Call) -> Callable[[], Awaitable[int]]:
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
    send = method(channel, call.path)

    async def change() -> int:
        began = time.monotonic_ns()
        await send(call.request)
        return began

    return change


async def _climb(
    run: Run, samples: Samples, subjects: list[Subject], commits: Committer, turn: str
) -> dict[int, list[float]]:
    """Open more and more watches, and measure at each number of them; return the latencies of LISTEN meanwhile."""
    resident: dict[str, float] = {}
    heard: dict[int, list[float]] = {}
    for watchers in run.plan.watchers:
        for subject in subjects:
            await subject.watchers.ask(watchers=watchers)
            # The first delivery allocates memory once; the measurement of memory comes after it.
            await deliver(subject, 1)
            weight = subject.server.resident_kib()
            alone = resident.setdefault(subject.name, weight)
            if watchers > 1:
                samples[subject.name, "memory_kib", watchers].append((weight - alone) / (watchers - 1))
        commits.heard_ms.clear()
        for subject in subjects:
            await measure_deliveries(samples, subject, watchers, run.commits(watchers))
        heard[watchers] = list(commits.heard_ms)
        shown = ", ".join(
            f"{subject.name} {samples[subject.name, 'p50_ms', watchers][-1]:.2f} ms" for subject in subjects
        )
        run.say(f"{turn} {watchers:,} watchers, median from commit to watcher: {shown}")
    return heard


async def measure_deliveries(samples: Samples, subject: Subject, watchers: int, commits: int) -> None:
    before = subject.server.cpu_seconds()
    latencies_ms = await deliver(subject, commits)
    used = subject.server.cpu_seconds() - before
    samples[subject.name, "cpu_us", watchers].append(used * 1e6 / (watchers * commits))
    _add_latencies(samples, subject.name, watchers, latencies_ms)


def _add_latencies(samples: Samples, name: str, watchers: int, latencies_ms: list[float]) -> None:
    samples[name, "p50_ms", watchers].append(percentile(latencies_ms, 50))
    samples[name, "p99_ms", watchers].append(percentile(latencies_ms, 99))


async def deliver(subject: Subject, commits: int) -> list[float]:
    """Make one change after the other, each after all deliveries of the last; return the latency of each delivery."""
    latencies_ms: list[float] = []
    for _ in range(commits):
        began = await subject.change()
        arrivals: list[int] = await subject.watchers.ask()
        latencies_ms += ((arrived - began) / 1e6 for arrived in arrivals)
    return latencies_ms


def _rows(figure: FigureOf) -> tuple[Row, ...]:
    return (
        *(_delivery_row(figure, watchers) for watchers in (1000, 10_000)),
        *(_ngh2_delivery_row(figure, watchers) for watchers in (1000, 10_000)),
        _memory_row(figure, 10_000),
        _ngh2_memory_row(figure, 10_000),
        *(_ngh2_latency_row(figure, watchers, bound) for watchers, bound in ((1, 1.0), (1000, 4.0), (10_000, 20.0))),
        _latency_row(figure, 1, Target(at="most", bound=2.0)),
        _latency_row(figure, 100, Target(at="most", bound=2.0)),
        _latency_row(figure, 1000, None),
        _latency_row(figure, 10_000, None),
        row(
            "latency_p99_1000",
            "commit to watcher, p99, 1,000 watchers",
            "ms",
            figure(SERVICE, "p99_ms", 1000),
            limit=("raw LISTEN", figure(LISTEN, "p99_ms", 1000)),
            etcd=("put to watcher", figure(ETCD, "p99_ms", 1000)),
            by="value",
            target=Target(at="most", bound=100.0),
        ),
    )


def _delivery_row(figure: FigureOf, watchers: int) -> Row:
    return row(
        f"delivery_cpu_{watchers}",
        f"processor time per delivery, {watchers:,} watchers",
        "µs",
        figure(SERVICE, "cpu_us", watchers),
        limit=("a bare stream's write", figure(BARE, "cpu_us", watchers)),
        etcd=("watch", figure(ETCD, "cpu_us", watchers)),
        target=Target(at="most", bound=1.3),
    )


def _memory_row(figure: FigureOf, watchers: int) -> Row:
    return row(
        "watch_memory",
        f"memory of an idle watch, {watchers:,} watchers",
        "KiB",
        figure(SERVICE, "memory_kib", watchers),
        limit=("a bare stream", figure(BARE, "memory_kib", watchers)),
        etcd=("watch", figure(ETCD, "memory_kib", watchers)),
        by="difference",
        target=Target(at="most", bound=25.0),
    )


def _ngh2_delivery_row(figure: FigureOf, watchers: int) -> Row:
    return row(
        f"delivery_cpu_ngh2_{watchers}",
        f"processor time per delivery, transport ngh2, {watchers:,} watchers",
        "µs",
        figure(ON_NGH2, "cpu_us", watchers),
        limit=("etcd's watch", figure(ETCD, "cpu_us", watchers)),
        target=Target(at="most", bound=1.0),
    )


def _ngh2_memory_row(figure: FigureOf, watchers: int) -> Row:
    return row(
        "watch_memory_ngh2",
        f"memory of an idle watch, transport ngh2, {watchers:,} watchers",
        "KiB",
        figure(ON_NGH2, "memory_kib", watchers),
        limit=("etcd's watch", figure(ETCD, "memory_kib", watchers)),
        by="value",
        target=Target(at="most", bound=14.0),
    )


def _ngh2_latency_row(figure: FigureOf, watchers: int, bound: float) -> Row:
    return row(
        f"latency_p50_ngh2_{watchers}",
        f"commit to watcher, p50, transport ngh2, {_counted(watchers)}",
        "ms",
        figure(ON_NGH2, "p50_ms", watchers),
        etcd=("put to watcher", figure(ETCD, "p50_ms", watchers)),
        by="value",
        target=Target(at="most", bound=bound),
    )


def _latency_row(figure: FigureOf, watchers: int, target: Target | None) -> Row:
    return row(
        f"latency_p50_{watchers}",
        f"commit to watcher, p50, {_counted(watchers)}",
        "ms",
        figure(SERVICE, "p50_ms", watchers),
        limit=("raw LISTEN", figure(LISTEN, "p50_ms", watchers)),
        etcd=("put to watcher", figure(ETCD, "p50_ms", watchers)),
        by="difference",
        target=target,
    )


def _counted(watchers: int) -> str:
    return f"{watchers:,} {'watcher' if watchers == 1 else 'watchers'}"


def _curves(figure: FigureOf, counts: tuple[int, ...]) -> tuple[Curve, ...]:
    def points(name: str, quantity: Quantity) -> tuple[tuple[int, float], ...]:
        return tuple((count, median(samples)) for count in counts if (samples := figure(name, quantity, count).samples))

    return (
        Curve(panel="latency", title="configsvc, p99", points=points(SERVICE, "p99_ms")),
        Curve(panel="latency", title="configsvc, p50", points=points(SERVICE, "p50_ms")),
        Curve(panel="latency", title="etcd, p50", points=points(ETCD, "p50_ms")),
        Curve(panel="latency", title="bare grpc.aio stream, p50", points=points(BARE, "p50_ms")),
        Curve(panel="latency", title="raw LISTEN, p50", points=points(LISTEN, "p50_ms")),
        Curve(panel="memory", title="configsvc", points=points(SERVICE, "memory_kib")),
        Curve(panel="memory", title="etcd", points=points(ETCD, "memory_kib")),
        Curve(panel="memory", title="bare grpc.aio stream", points=points(BARE, "memory_kib")),
    )
