"""Concurrent changes of schemas and writes that need them, with a real transaction left open where it matters."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest
from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.validator import Validator
from tests.api.calls import Connection, create, create_application, failing, get, key, patch
from tests.postgres import plain_connection
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    create_schema,
    create_version,
    delete_schema,
    get_schema,
    import_schemas,
    schema_names,
)
from tests.service import Service, reason_of
from tests.storage.reading import until_waiting, wait_until_blocked

LIMIT_SECONDS = 20.0
WEB = SchemaVersionRef(schema="web")
WEB_1 = SchemaVersionRef(schema="web", version=1)
REFERS_TO_WEB: JsonObject = {"properties": {"web": {"$ref": "configsvc://schemas/web@1"}}}


@pytest.fixture
async def shop(service: Service) -> Service:
    """Return the service with an application shop, a schema web, and a configuration a that is pinned to it."""
    await create_application(service)
    await create_schema(service)
    await create(service, "a", {"replicas": 3}, schema=WEB)
    return service


@asynccontextmanager
async def blocked_commits(database_url: str) -> AsyncGenerator[Connection]:
    """Block all commits while this context lasts; each transaction has done all its work before."""
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute("SELECT FROM commit_order FOR UPDATE")
        yield session


async def reason_if_refused(call: Awaitable[Any]) -> str:
    """Return the reason why a call failed; empty if it did not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


async def check_pinned_configurations(psql: Connection) -> int:
    """Validate all pinned configurations against their versions; return their number."""
    rows = await psql.fetch(
        """
        SELECT c.name, c.config, v.document
        FROM configurations AS c
        JOIN schema_versions AS v ON v.schema = c.schema AND v.version = c.schema_version
        """
    )
    for row in rows:
        assert Validator(json.loads(row["document"]), {}).faults(json.loads(row["config"])) == (), row["name"]
    return len(rows)


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_write_that_comes_before_a_strict_version_makes_it_refused(
    shop: Service, psql: Connection, database_url: str, *, is_new: bool
) -> None:
    async with blocked_commits(database_url) as session:
        write = create(shop, "b", {"replicas": 30}, schema=WEB) if is_new else patch(shop, "a", {"replicas": 30})
        writing = asyncio.ensure_future(reason_if_refused(write))
        await wait_until_blocked(session)
        strict = asyncio.ensure_future(reason_if_refused(create_version(shop, AT_MOST_10)))
        await until_waiting(psql, 2)
    # On a slow machine the write may time out and be retried after the version.
    assert (await writing, await strict) in {("", "SCHEMA_VERSION_REFUSED"), ("SCHEMA_VIOLATED", "")}
    assert await check_pinned_configurations(psql) >= 1


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_write_that_comes_after_a_strict_version_is_validated_against_it(
    shop: Service, psql: Connection, database_url: str, *, is_new: bool
) -> None:
    async with blocked_commits(database_url) as session:
        strict = asyncio.create_task(create_version(shop, AT_MOST_10))
        await wait_until_blocked(session)
        write = create(shop, "b", {"replicas": 30}, schema=WEB) if is_new else patch(shop, "a", {"replicas": 30})
        writing = asyncio.ensure_future(write)
    assert (await strict).version == 2
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await writing
    assert (await get(shop, "a")).schema.version == 2
    assert await check_pinned_configurations(psql) == 1


async def test_a_write_while_a_strict_version_moves_others_waits_for_it_and_leaves_free_ones_alone(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await create(shop, "z", {"replicas": 3}, schema=WEB)
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute("SELECT FROM configurations WHERE name = 'z' FOR UPDATE")
        strict = asyncio.create_task(create_version(shop, AT_MOST_10))
        await wait_until_blocked(session)
        writing = asyncio.create_task(patch(shop, "a", {"replicas": 30}))
        assert (await create(shop, "free", {"replicas": 30})).version == 1
    assert (await strict).version == 2
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await writing
    assert await check_pinned_configurations(psql) == 2


async def test_what_changes_between_the_check_and_the_lock_is_checked_again(
    shop: Service, psql: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from configsvc.schemas import versions  # noqa: PLC0415  # the module whose function is replaced

    check = versions.precheck

    async def then_change(*arguments: Any) -> Any:
        passed = await check(*arguments)
        await patch(shop, "a", {"replicas": 30})
        return passed

    monkeypatch.setattr(versions, "precheck", then_change)
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED"):
        await create_version(shop, AT_MOST_10)
    assert (await get(shop, "a")).schema.version == 1
    assert await check_pinned_configurations(psql) == 1


async def test_a_pin_that_comes_before_a_deletion_makes_it_refused(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await shop.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("a")))
    async with blocked_commits(database_url) as session:
        writing = asyncio.ensure_future(reason_if_refused(create(shop, "b", {"replicas": 3}, schema=WEB_1)))
        await wait_until_blocked(session)
        deleting = asyncio.ensure_future(reason_if_refused(delete_schema(shop)))
        await until_waiting(psql, 2)
    assert (await writing, await deleting) in {("", "SCHEMA_IN_USE"), ("RESOURCE_NOT_FOUND", "")}
    assert await check_pinned_configurations(psql) == len(await schema_names(shop))


async def test_a_pin_that_comes_after_a_deletion_finds_no_schema(shop: Service, database_url: str) -> None:
    await shop.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("a")))
    async with blocked_commits(database_url) as session:
        deleting = asyncio.create_task(delete_schema(shop))
        await wait_until_blocked(session)
        writing = asyncio.create_task(create(shop, "b", {"replicas": 3}, schema=WEB_1))
    await deleting
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await writing


async def test_a_pin_in_sql_that_comes_before_a_deletion_makes_it_fail(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await shop.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("a")))
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute(
            """
            INSERT INTO configurations (application, name, config, schema, schema_version)
            VALUES ('shop', 'b', '{}', 'web', 1)
            """
        )
        deleting = asyncio.ensure_future(reason_if_refused(delete_schema(shop)))
        await wait_until_blocked(session)
    assert await deleting == "WRITE_CONFLICT"
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_IN_USE"):
        await delete_schema(shop)


async def test_a_reference_that_comes_before_a_deletion_makes_it_fail(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await shop.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("a")))
    async with blocked_commits(database_url) as session:
        referring = asyncio.create_task(create_schema(shop, "api", REFERS_TO_WEB))
        await wait_until_blocked(session)
        deleting = asyncio.ensure_future(reason_if_refused(delete_schema(shop)))
        await until_waiting(psql, 2)
    await referring
    assert await deleting in {"WRITE_CONFLICT", "SCHEMA_IN_USE"}
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_IN_USE"):
        await delete_schema(shop)


async def test_a_reference_that_comes_after_a_deletion_fails(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await shop.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("a")))
    async with blocked_commits(database_url) as session:
        deleting = asyncio.create_task(delete_schema(shop))
        await wait_until_blocked(session)
        referring = asyncio.ensure_future(reason_if_refused(create_schema(shop, "api", REFERS_TO_WEB)))
        await until_waiting(psql, 2)
    await deleting
    assert await referring == "WRITE_CONFLICT"
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await create_schema(shop, "api", REFERS_TO_WEB)
    assert await schema_names(shop) == []


async def test_writers_of_schemas_and_of_configurations_at_once_leave_nothing_invalid(
    shop: Service, psql: Connection
) -> None:
    chance = random.Random(4)
    names = [f"c{number}" for number in range(8)]
    for name in names:
        await create(shop, name, {"replicas": 3}, schema=WEB)

    async def change_configurations() -> list[str]:
        return [
            await reason_if_refused(patch(shop, chance.choice(names), {"replicas": chance.randrange(20)}))
            for _ in range(40)
        ]

    async def change_schema() -> list[str]:
        return [
            await reason_if_refused(
                create_version(shop, document) if number % 4 else import_schemas(shop, {"web": document}, closing=0)
            )
            for number, document in enumerate([AT_MOST_10, REPLICAS] * 10)
        ]

    outcomes = await asyncio.gather(*(change_configurations() for _ in range(4)), change_schema(), change_schema())
    assert {reason for found in outcomes for reason in found} <= {
        "",
        "SCHEMA_VIOLATED",
        "SCHEMA_VERSION_REFUSED",
        "WRITE_CONFLICT",
    }
    assert await check_pinned_configurations(psql) == 9
    newest = (await get_schema(shop)).latest_version
    assert await psql.fetchval("SELECT count(*) FROM configurations WHERE schema_version <> $1", newest) == 0
