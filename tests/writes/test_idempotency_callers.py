"""A request_id is its caller's: the same one of another caller is another request."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from grpc import StatusCode
from pogo_core.util.migrate import rollback

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationWrite,
    ConfigurationWriteOutcome,
)
from configsvc.storage.migrations import _folder, _migrations, migrate
from tests.access.bindings import EDITOR, bind, create_application
from tests.api.calls import Connection, create, creation, failing, head, patch
from tests.api.calls import create_application as create_open_application
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import begin, ended, item, messages
from tests.schemas.calls import create_schema, import_schemas
from tests.service import Service, running_service
from tests.storage.test_migrations import SILENT
from tests.writes import batches


@pytest.fixture
async def guarded(database_url: str, tmp_path: Path) -> AsyncGenerator[Service]:
    """Run a service that requires tokens, with the application shop, of which ann and bob are editors."""
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await create_application(service, "shop")
        await bind(service, "user:ann", EDITOR, "shop")
        await bind(service, "user:bob", EDITOR, "shop")
        yield service


async def create_as(service: Service, caller: str, name: str, request_id: str) -> Configuration:
    request = creation(name, request_id=request_id)
    return (await service.configurations.CreateConfiguration(request, metadata=bearing(caller))).configuration


async def test_the_same_request_id_of_two_callers_is_two_requests(guarded: Service) -> None:
    request_id = str(uuid.uuid4())
    made = [await create_as(guarded, caller, f"of-{caller}", request_id) for caller in ("ann", "bob")]
    assert [await create_as(guarded, caller, f"of-{caller}", request_id) for caller in ("ann", "bob")] == made
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await create_as(guarded, "ann", "of-bob", request_id)


async def test_equal_requests_of_two_callers_with_one_request_id_are_two(guarded: Service) -> None:
    request_id = str(uuid.uuid4())
    await create_as(guarded, "ann", "web", request_id)
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create_as(guarded, "bob", "web", request_id)


async def test_calls_at_once_of_two_callers_with_one_request_id_are_all_done(
    guarded: Service, psql: Connection
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(20)]
    calls = [create_as(guarded, caller, f"{caller}-{one}", one) for one in ids for caller in ("ann", "bob")]
    made = await asyncio.gather(*calls)
    assert {one.version for one in made} == {1}
    assert await psql.fetchval("SELECT count(*) FROM requests WHERE request_id = ANY ($1::text[])", ids) == 40


async def test_batches_and_imports_of_two_callers_may_have_one_request_id(guarded: Service) -> None:
    request_id = str(uuid.uuid4())
    write = guarded.configurations.BatchWriteConfigurations
    upload = guarded.configurations.ImportConfigurations
    for caller in ("ann", "bob"):
        request = BatchWriteConfigurationsRequest(writes=[batches.creation(f"of-{caller}")], request_id=request_id)
        answers = [await write(request, metadata=bearing(caller)) for _ in range(2)]
        assert answers[0] == answers[1]
    other = str(uuid.uuid4())
    names: dict[str, set[str]] = {}
    for caller in ("ann", "bob"):
        uploads = [
            await upload(messages([item(f"item-of-{caller}")], request_id=other), metadata=bearing(caller))
            for _ in range(2)
        ]
        names[caller] = {operation.name for operation in uploads}
    assert [len(found) for found in names.values()] == [1, 1]
    assert names["ann"].isdisjoint(names["bob"])


async def outcomes(service: Service, *writes: ConfigurationWrite, request_id: str) -> list[ConfigurationWriteOutcome]:
    """Return the outcomes of a batch, without the epoch, which a migration can change."""
    return list((await batches.write(service, *writes, request_id=request_id)).outcomes)


async def test_calls_made_before_request_ids_had_callers_are_answered_again(
    database_url: str, psql: Connection
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(5)]

    async def call_all(service: Service) -> list[object]:
        return [
            await create(service, "web", {"a": 1}, request_id=ids[0]),
            await patch(service, "web", {"a": 2}, request_id=ids[1]),
            await outcomes(service, batches.creation("api"), batches.patch("web", {"a": 3}), request_id=ids[2]),
            list((await import_schemas(service, {"one": {}, "two": {}}, request_id=ids[3])).imports),
            (await ended(service, await begin(service, item("imported"), request_id=ids[4]))).name,
        ]

    async with running_service(database_url) as service:
        await create_open_application(service, "shop")
        await create_schema(service)
        first = await call_all(service)
        last = await head(service)
    since_then = sum(name >= "0002" for name in _migrations())
    await rollback(psql, _folder(), schema_name="public", logger=SILENT, count=since_then)
    assert await psql.fetchval("SELECT count(*) FROM requests") == 5
    await migrate(database_url)
    async with running_service(database_url) as service:
        assert await call_all(service) == first
        assert await head(service) == last
