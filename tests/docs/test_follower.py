"""The program in the guide keeps its copy true, whatever happens between it and the service."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from configsvc.app.run import run_service
from tests.docs.follower import follow_of, program
from tests.docs.test_guide import block, line_with, process
from tests.proxy import proxied_address
from tests.rpc.handshakes import next_message
from tests.rpc.real_proxies import SHORT_TIMEOUTS, required, running_proxy
from tests.service import POLL_SECONDS, Service, running_service, settings_of

if TYPE_CHECKING:
    import asyncpg

    Psql = asyncpg.Connection[asyncpg.Record]

ADDRESS = "localhost:50051"


@asynccontextmanager
async def served(database_url: str, listen: str, **more: Any) -> AsyncGenerator[None]:
    """Run the service at an address that can be used again."""
    stop, started = asyncio.Event(), asyncio.Event()
    settings = settings_of(listen=listen, shutdown_grace_seconds=1.0, **more)
    serving = asyncio.create_task(run_service(settings, database_url, stop=stop, started=lambda _: started.set()))
    try:
        await started.wait()
        yield
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def following(
    address: str, folder: Path, *, limit_seconds: float = 50.0
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run the program of the guide as it stands, at another address."""
    program = folder / "follow.py"
    text = block("docs/guide/watch.md", "python")
    assert text.count(ADDRESS) == 1
    program.write_text(text.replace(ADDRESS, address), encoding="utf-8")
    async with process(sys.executable, str(program), limit_seconds=limit_seconds) as running:
        yield running


async def insert(psql: "Psql", name: str) -> None:
    await psql.execute("INSERT INTO applications (name) VALUES ('shop') ON CONFLICT DO NOTHING")
    await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', $1, '{}')", name)


async def test_the_program_follows_and_resumes_after_restarts(database_url: str, psql: "Psql", tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/socket"
    async with following(listen, tmp_path) as program:
        async with served(database_url, listen):
            assert await line_with("[", program) == "0 []\n"
            await insert(psql, "web")
            assert await line_with("web", program) == "2 ['web']\n"
        await insert(psql, "db")
        async with served(database_url, listen):
            assert await line_with("[", program) == "3 ['db', 'web']\n"


# The program waits for three bookmarks: 30 s.
@pytest.mark.timeout(120)
async def test_the_program_notices_a_silently_lost_connection(service: Service, psql: "Psql", tmp_path: Path) -> None:
    async with (
        proxied_address(service.address) as (network, address),
        following(address, tmp_path, limit_seconds=100.0) as program,
    ):
        assert await line_with("[", program) == "0 []\n"
        network.swallow()
        await insert(psql, "web")
        assert await line_with("web", program) == "2 ['web']\n"


async def test_the_program_starts_over_when_its_revision_was_compacted(
    database_url: str, psql: "Psql", tmp_path: Path
) -> None:
    listen = f"unix:{tmp_path}/socket"
    async with following(listen, tmp_path) as program:
        async with served(database_url, listen):
            await line_with("0 []", program)
            await insert(psql, "web")
            await insert(psql, "gone")
            await line_with("'gone', 'web'", program)
        await psql.execute("DELETE FROM configurations WHERE name = 'gone'")
        await psql.execute("UPDATE compaction SET revision = 4")
        async with served(database_url, listen):
            assert await line_with("[", program) == "4 ['web']\n"


async def test_the_program_gives_up_what_can_never_succeed(service: Service, tmp_path: Path) -> None:
    program = tmp_path / "follow.py"
    text = block("docs/guide/watch.md", "python").replace(ADDRESS, service.address).replace('"shop"', '".."')
    program.write_text(text, encoding="utf-8")
    async with process(sys.executable, str(program), limit_seconds=50.0) as running:
        assert await running.wait() == 1


async def test_the_program_ignores_the_variable_http_proxy(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    async with following(service.address, tmp_path) as program:
        assert await line_with("[", program) == "0 []\n"


async def test_the_program_waits_until_it_may_watch(database_url: str, psql: "Psql", tmp_path: Path) -> None:
    async with running_service(database_url, watches_per_process=1) as service:
        other = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        assert (await next_message(other)).synced
        async with following(service.address, tmp_path) as program:
            with capture_logs() as lines:
                await refusal(lines)
            await insert(psql, "web")
            other.cancel()
            assert await line_with("[", program) == "2 ['web']\n"


async def refusal(lines: list[Any]) -> None:
    """Wait until the log tells of a refused call."""
    while not any(line.get("code") == "RESOURCE_EXHAUSTED" for line in lines):  # noqa: ASYNC110  # it is only logged
        await asyncio.sleep(POLL_SECONDS)


@pytest.mark.parametrize("name", ["nginx", "haproxy", "envoy"])
async def test_the_program_follows_behind_a_proxy_that_ends_its_streams(
    name: str, service: Service, psql: "Psql", tmp_path: Path
) -> None:
    kind = required(name)
    async with (
        running_proxy(kind, tmp_path, service.address, None, *SHORT_TIMEOUTS[name]) as proxy,
        following(proxy.address, tmp_path) as program,
    ):
        # It prints its copy each time that it has begun or resumed.
        for _ in range(3):
            await line_with("0 []", program)
        await insert(psql, "web")
        await line_with("2 ['web']", program)


@pytest.mark.parametrize("name", ["nginx", "haproxy", "envoy"])
async def test_the_program_follows_behind_a_proxy_through_restarts_and_reloads(
    name: str, database_url: str, psql: "Psql", tmp_path: Path
) -> None:
    kind = required(name)
    ends_old_streams = {
        "nginx": [(r"worker_shutdown_timeout 30s", "worker_shutdown_timeout 1s")],
        "haproxy": [(r"hard-stop-after 30s", "hard-stop-after 1s")],
    }.get(name, [])
    async with running_service(database_url) as first:
        listen = first.address
    async with (
        running_proxy(kind, tmp_path, listen, None, *ends_old_streams) as proxy,
        following(proxy.address, tmp_path) as program,
    ):
        async with served(database_url, listen):
            await line_with("0 []", program)
            await insert(psql, "web")
            await line_with("2 ['web']", program)
        await insert(psql, "db")
        async with served(database_url, listen):
            await line_with("3 ['db', 'web']", program)
            if kind.reload:
                proxy.reload()
                # The program prints its copy when it has resumed, through the new process of the proxy.
                await line_with("3 ['db', 'web']", program)
            await insert(psql, "api")
            await line_with("4 ['api', 'db', 'web']", program)


class ReadAndCancel:
    """A stub whose stream cancels its reader in the moment in which a message arrives."""

    def __init__(self, _channel: object) -> None:
        self.reads = 0

    def WatchConfigurations(self, _: WatchConfigurationsRequest) -> "ReadAndCancel":  # noqa: N802  # as in the contract
        return self

    async def read(self) -> WatchConfigurationsResponse:
        """Return a message; the first one comes together with a cancellation."""
        self.reads += 1
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.reads == 1:
            asyncio.get_running_loop().call_soon(self._arrive_and_cancel, arrived)
        await arrived
        return WatchConfigurationsResponse()

    def _arrive_and_cancel(self, arrived: asyncio.Future[None]) -> None:
        arrived.set_result(None)
        # After the reader has its message, and before the program has it.
        asyncio.get_running_loop().call_soon(reader.get().cancel)


reader: ContextVar[asyncio.Task[None]] = ContextVar("reader")


async def test_the_program_ends_when_it_is_cancelled_in_the_moment_of_a_message() -> None:
    module = program()
    library = SimpleNamespace(
        insecure_channel=lambda *_: nullcontext(), EOF=grpc.aio.EOF, AioRpcError=grpc.aio.AioRpcError
    )
    module.__dict__.update(ConfigurationServiceStub=ReadAndCancel, grpc=SimpleNamespace(aio=library))

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        reader.set(task)
        await follow_of(module)("unix:/nowhere", WatchConfigurationsRequest(), {}, lambda *_: None)

    running = asyncio.create_task(run())
    done, _ = await asyncio.wait((running,), timeout=5)
    running.cancel()
    assert done == {running}
    assert running.cancelled()
