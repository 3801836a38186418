"""A background task that fails: the service ends, and nobody is cut off."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckResponse

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from tests.api.calls import Connection, failing
from tests.service import LIMIT_SECONDS, Door, Service, running_service, wait_for_health


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize("delay_seconds", [0.0, 1.0])
async def test_a_task_that_dies_ends_the_service_and_tells_the_watches(
    database_url: str, psql: Connection, delay_seconds: float, door: Door
) -> None:
    told = False
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with running_service(database_url, door=door, drain_delay_seconds=delay_seconds) as service:
            watch = await watching(service)
            if delay_seconds:
                # It dies while the service ends.
                service.stop.set()
                await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
            await break_log(psql)
            async with asyncio.timeout(LIMIT_SECONDS):
                with failing(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
                    await watch.read()
            told = True
    assert told
    assert "the log has a gap" in str(caught.value.exceptions[0])


async def watching(service: Service) -> "grpc.aio.UnaryStreamCall[Any, Any]":
    """Return a watch that has received everything there is."""
    watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
    message: Any = None
    while not (message and message.synced):
        message = await watch.read()
    return watch


async def break_log(psql: Connection) -> None:
    """Make a commit whose revision is not the next one, at which the feed dies."""
    async with psql.transaction():
        await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
        await psql.execute("UPDATE commits SET revision = revision + 1 WHERE transaction = pg_current_xact_id()")
