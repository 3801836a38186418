"""A new version of a schema, held against all configurations that are pinned to it, and moved to."""

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import asyncpg
import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from bench.loads import messages
from bench.peers import servers
from bench.peers.processes import Running
from bench.peers.weight import weigh
from bench.plan import Run
from bench.report.results import Row, figures, row
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN
from configapi.v1.schema_service_pb2 import (
    CheckSchemaVersionRequest,
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
)
from configapi.v1.schema_service_pb2_grpc import SchemaServiceStub

if TYPE_CHECKING:
    from configapi.v1.schema_service_pb2_grpc import SchemaServiceAsyncStub

SCHEMA = "strict"
LIMIT_SECONDS = 300
PIN = """
INSERT INTO configurations (application, name, config, schema)
SELECT $1, 'pinned-' || number, $2::jsonb, $3 FROM generate_series(1, $4) AS number
"""
# What a check reads, without anything being done with it.
READ = "SELECT count(length(config::text)) FROM configurations WHERE schema = $1"


async def measure(run: Run) -> tuple[Row, ...]:
    """The rows of strict versions."""
    samples = defaultdict[str, tuple[float, ...]](tuple)
    async with (
        servers.service_of(run) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await _prepare(run, SchemaServiceStub(channel))
        for repetition in range(run.plan.repetitions):
            await _measure_once(run, server, SchemaServiceStub(channel), repetition, samples)
            rate = samples["check"][-1]
            run.say(f"{repetition + 1}/{run.plan.repetitions} check of pinned: {rate:,.0f} configurations/s")
    figure = figures(samples, {})
    title = f"{run.plan.pinned:,} pinned configurations"
    bare = ("a bare SELECT of them", figure("read"))
    return (
        row("strict_check", f"CheckSchemaVersion over {title}", "configurations/s", figure("check"), limit=bare),
        row(
            "strict_move", f"CreateSchemaVersion, STRICT, over {title}", "configurations/s", figure("move"), limit=bare
        ),
        row("strict_memory", f"what both add to the memory, {title}", "KiB", figure("memory"), by="value"),
    )


def _document(version: int) -> Struct:
    properties: dict[str, object] = {name: {} for name in messages.content()}
    return ParseDict({"type": "object", "properties": properties, "title": f"{version}"}, Struct())


async def _prepare(run: Run, schemas: "SchemaServiceAsyncStub") -> None:
    request = CreateSchemaRequest(name=SCHEMA, document=_document(0), closing=CLOSING_AS_WRITTEN)
    await schemas.CreateSchema(request)
    connection = await asyncpg.connect(run.database_url, timeout=10, command_timeout=LIMIT_SECONDS)
    await connection.execute(PIN, messages.APPLICATION, messages.content_text(), SCHEMA, run.plan.pinned)
    await connection.execute("VACUUM ANALYZE configurations")
    await connection.close(timeout=10)


async def _measure_once(
    run: Run, server: Running, schemas: "SchemaServiceAsyncStub", repetition: int, samples: dict[str, tuple[float, ...]]
) -> None:
    connection = await asyncpg.connect(run.database_url, timeout=10, command_timeout=LIMIT_SECONDS)
    started = time.monotonic()
    await connection.fetchval(READ, SCHEMA)
    samples["read"] += (run.plan.pinned / (time.monotonic() - started),)
    await connection.close(timeout=10)
    before, stop = server.resident_kib(), asyncio.Event()
    weighing = asyncio.create_task(weigh(server, stop))
    document = _document(repetition + 1)
    started = time.monotonic()
    check = CheckSchemaVersionRequest(name=SCHEMA, document=document, closing=CLOSING_AS_WRITTEN)
    checked = await schemas.CheckSchemaVersion(check, timeout=LIMIT_SECONDS)
    samples["check"] += (checked.checked_count / (time.monotonic() - started),)
    started = time.monotonic()
    new = CreateSchemaVersionRequest(name=SCHEMA, document=document, closing=CLOSING_AS_WRITTEN)
    await schemas.CreateSchemaVersion(new, timeout=LIMIT_SECONDS)
    samples["move"] += (run.plan.pinned / (time.monotonic() - started),)
    stop.set()
    samples["memory"] += (await weighing - before,)
