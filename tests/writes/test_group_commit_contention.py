"""Isolation: the callers, sessions or tasks that must not delay others."""

import asyncio

import grpc
import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.storage import database as connections
from tests.api.calls import Connection, create, create_application, failing, get, head, patch
from tests.service import LIMIT_SECONDS, Service, reason_of, running_service


async def test_a_row_that_a_session_locks_leaves_the_other_writers_alone(service: Service, psql: Connection) -> None:
    await create_application(service)
    await create(service, "locked")
    async with psql.transaction():
        await psql.execute("SELECT FROM configurations WHERE name = 'locked' FOR UPDATE")
        waiting = [asyncio.create_task(patch(service, "locked", {"a": number})) for number in range(40)]
        for number in range(20):
            await create(service, f"free{number}")
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert len(errors) == len(waiting)
    assert {(error.code(), reason_of(error)) for error in errors} == {(StatusCode.ABORTED, "WRITE_CONFLICT")}


async def test_a_write_that_takes_too_long_changes_nothing_and_says_so(
    database_url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_SETTINGS", connections.WRITE_SETTINGS | {"statement_timeout": "100ms"})
    async with running_service(database_url) as service:
        await create_application(service)
        await psql.execute(
            """INSERT INTO configurations (application, name, config)
            SELECT 'shop', 'c' || number, '{}' FROM generate_series(1, 10000) AS number"""
        )
        with failing(StatusCode.RESOURCE_EXHAUSTED, "WRITE_TOO_LARGE"):
            await service.applications.UpdateApplication(
                UpdateApplicationRequest(name="shop", application=Application(name="store"))
            )
        assert (await get(service, "c1")).version == 1


async def test_a_key_that_is_deleted_and_made_again_in_one_commit_is_found_by_who_waited_for_it(
    service: Service, psql: Connection
) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    async with psql.transaction():
        await psql.execute("DELETE FROM configurations WHERE name = 'web'")
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
        waiting = asyncio.create_task(patch(service, "web", {"b": 2}))
        # The answer shows that it has arrived, because it came first on the same connection.
        await head(service)
    assert (await waiting).version == 2


async def test_a_client_that_goes_away_while_a_write_waits_for_it_is_no_internal_error(
    service: Service, psql: Connection
) -> None:
    await create_application(service)
    with capture_logs() as logs:
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        await watch.read()
        # More than gRPC buffers for a client that does not read.
        for number in range(100):
            await psql.execute(
                "INSERT INTO configurations (application, name, config) VALUES ('shop', $1, $2)",
                f"c{number}",
                '{"a": "%s"}' % ("x" * 100_000),
            )
        watch.cancel()
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (ended := [line for line in logs if line["event"] == "call" and "Watch" in line["method"]]):
                await head(service)
    assert [line["code"] for line in ended] == ["CANCELLED"]
    assert not [line for line in logs if line["event"] == "internal error"]
