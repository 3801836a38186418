"""Shutdown under load: every call is answered or refused, and what was refused was not done."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest
from grpc import StatusCode

from tests.api.calls import create, create_application, creation, get
from tests.process.running import program, serving
from tests.rpc import raw_http2 as frames
from tests.service import LIMIT_SECONDS, Service, connected, reason_if_any
from tests.storage.reading import wait_until_blocked

# Calls in sequence on many connections, and many at once on few.
CROWDS = [(150, 1), (10, 15)]
CREATE = "/configapi.v1.ConfigurationService/CreateConfiguration"


class Crowd:
    """Callers that create configurations one after the other until the server can no longer be reached."""

    def __init__(self) -> None:
        self.created: set[str] = set()
        self.ends: Counter[str] = Counter()
        self._busy = asyncio.Event()

    async def call(self, service: Service, name: str) -> None:
        """Call until no connection can be made."""
        for number in range(1_000_000):
            try:
                await create(service, f"{name}-{number}")
                self.created.add(f"{name}-{number}")
                await get(service, f"{name}-{number}")
            except grpc.aio.AioRpcError as error:
                end = f"{error.code().name} {reason_if_any(error)}"
                self.ends[end] += 1
                if error.code() is not StatusCode.UNAVAILABLE:
                    self.ends[f"{end}: {error.details()}"] += 1
                if end != "UNAVAILABLE SHUTTING_DOWN":
                    return
            if len(self.created) > 300:
                self._busy.set()

    async def busy(self) -> None:
        """Wait until hundreds of calls were answered."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._busy.wait()


@asynccontextmanager
async def crowd(address: str, channels: int, callers: int) -> AsyncGenerator[Crowd]:
    """Let callers call on their own channels; at the end, wait until each was refused a connection."""
    made = Crowd()
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(connected(address, asyncio.Event())) for _ in range(channels)]
        async with asyncio.timeout(2 * LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
            for index, service in enumerate(services):
                for caller in range(callers):
                    tasks.create_task(made.call(service, f"c-{index}-{caller}"))
            yield made


async def test_a_connection_is_closed_only_after_its_last_answer_and_never_with_an_error(
    tmp_path: Path, database_url: str
) -> None:
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    async with serving(tmp_path, database_url) as (running, service), asyncio.timeout(LIMIT_SECONDS):
        await create_application(service)
        async with frames.connection(service.address, window=65_535) as raw:
            async with database.transaction():
                await database.execute("SELECT FROM revision_counter FOR UPDATE")
                raw.send(frames.call(1, CREATE, creation("web").SerializeToString()))
                await wait_until_blocked(database)
                running.signal(signal.SIGTERM)
                await raw.until(frames.GOAWAY, 0)
            await raw.until(frames.DATA, 1)
            await raw.until_closed()
            assert {payload[4:8] for kind, _, payload in raw.frames if kind == frames.GOAWAY} == {bytes(4)}
            assert not [stream for kind, stream, _ in raw.frames if kind == frames.RST_STREAM]
        assert await running.exit_code() == 0
    assert await database.fetchval("SELECT count(*) FROM configurations") == 1
    await database.close(timeout=10)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("channels", "callers"), CROWDS)
async def test_a_stop_under_load_answers_what_it_accepted_and_does_nothing_that_it_refused(
    tmp_path: Path, database_url: str, channels: int, callers: int, workers: str
) -> None:
    async with program(tmp_path, "serve", listen="127.0.0.1:0", database_url=database_url, workers=workers) as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event()) as service:
            await create_application(service)
        async with crowd(ready["listen"], channels, callers) as calling:
            await calling.busy()
            running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert set(calling.ends) <= {"UNAVAILABLE ", "UNAVAILABLE SHUTTING_DOWN"}
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    stored = {record["name"] for record in await database.fetch("SELECT name FROM configurations")}
    await database.close(timeout=10)
    assert stored == calling.created
