"""Runs of operations: other attempts, lost jobs, and failures."""

import asyncio

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import (
    CancelOperationRequest,
)
from google.rpc.error_details_pb2 import ErrorInfo

from configapi.v1.operation_service_pb2 import OperationMetadata
from configsvc.app.housekeeping import enqueue_again
from configsvc.limits.slots import connection_turn
from configsvc.offload.processes import ProcessDiedError
from configsvc.operations import imports, runner
from configsvc.storage import jobs
from configsvc.storage.database import open_database
from tests.api.calls import create_application, names
from tests.operations.operating import (
    begin,
    ended,
    imported,
    item,
    metadata_of,
    result_of,
    until_state,
)
from tests.service import Service, running_service
from tests.storage.reading import Session


async def test_a_server_that_stops_gives_its_operation_to_another(
    service: Service, psql: Session, database_url: str, slow: asyncio.Event
) -> None:
    await create_application(service)
    operation = await begin(service, item("a"))
    await until_state(service, operation.name, OperationMetadata.STATE_RUNNING)
    service.stop.set()
    slow.set()
    async with running_service(database_url) as other:
        assert result_of(await ended(other, operation)).created_count == 1
    assert await psql.fetchval("SELECT attempt_count FROM operations") == 1


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process pool die of anything that imports ask of it."""

    async def die(*_: object) -> None:
        raise ProcessDiedError

    monkeypatch.setattr(imports, "check_slice", die)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.1)


@pytest.mark.usefixtures("deadly")
async def test_an_operation_that_always_kills_its_process_fails_in_the_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.001)
    async with running_service(database_url) as service:
        await create_application(service)
        operation = await imported(service, item("a"))
        info = ErrorInfo()
        assert operation.error.details[0].Unpack(info)
        assert (info.reason, info.metadata["attempt_count"]) == ("ATTEMPTS_EXHAUSTED", "6")
        assert metadata_of(operation).state == OperationMetadata.STATE_FAILED
        assert await names(service) == []


@pytest.mark.usefixtures("deadly")
async def test_an_operation_that_killed_its_process_waits_for_its_next_attempt_and_can_be_cancelled_meanwhile(
    database_url: str, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 3600)
    monkeypatch.setattr(runner, "LOOK_SECONDS", 0.05)
    async with running_service(database_url) as service:
        await create_application(service)
        operation = await begin(service, item("a"))
        await until_row(psql, "SELECT FROM pgqueuer WHERE attempts >= 2")
        assert await psql.fetchval("SELECT attempt_count FROM operations") == 1
        await service.operations.CancelOperation(CancelOperationRequest(name=operation.name))
        assert metadata_of(await ended(service, operation)).state == OperationMetadata.STATE_CANCELLED


async def until_row(psql: Session, query: str) -> None:
    """Wait until the query finds a row."""
    async with asyncio.timeout(20):
        while not await psql.fetch(query):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


async def test_an_operation_whose_job_is_lost_is_carried_out_all_the_same(
    service: Service, psql: Session, database_url: str, slow: asyncio.Event
) -> None:
    await create_application(service)
    operation = await begin(service, item("a"))
    await until_state(service, operation.name, OperationMetadata.STATE_RUNNING)
    service.stop.set()
    await until_row(psql, "SELECT FROM pgqueuer WHERE status = 'queued'")
    slow.set()
    await psql.execute("TRUNCATE pgqueuer")
    await psql.execute("UPDATE operations SET update_time = now() - interval '2 minutes'")
    async with open_database(database_url, turn=connection_turn) as database:
        await enqueue_again(database)
        # A second call changes nothing.
        await enqueue_again(database)
    assert await psql.fetchval("SELECT count(*) FROM pgqueuer") == 1
    async with running_service(database_url) as other:
        assert result_of(await ended(other, operation)).created_count == 1


async def test_an_operation_that_fails_unforeseen_says_only_an_id(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("configsvc.operations.imports.check_slice", broken)
    await create_application(service)
    operation = await imported(service, item("a"))
    assert operation.error.code == grpc.StatusCode.INTERNAL.value[0]
    assert operation.error.message.startswith("internal error ")
