"""Reads of a configuration with thousands of versions, against the bare statements."""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

import grpc

from bench.loads import messages
from bench.loads.calls import method
from bench.loads.messages import Call
from bench.peers.databases import Connection, connected
from bench.plan import GRPCIO, NGH2, ON_NGH2, Run, in_turn
from bench.report.results import Row, Target, figures, row
from configapi.v1.configuration_service_pb2 import ListConfigurationVersionsResponse

NAME = "versioned"
PAGE = 50
CREATE = "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3::jsonb) RETURNING id"
CHANGE = """
UPDATE configurations SET config = jsonb_set(config, '{turn}', to_jsonb($2::integer)) WHERE id = $1
"""
# Versions of one commit.
TOGETHER = 100
REVISION = "SELECT revision FROM changes WHERE kind = 'CONFIGURATION' AND resource_id = $1 AND version = $2"
BARE_PAGE = """
SELECT r.*, commits.revision
FROM (
    SELECT version, commit_id, name, comments, time, actor, reason
    FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 ORDER BY version DESC LIMIT 50
) AS r
JOIN commits ON commits.id = r.commit_id
"""
BARE_VERSION = "SELECT * FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 AND version = $2"

Read = Callable[[], Awaitable[object]]


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of history."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connected(run.database_url))
        configuration_id = await _filled(connection, run.plan.versions)
        server = await stack.enter_async_context(run.service())
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
        other = await stack.enter_async_context(run.service(*NGH2))
        on_ngh2 = await stack.enter_async_context(grpc.aio.insecure_channel(other.address))
        reads = await _reads(run, connection, ((GRPCIO.key, channel), (ON_NGH2.key, on_ngh2)), configuration_id)
        before = server.resident_kib()

        async def grown_mib() -> float:
            await _read_all(channel, run.plan.versions)
            return (server.resident_kib() - before) / 1024

        times = run.plan.version_reads
        measurements = {name: partial(_p50_ms, read, times) for name, read in reads.items()} | {"memory": grown_mib}
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    return _rows(samples, run.plan.versions)


async def _filled(connection: Connection, versions: int) -> str:
    """Create a configuration with a number of versions, and return its ID."""
    configuration_id = await connection.fetchval(CREATE, messages.APPLICATION, NAME, messages.content_text())
    for number in range(1, versions, TOGETHER):
        await connection.executemany(
            CHANGE, [(configuration_id, turn) for turn in range(number, min(number + TOGETHER, versions))]
        )
    await connection.execute("VACUUM ANALYZE")
    return configuration_id


async def _reads(
    run: Run, connection: Connection, channels: Iterable[tuple[str, grpc.aio.Channel]], configuration_id: str
) -> dict[str, Read]:
    middle = run.plan.versions // 2
    revision = await connection.fetchval(REVISION, configuration_id, middle)
    calls = {
        "page": messages.versions(NAME, PAGE),
        "version": messages.get_version(NAME, middle),
        "revision": messages.get_as_of(NAME, revision),
    }
    return {
        **{f"{name}{suffix}": _call(channel, call) for suffix, channel in channels for name, call in calls.items()},
        "bare page": partial(connection.fetch, BARE_PAGE, configuration_id),
        "bare version": partial(connection.fetchrow, BARE_VERSION, configuration_id, middle),
    }


def _call(channel: grpc.aio.Channel, call: Call) -> Read:
    return partial(method(channel, call.path), call.request)


async def _p50_ms(read: Read, times: int) -> float:
    durations: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await read()
        durations.append(time.perf_counter() - started)
    return median(durations) * 1000


async def _read_all(channel: grpc.aio.Channel, versions: int) -> None:
    """Read the whole history, with contents. Raises RuntimeError if it is incomplete."""
    found, token = 0, ""
    while not found or token:
        call = messages.versions(NAME, 1000, full=True, page_token=token)
        page = ListConfigurationVersionsResponse.FromString(await method(channel, call.path)(call.request))
        found, token = found + len(page.versions), page.next_page_token
    if found != versions:
        raise RuntimeError(f"{found} of {versions} versions were listed")


def _rows(samples: dict[str, tuple[float, ...]], versions: int) -> tuple[Row, ...]:
    figure = figures(samples, {})
    of_many = f"of {versions:,} versions"
    page, version = ("the statement alone", figure("bare page")), ("the statement alone", figure("bare version"))
    memory = row(
        "history_memory", f"growth of the process by reading all {of_many}", "MiB", figure("memory"), by="value"
    )
    # Quantity, title, limit, and the most milliseconds.
    rows = (
        ("page", f"{PAGE} {of_many}, p50", page, None),
        ("version", f"one {of_many}, p50", version, 1.1),
        ("revision", f"one {of_many} by revision, p50", version, 1.3),
    )
    return (
        *(
            row(
                f"history_{name}{transport.key}",
                title + transport.title,
                "ms",
                figure(name + transport.key),
                limit=limit,
                by="value",
                target=Target(at="most", bound=most) if most else None,
            )
            for transport in (GRPCIO, ON_NGH2)
            for name, title, limit, most in rows
        ),
        memory,
    )
