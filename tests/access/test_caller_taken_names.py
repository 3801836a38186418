"""A foreign application that takes over a name: a caller with a role by the old name learns neither that it exists, nor
that it is locked.
"""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import WaitOperationRequest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    ImportConfigurationsRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.error_reason_pb2 import ERROR_REASON_RESOURCE_NOT_FOUND
from configsvc.domain.access import Role
from tests.access.people import Person, Target, as_, create, key, make, until_known
from tests.api.calls import failing
from tests.feed.pausing import paused_feed
from tests.identity.tokens import oidc_settings
from tests.operations.operating import PER_ITEM
from tests.postgres import plain_connection
from tests.service import Service, running_service, struct
from tests.storage.reading import Session
from tests.writes.batches import creation, deletion, failures_of, item, patch, rename, upsert

OWN = "shop"
OWNER = Person(name="owner", role=Role.EDITOR, application=OWN)
NEIGHBOUR = Person(name="neighbour", role=Role.EDITOR, application="bank")
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@asynccontextmanager
async def taken_over(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Target]:
    """Let a locked foreign application take over the own one's name, unknown to this process; yield it."""
    own = await make(service, psql, OWN, OWNER)
    foreign = await make(service, psql, "bank", NEIGHBOUR)
    await create(service, "bank", "there", {})
    await until_known(service, psql)
    monkeypatch.setattr("configsvc.access.policy.STALENESS_LIMIT_SECONDS", 3600.0)
    rename_application = "UPDATE applications SET name = $2 WHERE id = $1"
    async with paused_feed(monkeypatch), plain_connection(database_url) as holder, holder.transaction():
        await psql.execute(rename_application, own.application_id, "gone")
        await psql.execute(rename_application, foreign.application_id, OWN)
        await holder.execute("SELECT FROM applications WHERE id = $1 FOR UPDATE", foreign.application_id)
        await holder.execute("SELECT FROM configurations WHERE application_id = $1 FOR UPDATE", foreign.application_id)
        yield foreign


async def code_of(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def import_all(service: Service, psql: Session, *names: str, **settings: Any) -> list[str]:
    """Return the errors that keep the items from being imported."""
    items = [item(name, {"n": 1}) for name in names]
    upload = iter([ImportConfigurationsRequest(items=items, mode=PER_ITEM, **settings)])
    operation = await service.configurations.ImportConfigurations(upload, metadata=as_(OWNER))
    waiting = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=30))
    assert (await service.operations.WaitOperation(waiting, metadata=as_(OWNER))).done
    number = operation.name.removeprefix("operations/")
    found = await psql.fetch("SELECT error FROM operation_items WHERE operation_id = $1", number)
    return [row["error"] for row in found]


async def test_what_took_over_a_name_is_not_there_for_who_had_a_role_by_it(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.operations.import_slices.WAIT_BUDGET_SECONDS", 0.1)
    monkeypatch.setattr("configsvc.operations.import_slices.LOCK_SECONDS", 0.1)
    async with (
        running_service(database_url, **oidc_settings(tmp_path)) as service,
        taken_over(service, psql, database_url, monkeypatch) as foreign,
    ):
        configurations, metadata = service.configurations, as_(OWNER)
        taken = key(OWN, foreign.name)
        new = CreateConfigurationRequest(application=ApplicationRef(name=OWN), name="new", config=struct({}))
        changed = UpdateConfigurationRequest(key=taken, merge_patch=struct({"n": 1}))
        gone = DeleteConfigurationRequest(key=taken)
        assert await code_of(configurations.CreateConfiguration(new, metadata=metadata)) is NOT_FOUND
        assert await code_of(configurations.UpdateConfiguration(changed, metadata=metadata)) is NOT_FOUND
        assert await code_of(configurations.DeleteConfiguration(gone, metadata=metadata)) is NOT_FOUND
        writes = [
            patch(foreign.name, {"n": 1}),
            deletion(foreign.name),
            rename("there", foreign.name),
            creation(foreign.name),
            upsert("there"),
            upsert("nothing"),
        ]
        request = BatchWriteConfigurationsRequest(writes=writes, validate_only=True)
        with failing(grpc.StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
            await configurations.BatchWriteConfigurations(request, metadata=metadata)
        failures = failures_of(caught.value)
        assert [failure.reason for failure in failures] == [ERROR_REASON_RESOURCE_NOT_FOUND] * len(writes)
        assert failures[-2].message == failures[-1].message
        names = (foreign.name, "there", "nothing")
        for upserting in (False, True):
            assert await import_all(service, psql, *names, upsert=upserting) == ["APPLICATION_NOT_FOUND"] * len(names)
