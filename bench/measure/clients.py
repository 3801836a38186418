"""The client library: its start, its memory, and a read from it."""

from collections import defaultdict

from bench.loads.remote import remote
from bench.plan import Run
from bench.report.results import Row, Target, figures, row

READS = 1_000_000
QUICK_READS = 1000
# A read is a look-up in the memory of the program.
MOST_MICROSECONDS = 1.0


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of the client library, each sample from a new program."""
    samples: defaultdict[str, tuple[float, ...]] = defaultdict(tuple)
    configurations = 0
    async with run.service() as server:
        for repetition in range(run.plan.repetitions):
            async with remote("client_reader", server.address) as program:
                answer = await program.ask(reads=QUICK_READS if run.plan.quick else READS)
            configurations = int(answer.pop("configurations"))
            for quantity, value in answer.items():
                samples[quantity] += (value,)
            run.say(f"{repetition + 1}/{run.plan.repetitions} client library: {answer['read_us']:.3f} µs a read")
    figure = figures(samples, {})
    following = f"client library, {configurations:,} configurations"
    return (
        row(
            "client_read",
            f"read from memory (processor time), {following}",
            "µs",
            figure("read_us"),
            by="value",
            target=Target(at="most", bound=MOST_MICROSECONDS),
        ),
        row("client_start", f"start, {following}", "ms", figure("start_ms")),
        row("client_memory", f"memory, {following}", "MiB", figure("memory_mib")),
    )
