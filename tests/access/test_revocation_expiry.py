"""Streams that end when the token that opened them expires."""

import asyncio
import time
from collections.abc import AsyncIterable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from tests.app.scraping import measured_service
from tests.identity.tokens import bearing, oidc_settings
from tests.service import reason_of, running_service

if TYPE_CHECKING:
    import asyncpg

LIMIT_SECONDS = 30.0
# With 250 kB each, far more than gRPC buffers for a client that does not read.
CONFIGURATIONS = 60


def expiring(seconds: float) -> tuple[tuple[str, str], ...]:
    """Return the metadata of an admin whose token expires after that many seconds."""
    return bearing("root", exp=time.time() + seconds)


async def read_to_end(
    messages: AsyncIterable[WatchConfigurationsResponse], received: list[WatchConfigurationsResponse]
) -> None:
    async for message in messages:
        received.append(message)  # noqa: PERF401  # what came before an error counts too


async def test_a_watch_ends_when_its_token_expires(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path, oidc_leeway_seconds=0)) as service:
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=expiring(1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(read_to_end(watch, []), LIMIT_SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason_of(caught.value) == "UNAUTHENTICATED"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.configurations.WatchConfigurations(
                WatchConfigurationsRequest(), metadata=bearing("root", exp=time.time() - 1)
            ).read()
        assert caught.value.details() == "the token has expired"


async def test_a_watch_whose_client_does_not_read_is_cut_off_when_its_token_expires(
    database_url: str, psql: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
    await psql.execute(
        "INSERT INTO configurations (application, name, config) SELECT 'shop', 'c' || n, "
        "jsonb_build_object('a', repeat('x', 250000)) FROM generate_series(1, $1::int) AS n",
        CONFIGURATIONS,
    )
    for transport in ("rpc.exchanges", "http2.streams"):
        monkeypatch.setattr(f"configsvc.{transport}.STATUS_LIMIT_SECONDS", 0.2)
    async with measured_service(database_url, **oidc_settings(tmp_path, oidc_leeway_seconds=0)) as (service, metrics):
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=expiring(2))
        await watch.initial_metadata()
        await metrics.until("configsvc_calls_in_flight", 0)
        await psql.execute("UPDATE configurations SET config = '{}'")
        received: list[WatchConfigurationsResponse] = []
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await asyncio.wait_for(read_to_end(watch, received), LIMIT_SECONDS)
        assert sum(len(message.events) for message in received) < CONFIGURATIONS
