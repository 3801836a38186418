"""A stop, or the age of a connection, cuts off no call that was accepted, however clients send them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from configapi.v1.configuration_service_pb2 import ExportConfigurationsRequest, ImportConfigurationsRequest
from tests.api.calls import create, create_application, creation
from tests.app.test_run_draining import crowd
from tests.operations.operating import item
from tests.postgres import plain_connection
from tests.rpc.raw_http2 import END_STREAM, frame
from tests.service import LIMIT_SECONDS, Service, running_service
from tests.transports.attacked import until
from tests.transports.paths import CREATE, EXPORT, IMPORT, LIST, WATCH
from tests.transports.raw import (
    LARGEST_WINDOW,
    NO_ERROR,
    Raw,
    begin,
    call,
    data,
    prefixed,
    raw_connection,
    reset,
    window_update,
)
from tests.transports.sizes import ROUNDS
from tests.transports.transports import on

OK, UNAVAILABLE = "status 0", "status 14"
UPLOADED = ImportConfigurationsRequest(items=[item("up")]).SerializeToString()
# Calls that a client sends at once, without waiting for answers.
BATCH = 40
# That other clients have made before the stop.
LEAST = 50


class Pipeline:
    """A client that sends creations on one connection, many at a time, as long as it may open streams."""

    def __init__(self, raw: Raw, prefix: str) -> None:
        self._raw = raw
        self._prefix = prefix
        self.sent: dict[int, str] = {}

    async def run(self) -> None:
        """Send batches until the server says that it goes, or closes the connection."""
        raw = self._raw
        raw.send(window_update(0, LARGEST_WINDOW - 65_535))
        while not raw.goaways and not raw.closed:
            first = 2 * len(self.sent) + 1
            batch = range(first, first + 2 * BATCH, 2)
            self.sent |= {stream: f"{self._prefix}-{stream}" for stream in batch}
            raw.send(*(call(one, CREATE, creation(self.sent[one]).SerializeToString()) for one in batch))
            await raw.until(lambda batch=batch: bool(raw.goaways) or all(raw.answer(one).over for one in batch))
        await raw.until_closed()

    @property
    def accepted(self) -> dict[str, str]:
        """The ends of the calls that the server has promised to answer, by the names that they create."""
        last = min(last for last, _, _ in self._raw.goaways)
        return {name: self._raw.answer(one).outcome for one, name in self.sent.items() if one <= last}

    @property
    def created(self) -> set[str]:
        return {name for one, name in self.sent.items() if self._raw.answer(one).outcome == OK}


@asynccontextmanager
async def pipelines(address: str, count: int) -> AsyncGenerator[list[Pipeline]]:
    """Let clients send until the server has closed their connections."""
    async with AsyncExitStack() as stack, asyncio.timeout(2 * LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        made: list[Pipeline] = []
        for number in range(count):
            raw = await stack.enter_async_context(raw_connection(address, window=LARGEST_WINDOW))
            made.append(Pipeline(raw, f"p{number}"))
            tasks.create_task(made[-1].run())
        yield made


@pytest.mark.timeout(60 * ROUNDS)
async def test_stops_under_load_answer_all_that_was_accepted(database_url: str, transport: str) -> None:
    created: set[str] = set()
    ends: set[str] = set()
    for number in range(ROUNDS):
        async with running_service(database_url, **on(transport)) as service:
            if not number:
                await create_application(service)
            async with pipelines(service.address, 3) as clients, crowd(service.address, 2, 4) as calling:
                await until(lambda: len(calling.created) >= LEAST and all(one.created for one in clients))
                service.stop.set()
            for client in clients:
                assert set(client.accepted.values()) <= {OK, UNAVAILABLE}
                created |= client.created
            ends |= set(calling.ends)
            created |= {f"{name}" for name in calling.created}
        async with plain_connection(database_url) as session:
            found = {row["name"] for row in await session.fetch("DELETE FROM configurations RETURNING name")}
        assert found == created
        created.clear()
    assert ends <= {"UNAVAILABLE ", "UNAVAILABLE SHUTTING_DOWN"}


@asynccontextmanager
async def calls_under_way(service: Service) -> AsyncGenerator[Raw]:
    """Yield a connection with a watch, an export that waits for its client, and an upload that does."""
    await create_application(service)
    for number in range(4):
        await create(service, f"c{number}", {"text": "x" * 100_000})
    async with raw_connection(service.address, window=10_000) as raw:
        # As if the client were far away, PINGs are not answered at once.
        raw.silent = True
        export = ExportConfigurationsRequest().SerializeToString()
        raw.send(call(1, WATCH, b""), call(3, EXPORT, export), begin(5, IMPORT), data(5, prefixed(UPLOADED)))
        await raw.until(lambda: bool(raw.answer(1).data) and bool(raw.answer(3).data))
        yield raw


async def finish(raw: Raw) -> None:
    """Read the export and end the upload; both succeed."""
    raw.send(window_update(0, 2**24), window_update(1, 2**24), window_update(3, 2**24))
    raw.send(data(5, prefixed(UPLOADED[:0])), frame(0, END_STREAM, 5, b""))
    assert (await raw.end_of(3)).outcome == OK
    assert (await raw.end_of(5)).outcome == OK


async def test_a_stop_waits_for_streams_and_uploads(database_url: str, transport: str) -> None:
    settings: Any = {"grace_seconds": LIMIT_SECONDS, **on(transport)}
    async with running_service(database_url, **settings) as service, calls_under_way(service) as raw:
        service.stop.set()
        await raw.until(lambda: bool(raw.goaways))
        raw.speak()
        await finish(raw)
        # A watch never ends by itself: it is told to go elsewhere.
        assert (await raw.end_of(1)).outcome == UNAVAILABLE
        await raw.until_closed()
        assert raw.closed
        assert {code for _, code, _ in raw.goaways} == {NO_ERROR}


async def test_an_old_connection_ends_after_its_calls(database_url: str, transport: str) -> None:
    settings: Any = {"connection_age_seconds": 0.5, **on(transport)}
    async with running_service(database_url, **settings) as service, calls_under_way(service) as raw:
        await raw.until(lambda: bool(raw.goaways))
        # It was on its way when the server had the client told.
        raw.send(call(7, LIST, b""))
        raw.speak()
        assert (await raw.end_of(7)).outcome == OK
        await finish(raw)
        raw.send(reset(1))
        await raw.until_closed()
        assert raw.closed
        assert {code for _, code, _ in raw.goaways} == {NO_ERROR}
