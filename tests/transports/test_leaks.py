"""However calls and connections end, no task, connection or call is left."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable

import psutil
import pytest
import pytest_asyncio

from configapi.v1.configuration_service_pb2 import ImportConfigurationsRequest
from tests.api.calls import create, create_application
from tests.app.scraping import Metrics, measured_service
from tests.operations.operating import item
from tests.postgres import cloned_database
from tests.rpc.raw_http2 import END_STREAM, GOAWAY, frame
from tests.service import Service
from tests.transports.attacked import open_connections, until
from tests.transports.paths import CREATE, EXPORT, GET, IMPORT, LIST, REFLECTION, WATCH
from tests.transports.raw import Raw, begin, call, data, prefixed, raw_connection, reset
from tests.transports.sizes import REPEATS
from tests.transports.transports import on

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_defect")]
UPLOADED = ImportConfigurationsRequest(items=[item("up")]).SerializeToString()
# One call of each kind that is under way and goes no further by itself.
CALLS = (
    begin(1, CREATE)
    + call(3, WATCH, b"")
    + call(5, EXPORT, b"")
    + begin(7, IMPORT)
    + data(7, prefixed(UPLOADED))
    + begin(9, REFLECTION)
    + begin(11, WATCH)
    + data(11, b"\0\0")
)
STREAMS = range(1, 12, 2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def measured(
    postgres_server: str, template_database: str, transport: str
) -> AsyncGenerator[tuple[Service, Metrics]]:
    async with (
        cloned_database(postgres_server, template_database) as url,
        measured_service(url, **on(transport)) as (service, metrics),
    ):
        await create_application(service)
        await create(service, "web", {"text": "x" * 100_000})
        yield service, metrics


async def opened(raw: Raw) -> None:
    """Begin the calls, and wait until the watch is open."""
    raw.send(CALLS)
    await raw.until(lambda: bool(raw.answer(3).data))


async def by_resets(raw: Raw) -> None:
    await opened(raw)
    raw.send(*(reset(stream) for stream in STREAMS))
    assert await raw.echoed()


async def by_resets_at_once(raw: Raw) -> None:
    raw.send(CALLS, *(reset(stream) for stream in STREAMS))
    assert await raw.echoed()


async def by_ends(raw: Raw) -> None:
    """End the streams of requests, also in the middle of a message; windows stay closed."""
    await opened(raw)
    raw.send(*(frame(0, END_STREAM, stream, b"") for stream in (1, 7, 9, 11)))
    await raw.until(lambda: all(raw.answer(stream).over for stream in (1, 7, 9)))


async def by_deadlines(raw: Raw) -> None:
    brief = ("grpc-timeout", "30m")
    raw.send(begin(1, CREATE, brief), begin(3, IMPORT, brief), call(5, WATCH, b"", brief), call(7, EXPORT, b"", brief))
    # The status of the others waits behind what this client does not read.
    await raw.until(lambda: all(raw.answer(stream).over for stream in (1, 3)))


async def by_half_close(raw: Raw) -> None:
    await opened(raw)
    raw.half_close()
    await raw.until_closed()


async def by_close(raw: Raw) -> None:
    await opened(raw)


async def by_close_at_once(raw: Raw) -> None:
    raw.send(CALLS)


async def by_tcp_reset(raw: Raw) -> None:
    await opened(raw)
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def by_goaway(raw: Raw) -> None:
    await opened(raw)
    raw.send(frame(GOAWAY, 0, 0, bytes(8)), *(reset(stream) for stream in STREAMS))


async def by_an_error(raw: Raw) -> None:
    await opened(raw)
    raw.send(frame(GOAWAY, 0, 1, bytes(7)))
    await raw.until(lambda: bool(raw.goaways))


async def by_an_error_at_once(raw: Raw) -> None:
    raw.send(CALLS, frame(GOAWAY, 0, 1, bytes(7)))
    await raw.until(lambda: bool(raw.goaways))


async def by_answers(raw: Raw) -> None:
    raw.send(*(call(stream, path, b"") for stream, path in ((1, LIST), (3, GET), (5, "/a/b"), (7, CREATE))))
    await raw.until(lambda: all(raw.answer(stream).over for stream in (1, 3, 5, 7)))


ENDS: tuple[Callable[[Raw], Awaitable[None]], ...] = (
    by_resets,
    by_resets_at_once,
    by_ends,
    by_deadlines,
    by_half_close,
    by_close,
    by_close_at_once,
    by_tcp_reset,
    by_goaway,
    by_an_error,
    by_an_error_at_once,
    by_answers,
)


async def end_one(service: Service, end: Callable[[Raw], Awaitable[None]]) -> None:
    async with raw_connection(service.address, window=1000) as raw:
        await end(raw)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_calls_that_end_leave_nothing(
    measured: tuple[Service, Metrics], end: Callable[[Raw], Awaitable[None]]
) -> None:
    service, metrics = measured
    # The first of each kind may leave something for all.
    await end_one(service, end)
    await metrics.until("configsvc_calls_in_flight", 0)
    process = psutil.Process()
    tasks, connections = len(asyncio.all_tasks()), open_connections(process, service.address)
    for _ in range(REPEATS):
        await end_one(service, end)
    await metrics.until("configsvc_calls_in_flight", 0)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: open_connections(process, service.address) <= connections)
