"""The client library over both transports: its start, its memory, a read, a change, and many that come back at once."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from bench.loads import messages
from bench.loads.calls import method
from bench.loads.commits import Committer, committer
from bench.loads.remote import Remote, remote
from bench.peers import servers
from bench.peers.processes import Running, free_address
from bench.peers.programs import missing
from bench.plan import Run
from bench.report.results import Figure, Row, Target, figures, row

READS = 1_000_000
QUICK_READS = 1000
# Of one configuration, followed by a client of everything.
CHANGES = 200
QUICK_CHANGES = 5
GETS = 3000
QUICK_GETS = 50
# A read is a look-up in the memory of the program.
MOST_MICROSECONDS = 1.0
TRANSPORTS = ("gRPC", "HTTP")

Samples = defaultdict[str, tuple[float, ...]]


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of the client library, each sample from new programs."""
    samples: Samples = defaultdict(tuple)
    addresses: dict[str, str] = {transport: free_address() for transport in TRANSPORTS}
    async with AsyncExitStack() as stack:
        commits = await stack.enter_async_context(committer(run.database_url))
        etcd = None if missing("etcd") else await stack.enter_async_context(servers.etcd(run.folder))
        for repetition in range(run.plan.repetitions):
            turn = f"{repetition + 1}/{run.plan.repetitions}"
            async with AsyncExitStack() as crowds:
                async with _service(run, addresses):
                    for transport in TRANSPORTS:
                        await _add_reader(run, samples, transport, _url(addresses, transport), commits, turn)
                    crowd = [await _crowd(run, crowds, _url(addresses, transport)) for transport in TRANSPORTS]
                await commits.commit()
                async with _service(run, addresses):
                    await _add_crowds(run, samples, crowd, commits, turn)
            if etcd:
                samples["etcd get_us"] += (await _get_microseconds(etcd, QUICK_GETS if run.plan.quick else GETS),)
    reason = missing("etcd")
    return _rows(run, figures(samples, {"etcd get_us": reason} if reason else {}), _counted(samples))


@asynccontextmanager
async def _service(run: Run, addresses: dict[str, str]) -> AsyncGenerator[None]:
    """Serve at the same addresses each time."""
    environment = {"CONFIGSVC_HTTP_LISTEN": addresses["HTTP"]}
    async with run.service_with(environment=environment, address=addresses["gRPC"]):
        yield


def _url(addresses: dict[str, str], transport: str) -> str:
    return addresses[transport] if transport == "gRPC" else f"http://{addresses[transport]}"


def _counted(samples: Samples) -> int:
    return int(max(samples["gRPC configurations"], default=0))


async def _add_reader(run: Run, samples: Samples, transport: str, address: str, commits: Committer, turn: str) -> None:
    changes = QUICK_CHANGES if run.plan.quick else CHANGES
    async with remote("client_reader", address) as program:
        answer = await program.ask(reads=QUICK_READS if run.plan.quick else READS)
        for quantity, value in answer.items():
            samples[f"{transport} {quantity}"] += (value,)
        before = await program.ask()
        for _ in range(changes):
            await commits.commit()
        after = await program.ask(turn=commits.turn)
    samples[f"{transport} change_us"] += ((after["cpu_s"] - before["cpu_s"]) / changes * 1e6,)
    run.say(
        f"{turn} {transport} client: start {answer['start_ms']:.0f} ms, {answer['read_us']:.3f} µs a read, "
        f"{samples[f'{transport} change_us'][-1]:.0f} µs a change"
    )


async def _crowd(run: Run, stack: AsyncExitStack, address: str) -> Remote:
    """Start half of the processes."""
    crowd = await stack.enter_async_context(remote("client_crowd", address, str(run.plan.crowd // 2)))
    await crowd.ask(turn="")
    return crowd


async def _add_crowds(run: Run, samples: Samples, crowds: Sequence[Remote], commits: Committer, turn: str) -> None:
    """Measure the time until all have a change from while the service was away, after it has said that it serves."""
    serving_ns = time.monotonic_ns()
    answers = await asyncio.gather(*(crowd.ask(turn=commits.turn) for crowd in crowds))
    for transport, answer in zip(TRANSPORTS, answers, strict=True):
        # Some are back before that.
        back_ms = max(0.0, (answer["last_ns"] - serving_ns) / 1e6)
        samples[f"{transport} back_ms"] += (back_ms,)
        samples[f"{transport} own_mib"] += (answer["own_mib"],)
        run.say(f"{turn} {run.plan.crowd} processes: those over {transport} were back after {back_ms:,.0f} ms")


async def _get_microseconds(etcd: Running, gets: int) -> float:
    """Return the time of one Get after the other, by a gRPC client in this process."""
    async with grpc.aio.insecure_channel(etcd.address) as channel:
        put, get = messages.etcd_put(messages.WATCHED), messages.etcd_range(messages.WATCHED)
        await method(channel, put.path)(put.request)
        send = method(channel, get.path)
        await send(get.request)
        began = time.perf_counter()
        for _ in range(gets):
            await send(get.request)
        return (time.perf_counter() - began) / gets * 1e6


def _rows(run: Run, figure: Callable[[str], Figure], configurations: int) -> tuple[Row, ...]:
    following = f"client library, {configurations:,} configurations"
    crowd = f"{run.plan.crowd} processes, half{{}}"
    # Key, title, unit and quantity of what is measured over each transport.
    quantities = (
        ("client_start", f"start{{}}, {following}", "ms", "start_ms"),
        ("client_start_cpu", f"start{{}} (processor time), {following}", "ms", "start_cpu_ms"),
        ("client_memory", f"memory{{}}, {following}", "MiB", "memory_mib"),
        ("client_change", f"a change{{}} (processor time), {following}", "µs", "change_us"),
        ("client_crowd", f"{crowd}: restart of the service until all have a change", "ms", "back_ms"),
        ("client_process", f"{crowd}: the own memory of one", "MiB", "own_mib"),
    )
    read = row(
        "client_read",
        f"read from memory (processor time), {following}",
        "µs",
        figure("gRPC read_us"),
        etcd=("Get over loopback, one after the other", figure("etcd get_us")),
        by="value",
        target=Target(at="most", bound=MOST_MICROSECONDS),
    )
    both = (
        row(key + suffix, title.format(over), unit, figure(f"{transport} {quantity}"))
        for key, title, unit, quantity in quantities
        for transport, suffix, over in (("gRPC", "", " over gRPC"), ("HTTP", "_http", " over HTTP"))
    )
    return (read, *both)
