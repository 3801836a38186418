"""The fair queue: operations of one caller leave room for those of others."""

import asyncio
from collections import defaultdict
from pathlib import Path

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import (
    CancelOperationRequest,
    GetOperationRequest,
    Operation,
    WaitOperationRequest,
)
from google.protobuf.duration_pb2 import Duration

from configapi.v1.operation_service_pb2 import OperationMetadata
from configsvc.domain.access import Role
from configsvc.operations import imports
from tests.access.people import Person, as_, make, until_known
from tests.api.calls import create_application
from tests.identity.tokens import oidc_settings
from tests.operations.operating import begin, item, messages, metadata_of
from tests.service import LIMIT_SECONDS, Service, reason_of, running_service
from tests.storage.reading import Session

State = OperationMetadata.State
GREEDY = Person(name="greedy", role=Role.EDITOR, application="one")
POLITE = Person(name="polite", role=Role.EDITOR, application="two")
Paused = defaultdict[str, asyncio.Event]


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Paused:
    """Pause imports before their check until their event, by operation name, is set."""
    check_slice, events = imports.check_slice, Paused(asyncio.Event)

    async def when_told(database: object, pool: object, operation_id: str, indexes: object) -> object:
        await events[f"operations/{operation_id}"].wait()
        return await check_slice(database, pool, operation_id, indexes)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(imports, "check_slice", when_told)
    # Retries send no notification.
    monkeypatch.setattr("configsvc.storage.jobs.POLL_SECONDS", 0.5)
    return events


async def import_one(service: Service, person: Person, name: str) -> Operation:
    assert person.application
    stream = messages([item(name, application=person.application)])
    return await service.configurations.ImportConfigurations(stream, metadata=as_(person))


async def ended(service: Service, person: Person, operation: Operation) -> State.ValueType:
    request = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=int(LIMIT_SECONDS)))
    return metadata_of(await service.operations.WaitOperation(request, metadata=as_(person))).state


async def states(service: Service, person: Person, operations: list[Operation]) -> list[State.ValueType]:
    requests = [GetOperationRequest(name=operation.name) for operation in operations]
    return [
        metadata_of(await service.operations.GetOperation(request, metadata=as_(person))).state for request in requests
    ]


async def test_many_operations_of_one_caller_do_not_keep_another_waiting(
    database_url: str, psql: Session, tmp_path: Path, paused: Paused
) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await make(service, psql, "one", GREEDY)
        await make(service, psql, "two", POLITE)
        # Theirs would count.
        await psql.execute("DELETE FROM operations")
        await until_known(service, psql)
        many = [await import_one(service, GREEDY, f"c{number}") for number in range(6)]
        for number in range(2):
            other = await import_one(service, POLITE, f"c{number}")
            paused[other.name].set()
            assert await ended(service, POLITE, other) == State.STATE_SUCCEEDED
        assert await states(service, GREEDY, many) == [State.STATE_RUNNING] * 2 + [State.STATE_PENDING] * 4
        # A queued operation can be cancelled without delaying those behind it.
        await service.operations.CancelOperation(CancelOperationRequest(name=many[2].name), metadata=as_(GREEDY))
        for operation in many:
            paused[operation.name].set()
        found = [await ended(service, GREEDY, operation) for operation in many]
        assert found.pop(2) == State.STATE_CANCELLED
        assert found == [State.STATE_SUCCEEDED] * 5


async def test_a_caller_has_so_many_operations_that_have_not_ended(
    database_url: str, psql: Session, tmp_path: Path, paused: Paused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.operations.queue.UNENDED_LIMIT", 1)
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await make(service, psql, "one", GREEDY)
        await make(service, psql, "two", POLITE)
        await psql.execute("DELETE FROM operations")
        await until_known(service, psql)
        first = await import_one(service, GREEDY, "a")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await import_one(service, GREEDY, "b")
        assert reason_of(caught.value) == "RATE_LIMITED"
        paused[(await import_one(service, POLITE, "a")).name].set()
        paused[first.name].set()
        assert await ended(service, GREEDY, first) == State.STATE_SUCCEEDED
        second = await import_one(service, GREEDY, "b")
        paused[second.name].set()
        assert await ended(service, GREEDY, second) == State.STATE_SUCCEEDED


async def test_operations_have_no_limits_where_callers_are_not_distinguished(
    service: Service, paused: Paused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.operations.queue.UNENDED_LIMIT", 1)
    monkeypatch.setattr("configsvc.operations.queue.AT_ONCE", 1)
    await create_application(service)
    many = [await begin(service, item(f"c{number}")) for number in range(3)]
    async with asyncio.timeout(LIMIT_SECONDS):
        for operation in many:
            request = WaitOperationRequest(name=operation.name, timeout=Duration(nanos=20_000_000))
            while metadata_of(await service.operations.WaitOperation(request)).state != State.STATE_RUNNING:
                pass
    for operation in many:
        paused[operation.name].set()
