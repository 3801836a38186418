"""Keys that begin with $configsvc are kept for what contents will mean one day: no write through the API stores one."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import RollbackConfigurationRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import Connection, content, create, failing, get, head, key, patch, update
from tests.operations.operating import PER_ITEM, imported, item, items_of
from tests.operations.test_migrations import migrated, two_versions
from tests.schemas.calls import create_schema, pin
from tests.service import Service, status_of, struct
from tests.writes import batches

STORED = '{"list": [{"deep": {"$configsvc.ref": "shop/base"}}], "port": 1}'
RESERVED: JsonObject = {"list": [{"deep": {"$configsvc.ref": "shop/base"}}]}


async def creates(service: Service) -> None:
    await create(service, "new", RESERVED)


async def replaces(service: Service) -> None:
    await update(service, "web", configuration=Configuration(config=struct(RESERVED)))


async def patches(service: Service) -> None:
    await patch(service, "web", RESERVED)


async def rolls_back(service: Service) -> None:
    request = RollbackConfigurationRequest(key=key("sql"), version=1)
    await service.configurations.RollbackConfiguration(request)


@pytest.mark.parametrize("write", [creates, replaces, patches, rolls_back], ids=lambda write: write.__name__)
async def test_no_single_write_stores_a_reserved_key(
    shop: Service, psql: Connection, write: Callable[[Service], Awaitable[None]]
) -> None:
    await create(shop, "web", {"a": 1})
    await stored_in_sql(psql)
    await psql.execute("UPDATE configurations SET config = '{}' WHERE name = 'sql'")
    before = await head(shop)
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await write(shop)
    assert reasons_of(caught.value) == {"config/list/0/deep/$configsvc.ref": "RESERVED_KEY"}
    assert await head(shop) == before


async def stored_in_sql(psql: Connection) -> None:
    await psql.execute(
        "INSERT INTO configurations (application, name, config) VALUES ('shop', 'sql', $1::jsonb)", STORED
    )


def reasons_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the reason of each violation, by its field."""
    return reasons_in(status_of(error))


def reasons_in(status: Status) -> dict[str, str]:
    bad_request = BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    return {violation.field: violation.reason for violation in bad_request.field_violations}


async def test_no_write_of_a_batch_stores_a_reserved_key(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    before = await head(shop)
    writes = (
        batches.creation("one", RESERVED),
        batches.upsert("two", RESERVED),
        batches.upsert("three", {"fine": 1}),
        batches.patch("web", RESERVED),
    )
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await batches.write(shop, *writes)
    assert set(reasons_of(caught.value).values()) == {"RESERVED_KEY"}
    assert sorted(field[:9] for field in reasons_of(caught.value)) == ["writes[0]", "writes[1]", "writes[3]"]
    assert await head(shop) == before


async def test_an_import_fails_the_items_that_have_a_reserved_key(shop: Service) -> None:
    operation = await imported(shop, item("bad", RESERVED), item("good", {"a": 1}), mode=PER_ITEM)
    bad, good = await items_of(shop, operation)
    assert [fault.pointer for fault in bad.faults] == ["/list/0/deep/$configsvc.ref"]
    assert reasons_in(bad.error) == {"config/list/0/deep/$configsvc.ref": "RESERVED_KEY"}
    assert not good.faults


async def test_a_migration_does_not_make_a_reserved_key_but_moves_what_sql_stored(
    service: Service, psql: Connection
) -> None:
    await two_versions(service)
    await create_schema(service, "open", {})
    await pin(psql, "sql", config=STORED)
    moved = await items_of(service, await migrated(service))
    assert [fault.pointer for one in moved for fault in one.faults] == ["/list/0/deep/$configsvc.ref"]
    assert [reasons_in(one.error) for one in moved] == [{"config/list/0/deep/$configsvc.ref": "RESERVED_KEY"}]


async def test_what_sql_stored_stays_readable_and_its_other_fields_can_be_changed(
    shop: Service, psql: Connection
) -> None:
    await stored_in_sql(psql)
    stored = await get(shop, "sql", min_revision=2)
    assert content(stored.config) == json.loads(STORED)
    assert (await update(shop, "sql", configuration=Configuration(comments="kept"))).comments == "kept"
    without: Any = {"list": None, "port": 2}
    assert (await patch(shop, "sql", without)).config == struct({"port": 2})


async def test_a_value_may_begin_like_a_reserved_key(shop: Service) -> None:
    config: JsonObject = {"$config": "$configsvc.ref", "a$configsvc": ["$configsvc", '"$configsvc']}
    assert (await create(shop, "web", config)).config == struct(config)
