"""Slots that keep room for other callers, whatever one caller does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import WaitOperationRequest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationItem,
    ConfigurationWrite,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CheckSchemaVersionRequest, CreateSchemaRequest
from configsvc.configurations.cache import Cache
from configsvc.configurations.reads import Encoding, Reads
from configsvc.domain.access import Role
from configsvc.domain.errors import RateLimitedError, ResourceNotFoundError
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.models import IdRef, Now
from configsvc.limits.quotas import LONG_LIVED_CALLS, Limits, Quota
from configsvc.limits.slots import Slots, caller_slots, connection_turn
from configsvc.storage.database import open_database
from configsvc.validation.checks import Check, Checks
from configsvc.writes.group_commit import GroupCommit
from configsvc.writes.plan import RunAlone
from configsvc.writes.transactions import queue_key
from tests.access.people import ROOT, Person, as_, create, make
from tests.identity.tokens import oidc_settings
from tests.service import reason_of, running_service, struct
from tests.storage.reading import Session

SOMETHING = IdRef(id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
LIMIT_SECONDS = 20.0


def test_calls_that_may_last_are_few_of_each_kind() -> None:
    limits = Limits(calls_per_second=0, calls_burst=1, calls_at_once=1, watches_per_caller=1, watches_per_process=1)
    quota = Quota(limits, Slots({"reads": 1, "writes": 1, "watches": 1}))
    running = [quota.long_lived("export") for _ in range(LONG_LIVED_CALLS)]
    for one in running:
        one.__enter__()
    with pytest.raises(RateLimitedError), quota.long_lived("export"):
        pass
    with quota.long_lived("wait"):
        assert not quota.is_idle
    running[0].__exit__(None, None, None)
    with quota.long_lived("export"):
        pass


async def test_one_that_waits_for_many_operations_keeps_nobody_from_waiting(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    owner = Person(name="o", role=Role.EDITOR, application="one")
    other = Person(name="p", role=Role.EDITOR, application="two")
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        mine = await make(service, psql, "one", owner)
        theirs = await make(service, psql, "two", other)

        def waiting(operation_id: str, person: Person, seconds: int) -> Any:
            request = WaitOperationRequest(name=f"operations/{operation_id}", timeout=Duration(seconds=seconds))
            return service.operations.WaitOperation(request, metadata=as_(person))

        await psql.execute("UPDATE operations SET state = 'PENDING', end_time = NULL")
        calls = [waiting(mine.operation_id, owner, 60) for _ in range(LONG_LIVED_CALLS + 5)]
        refused = 0
        async with asyncio.timeout(LIMIT_SECONDS):
            for ended in asyncio.as_completed([asyncio.ensure_future(outcome(call)) for call in calls]):
                refused += await ended == "RATE_LIMITED"
                if refused == 5:
                    break
        await waiting(theirs.operation_id, other, 0)
        for call in calls:
            call.cancel()


async def outcome(call: Any) -> str:
    """Return the reason why a call failed; empty if it did not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error) if error.code() is not grpc.StatusCode.CANCELLED else ""
    except asyncio.CancelledError:
        return ""
    return ""


async def test_a_read_does_not_wait_for_one_that_waits_for_connections_of_another(database_url: str) -> None:
    async with open_database(database_url, turn=connection_turn) as database:
        feed: Any = SimpleNamespace(history=object(), live=True, lag_seconds=0.0, revision=0)
        reads = Reads(
            database,
            feed,
            Cache(1024 * 1024),
            Encoding(text=lambda _: b"", struct=lambda _: b"", text_to_struct=lambda _: b""),
        )
        greedy, polite = Slots(database.caller_pools), Slots(database.caller_pools)
        while not greedy.connections["reads"].locked():
            await greedy.connections["reads"].acquire()

        async def get(slots: Slots) -> None:
            caller_slots.set(slots)
            with pytest.raises(ResourceNotFoundError):
                await reads.get(SOMETHING, Now(min_revision=0, latest=False), as_text=False)

        waiting = asyncio.create_task(get(greedy))
        for _ in range(10):
            await asyncio.sleep(0)
        assert reads._reading
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.create_task(get(polite))
            assert not waiting.done()
            greedy.connections["reads"].release()
            await waiting


async def test_what_is_done_alone_counts_as_its_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_alone(
        _connection: object, _validators: object, _checks: object, writes: list[Any], *, lock_seconds: float | None
    ) -> tuple[RunAlone, ...]:
        return tuple(RunAlone() for _ in writes)

    async def as_they_are(_: object, __: object, outcomes: tuple[Any, ...]) -> tuple[Any, ...]:
        return outcomes

    async def no_answers(*_: object) -> dict[int, Any]:
        return {}

    @asynccontextmanager
    async def nothing(*_: object) -> AsyncGenerator[None]:
        yield

    seen: dict[str, Slots | None] = {}

    async def write_one(_subject: str, write: Any) -> Any:
        seen[write.ref.id] = caller_slots.get()
        return write

    monkeypatch.setattr("configsvc.writes.group_commit.execute_group", all_alone)
    monkeypatch.setattr("configsvc.writes.group_commit.load_written", no_answers)
    monkeypatch.setattr("configsvc.writes.group_commit.settle_repeated", as_they_are)
    database: Any = SimpleNamespace(merge=nothing)
    batches: Any = SimpleNamespace(validators=None, checks=None, write_one=write_one)
    group_commit = GroupCommit(database, batches)
    slots = {name: Slots({"reads": 1, "writes": 1, "watches": 1}) for name in ("a", "b")}

    async def write(name: str) -> None:
        caller_slots.set(slots[name])
        context = SimpleNamespace(validate_only=False, request_id="", key=("", ""))
        deletion: Any = SimpleNamespace(ref=IdRef(id=name), context=context)
        await group_commit.write(deletion)

    await asyncio.gather(write("a"), write("b"))
    assert seen == slots


def test_nobody_waits_in_the_queue_of_another() -> None:
    mine: Any = SimpleNamespace(actor="user:mine")
    other: Any = SimpleNamespace(actor="user:other")
    assert queue_key(mine, "shop") != queue_key(other, "shop")


async def test_of_each_caller_one_slow_validation_stands_in_the_queue() -> None:
    # With three validations of one caller queued, another caller's waits only for the first.
    began: list[str] = []
    ends: dict[str, asyncio.Event] = {}

    async def call_once(_: object, __: object, text: str, ___: float) -> tuple[()]:
        began.append(text)
        await ends.setdefault(text, asyncio.Event()).wait()
        return ()

    pool: Any = SimpleNamespace(call_once=call_once)
    checks = Checks(pool)
    greedy, polite = Slots({"reads": 1, "writes": 1, "watches": 1}), Slots({"reads": 1, "writes": 1, "watches": 1})

    async def check(slots: Slots, text: str) -> None:
        caller_slots.set(slots)
        slow: Any = SimpleNamespace(compiled=SimpleNamespace(documents=b""), text=text)
        assert await checks.faults(slow) == ()

    async def end(text: str) -> None:
        while text not in began:  # noqa: ASYNC110  # it is the next
            await asyncio.sleep(0)
        ends[text].set()

    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(check(greedy, f"greedy {number}"))
        await asyncio.sleep(0)
        tasks.create_task(check(polite, "polite"))
        for text in ("greedy 0", "polite", "greedy 1", "greedy 2"):
            await end(text)
    assert began == ["greedy 0", "polite", "greedy 1", "greedy 2"]


async def test_what_is_validated_for_a_caller_counts_as_its_own(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Single writes, batches and schema versions alike.
    monkeypatch.setattr("configsvc.validation.checks.STEPS_AT_ONCE", 0)
    slots: list[Slots | None] = []

    async def faults(_: Checks, __: Check) -> tuple[Fault, ...]:
        slots.append(caller_slots.get())
        return ()

    monkeypatch.setattr(Checks, "faults", faults)
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await make(service, psql, "one", Person(name="e", role=Role.EDITOR, application="one"))
        new = CreateSchemaRequest(name="any", document=struct({}))
        await service.schemas.CreateSchema(new, metadata=as_(ROOT))
        pin = SchemaVersionRef(schema="any")
        await create(service, "one", "web", {}, schema=pin)
        change = ConfigurationItem(application=ApplicationRef(name="one"), name="api", config=struct({}), schema=pin)
        batch = BatchWriteConfigurationsRequest(writes=[ConfigurationWrite(upsert=change)])
        await service.configurations.BatchWriteConfigurations(batch, metadata=as_(ROOT))
        check = CheckSchemaVersionRequest(name="any", document=struct({}))
        await service.schemas.CheckSchemaVersion(check, metadata=as_(ROOT))
    assert len(slots) >= 3
    assert None not in slots
    assert len(set(slots)) == 1
