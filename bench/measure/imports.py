"""An import of many configurations, and the latency of reads during it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from itertools import count
from typing import Any

import grpc
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.longrunning.operations_proto_pb2 import Operation, WaitOperationRequest

from bench.loads import messages
from bench.peers.processes import Running
from bench.plan import Run, Transport
from bench.report.results import Row, Target, figures, percentile, row
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    ConfigurationItem,
    GetConfigurationRequest,
    ImportConfigurationsRequest,
)
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.operation_service_pb2 import ImportConfigurationsResult

MESSAGE_ITEMS = 500
LEAST = Target(at="least", bound=8000)
READ_PAUSE_SECONDS = 0.005
WAIT_SECONDS = 60

Samples = defaultdict[str, tuple[float, ...]]


async def measure(run: Run, transport: Transport) -> tuple[Row, ...]:
    """Return the rows of imports."""
    samples: Samples = defaultdict(tuple)
    async with (
        run.service(*transport.flags) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        for repetition in range(run.plan.repetitions):
            await _measure_once(run, server, channel, repetition, samples)
            rate = samples["rate"][-1]
            run.say(f"{repetition + 1}/{run.plan.repetitions} import{transport.title}: {rate:,.0f} configurations/s")
    figure = figures(samples, {})
    title = f"import of {run.plan.imported:,} configurations{transport.title}"
    return (
        row(f"import{transport.key}", f"{title}, atomic", "configurations/s", figure("rate"), by="value", target=LEAST),
        row(
            f"import_memory{transport.key}",
            f"{title}: most memory, with the other process",
            "KiB",
            figure("memory"),
            by="value",
        ),
        *(
            row(
                f"import_read_p{percent}{transport.key}",
                f"GetConfiguration meanwhile, p{percent}{transport.title}",
                "ms",
                figure(f"p{percent}"),
                limit=("before", figure(f"p{percent} before")),
            )
            for percent in (50, 99)
        ),
    )


async def _measure_once(
    run: Run, server: Running, channel: grpc.aio.Channel, repetition: int, samples: Samples
) -> None:
    stop = asyncio.Event()
    reading = asyncio.create_task(_read(channel, stop))
    await asyncio.sleep(run.plan.seconds)
    stop.set()
    _add_latencies(samples, " before", await reading)
    stop = asyncio.Event()
    reading, weighing = asyncio.create_task(_read(channel, stop)), asyncio.create_task(server.most_resident_kib(stop))
    started = time.monotonic()
    await _import(channel, _items(repetition, run.plan.imported))
    samples["rate"] += (run.plan.imported / (time.monotonic() - started),)
    stop.set()
    _add_latencies(samples, "", await reading)
    samples["memory"] += (await weighing,)


def _add_latencies(samples: Samples, suffix: str, seconds: list[float]) -> None:
    for percent in (50, 99):
        samples[f"p{percent}{suffix}"] += (percentile(seconds, percent) * 1000,)


async def _read(channel: grpc.aio.Channel, stop: asyncio.Event) -> list[float]:
    """Read until `stop` is set, and return the seconds that each read took."""
    stub = ConfigurationServiceStub(channel)
    taken: list[float] = []
    for index in count():
        name = messages.row_name(index % messages.ROWS)
        key = ConfigurationKey(application=messages.APPLICATION, name=name)
        request = GetConfigurationRequest(key=key)
        started = time.perf_counter()
        await stub.GetConfiguration(request)
        taken.append(time.perf_counter() - started)
        if stop.is_set():
            break
        await asyncio.sleep(READ_PAUSE_SECONDS)
    return taken


def _items(repetition: int, number: int) -> Iterator[ImportConfigurationsRequest]:
    config = messages.struct(messages.content())
    application = ApplicationRef(name=messages.APPLICATION)
    for first in range(0, number, MESSAGE_ITEMS):
        yield ImportConfigurationsRequest(
            items=[
                ConfigurationItem(application=application, name=f"import-{repetition}-{index}", config=config)
                for index in range(first, min(first + MESSAGE_ITEMS, number))
            ]
        )


async def _with_pauses(requests: Iterator[ImportConfigurationsRequest]) -> AsyncGenerator[ImportConfigurationsRequest]:
    # The reader is in this process too and needs the event loop.
    for request in requests:
        yield request
        await asyncio.sleep(0)


async def _import(channel: grpc.aio.Channel, requests: Iterator[ImportConfigurationsRequest]) -> None:
    operation: Operation = await ConfigurationServiceStub(channel).ImportConfigurations(_with_pauses(requests))
    # The package of the stub has no types for asyncio.
    operations: Any = OperationsStub(channel)
    while not operation.done:
        request = WaitOperationRequest(name=operation.name)
        request.timeout.seconds = WAIT_SECONDS
        operation = await operations.WaitOperation(request)
    result = ImportConfigurationsResult()
    if not operation.response.Unpack(result):
        raise RuntimeError(f"the import failed: {operation.error.message}")
