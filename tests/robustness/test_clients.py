"""Clients that stop reading, or vanish."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC
from configsvc.feed.ring import RING_LIMIT_BYTES
from configsvc.rpc.server import OPTIONS
from configsvc.watch.audiences import REMEMBERED_BYTES
from configsvc.web.events import SHARED_BYTES
from tests.process.running import serving
from tests.proxy import proxied_address
from tests.robustness import validators
from tests.robustness.clients import Client, EventClient, watch_of
from tests.robustness.form import FORM, IS_LONG, PATIENCE_SECONDS
from tests.robustness.stage import judge, watching
from tests.service import running_service
from tests.storage.reading import Session, application, head
from tests.watch.changing import fill
from tests.watch.history import read_history

STALLED = 5
# Of each commit.
MEGABYTES = 3
MEBIBYTE = 1024 * 1024
# Buffers of gRPC and of the stream for each client that does not read, and the allocator's overhead.
BYTES_OF_A_STREAM = 8 * MEBIBYTE
BYTES_OF_THE_ALLOCATOR = 64 * MEBIBYTE


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_a_client_that_does_not_read_costs_bounded_memory_and_holds_nobody_up(
    tmp_path: Path, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (program, service):
        reads = asyncio.Event()
        over_grpc = [Client([service.address], watch_of(), pace=reads.wait) for _ in range(STALLED)]
        over_http = [EventClient([service.http_address], watch_of(), pace=reads.wait) for _ in range(STALLED)]
        stalled = [*over_grpc, *over_http]
        request = watch_of()
        request.view = CONFIGURATION_VIEW_BASIC
        quick = Client([service.address], request)
        async with watching([quick, *stalled]):
            memory = psutil.Process(program.process.pid).memory_info
            before = memory().rss
            for number in range(FORM.stalled_megabytes // MEGABYTES):
                await fill(psql, 10 * MEGABYTES, prefix=f"large{number}-", size=100_000)
                await quick.until_revision(await head(psql))
            assert all(client.revision < quick.revision for client in stalled)
            after = memory().rss
            print(f"measured: {len(stalled)} clients that do not read cost {(after - before) // MEBIBYTE} MiB")
            limit = (
                RING_LIMIT_BYTES
                + REMEMBERED_BYTES
                + SHARED_BYTES
                + len(stalled) * BYTES_OF_A_STREAM
                + BYTES_OF_THE_ALLOCATOR
            )
            validators.bounded(before=before, after=after, limit=limit)
            reads.set()
            for client in (over_grpc[0], over_http[0]):
                await client.until_revision(await head(psql))
    judge([quick, over_grpc[0], over_http[0]], await read_history(database_url))


async def test_the_stream_of_a_client_that_vanished_is_ended(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not IS_LONG:
        quick = {"grpc.keepalive_time_ms": 1000, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
        monkeypatch.setattr("configsvc.rpc.server.OPTIONS", tuple((dict(OPTIONS) | quick).items()))
        monkeypatch.setattr("configsvc.http2.keepalive.KEEPALIVE_SECONDS", 1.0)
        monkeypatch.setattr("configsvc.http2.keepalive.PING_SECONDS", 0.5)
    await application(psql)
    async with running_service(database_url) as service, proxied_address(service.address) as (proxy, address):
        client = Client([address], watch_of())
        async with watching([client]):
            started = time.monotonic()
            proxy.lose()
            # The client itself would never notice: it is the server that closes the connection.
            await client.until(lambda client: bool(client.ends) and client.synced)
            print(f"measured: a client that vanished was noticed after {time.monotonic() - started:.1f} s")
    judge([client], await read_history(database_url))
