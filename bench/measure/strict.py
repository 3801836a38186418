"""A new version of a schema: the check of all configurations pinned to the schema, and their move."""

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import grpc
from google.protobuf.struct_pb2 import Struct

from bench.loads import messages
from bench.peers.databases import connected
from bench.peers.processes import Running
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
# The rows of a check, without the check.
READ = "SELECT count(length(config::text)) FROM configurations WHERE schema = $1"


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of strict versions."""
    samples = defaultdict[str, tuple[float, ...]](tuple)
    async with (
        run.service() as server,
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
        row("strict_memory", f"memory added by both, {title}", "KiB", figure("memory"), by="value"),
    )


def _document(version: int) -> Struct:
    properties: dict[str, object] = {name: {} for name in messages.content()}
    return messages.struct({"type": "object", "properties": properties, "title": f"{version}"})


async def _prepare(run: Run, schemas: "SchemaServiceAsyncStub") -> None:
    request = CreateSchemaRequest(name=SCHEMA, document=_document(0), closing=CLOSING_AS_WRITTEN)
    await schemas.CreateSchema(request)
    async with connected(run.database_url, limit_seconds=LIMIT_SECONDS) as connection:
        await connection.execute(PIN, messages.APPLICATION, messages.content_text(), SCHEMA, run.plan.pinned)
        await connection.execute("VACUUM ANALYZE configurations")


async def _measure_once(
    run: Run, server: Running, schemas: "SchemaServiceAsyncStub", repetition: int, samples: dict[str, tuple[float, ...]]
) -> None:
    async with connected(run.database_url, limit_seconds=LIMIT_SECONDS) as connection:
        started = time.monotonic()
        await connection.fetchval(READ, SCHEMA)
        samples["read"] += (run.plan.pinned / (time.monotonic() - started),)
    before, stop = server.resident_kib(), asyncio.Event()
    weighing = asyncio.create_task(server.most_resident_kib(stop))
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
