"""Shutdown by SIGTERM and SIGINT: orderly, with nothing lost or left behind."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from tests.api.calls import create, create_application, failing, get, patch
from tests.process.running import LIMIT_SECONDS, processes_of, program, serving
from tests.rpc.handshakes import next_message
from tests.service import connected
from tests.storage.reading import wait_until_blocked
from tests.watch.changing import watching, with_epoch

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_drains_and_ends_with_0(tmp_path: Path, database_url: str, number: signal.Signals) -> None:
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    async with serving(tmp_path, database_url) as (running, service):
        await create_application(service, "shop")
        await create(service, "web", {"a": 1})
        health = service.health.Watch(HealthCheckRequest())
        assert (await health.read()).status == HealthCheckResponse.SERVING
        watch = service.configurations.WatchConfigurations(await with_epoch(service, watching(after_revision=2)))
        assert (await next_message(watch)).synced
        locking = database.transaction()
        await locking.start()
        await database.execute("SELECT FROM commit_order FOR UPDATE")
        in_flight = asyncio.create_task(patch(service, "web", {"a": 2}))
        await wait_until_blocked(database)
        running.signal(number)
        assert (await health.read()).status == HealthCheckResponse.NOT_SERVING
        with failing(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
            await watch.read()
        await locking.rollback()
        assert (await in_flight).version == 2
        assert await running.exit_code() == 0
    assert await database.fetchval("SELECT version FROM configurations") == 2
    await database.close(timeout=10)
    assert "stopped" in running.text
    assert "Traceback" not in running.text


async def test_a_call_that_takes_longer_than_the_grace_is_cut_off(tmp_path: Path, database_url: str) -> None:
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    async with serving(tmp_path, database_url, "--shutdown-grace-seconds", "0.1") as (running, service):
        await create_application(service, "shop")
        await create(service, "web", {"a": 1})
        async with database.transaction():
            await database.execute("SELECT FROM commit_order FOR UPDATE")
            in_flight = asyncio.create_task(patch(service, "web", {"a": 2}))
            await wait_until_blocked(database)
            running.signal(signal.SIGTERM)
            assert await running.exit_code() == 0
            await asyncio.gather(in_flight, return_exceptions=True)
    await database.close(timeout=10)
    assert running.events("grace period over: calls in flight were cancelled")


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_embedded_database_ends_too_and_keeps_the_data(
    tmp_path: Path, data_dir: Path, number: signal.Signals
) -> None:
    arguments = ("serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir))
    async with program(tmp_path, *arguments) as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event()) as service:
            await create_application(service, "shop")
            created = await create(service, "web", {"a": 1})
        assert processes_of(data_dir)
        running.signal(number)
        assert await running.exit_code() == 0
    assert processes_of(data_dir) == []
    async with program(tmp_path, *arguments) as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event()) as service:
            assert await get(service, "web") == created


async def test_a_signal_during_the_start_ends_everything(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with program(tmp_path, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder)) as running:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not any(folder.glob("postgres*")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert processes_of(tmp_path) == []
    assert not running.events("ready")
    assert "Traceback" not in running.text


async def test_a_signal_while_the_database_is_waited_for_ends_it(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", database_url="postgresql://configsvc@127.0.0.1:1/configsvc") as running:
        await running.wait_for("waiting for the database")
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0


async def test_during_the_drain_delay_health_is_not_serving_and_calls_are_served_until_a_second_signal(
    tmp_path: Path, database_url: str
) -> None:
    async with serving(tmp_path, database_url, "--drain-delay-seconds", "600") as (running, service):
        await create_application(service, "shop")
        health = service.health.Watch(HealthCheckRequest())
        assert (await health.read()).status == HealthCheckResponse.SERVING
        watch = service.configurations.WatchConfigurations(await with_epoch(service, watching(after_revision=1)))
        assert (await next_message(watch)).synced
        running.signal(signal.SIGTERM)
        assert (await health.read()).status == HealthCheckResponse.NOT_SERVING
        async with connected(service.address, asyncio.Event()) as another:
            assert (await create(another, "web", {"a": 1})).version == 1
        message = await watch.read()
        assert isinstance(message, WatchConfigurationsResponse)
        assert message.revision == 2
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0


async def test_after_the_drain_delay_the_service_drains(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url, "--drain-delay-seconds", "0.5") as (running, service):
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        assert (await next_message(watch)).synced
        running.signal(signal.SIGTERM)
        with failing(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
            await watch.read()
        assert await running.exit_code() == 0


async def test_workers_serve_during_the_drain_delay(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url, "--drain-delay-seconds", "600", "--workers", "2") as (running, service):
        health = service.health.Watch(HealthCheckRequest())
        assert (await health.read()).status == HealthCheckResponse.SERVING
        running.signal(signal.SIGTERM)
        assert (await health.read()).status == HealthCheckResponse.NOT_SERVING
        await create_application(service, "shop")
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
