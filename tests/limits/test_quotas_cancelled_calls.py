"""Calls that count against their caller's quota until the work is done, even if the caller cancelled them."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationWrite,
    DeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configsvc.domain.access import Role
from tests.access.people import Person, Target, as_, key, make, until_known
from tests.identity.tokens import oidc_settings
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, reason_of, running_service, struct
from tests.storage.reading import Session

CALLS_AT_ONCE = 2
# Enough for the server to hear of calls that were cancelled before.
CALLS = 100


@pytest.mark.parametrize("batch", [False, True])
async def test_a_write_that_its_caller_cancelled_counts_until_it_is_done(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, batch: bool
) -> None:
    monkeypatch.setattr("configsvc.access.admission.DELAY_SECONDS", 0.0)
    editor = Person(name="e", role=Role.EDITOR, application="one")
    settings = oidc_settings(tmp_path, calls_at_once=CALLS_AT_ONCE)
    async with running_service(database_url, **settings) as service:
        target = await make(service, psql, "one", editor)
        await until_known(service, psql)
        async with psql.transaction():
            await psql.execute("SELECT FROM configurations WHERE id = $1 FOR UPDATE", target.id)
            calls = [update(service, target, editor, batch=batch) for _ in range(CALLS_AT_ONCE)]
            await until(service, editor, "RATE_LIMITED")
            for call in calls:
                call.cancel()
            answers = {await outcome(service, editor) for _ in range(CALLS)}
            assert answers == {"RATE_LIMITED"}
        await until(service, editor, "INVALID_REQUEST")


def update(service: Service, target: Target, person: Person, *, batch: bool) -> Any:
    """Begin a write of a configuration, by its key, so that nothing is looked up before."""
    ref = key(target.application, target.name)
    if batch:
        change = ConfigurationChangeItem(key=ref, merge_patch=struct({"a": 1}))
        many = BatchWriteConfigurationsRequest(writes=[ConfigurationWrite(update=change)])
        return service.configurations.BatchWriteConfigurations(many, metadata=as_(person))
    one = UpdateConfigurationRequest(key=ref, merge_patch=struct({"a": 1}))
    return service.configurations.UpdateConfiguration(one, metadata=as_(person))


async def outcome(service: Service, person: Person) -> str:
    """Return the reason why a call fails that does not touch the database."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(), metadata=as_(person))
    return reason_of(caught.value)


async def until(service: Service, person: Person, wanted: str) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while await outcome(service, person) != wanted:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)
