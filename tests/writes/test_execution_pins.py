"""Pins: configurations that satisfy their version of a schema after each write."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import BatchGetConfigurationsRequest, ListConfigurationsRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import content, create, failing, fields_at_fault, get, head, key_ref, names, patch, refused, update
from tests.service import Service, status_of, struct, violations_of
from tests.watch.changing import watching
from tests.watch.recording import recorded
from tests.writes.schemas import NAMED, REPLICAS, add_version, make_schema, pin, refer

if TYPE_CHECKING:
    from tests.writes.schemas import Session

VIOLATED = (StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED")
NOT_FOUND = (StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")


def new(config: JsonObject) -> Configuration:
    return Configuration(config=struct(config))


async def test_a_configuration_is_pinned_at_its_creation_and_the_pin_is_answered_everywhere(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS, REPLICAS)
    async with recorded(shop, watching()) as watch:
        await watch.until_synced()
        created = await create(shop, "eu", {"replicas": 1}, schema=pin("web", 1))
        recording = await watch.until_revision(created.revision)
    assert created.schema == pin("web", 1)
    assert await get(shop, "eu") == created
    found = await shop.configurations.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=[key_ref("eu")]))
    assert [one.configuration for one in found.results] == [created]
    listed = await shop.configurations.ListConfigurations(ListConfigurationsRequest())
    assert list(listed.configurations) == [created]
    events = [event for message in recording.messages for event in message.events]
    assert [event.configuration for event in events] == [created]


async def test_version_0_is_the_newest_as_of_the_write(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", NAMED, REPLICAS)
    assert (await create(shop, "eu", {"replicas": 1}, schema=pin("web"))).schema == pin("web", 2)
    await add_version(psql, "web", NAMED)
    assert (await patch(shop, "eu", {"replicas": 2})).schema == pin("web", 2)
    updated = await update(shop, "eu", configuration=Configuration(config=struct({"name": "eu"}), schema=pin("web")))
    assert updated.schema == pin("web", 3)


async def test_a_creation_that_violates_its_schema_lists_every_fault_and_changes_nothing(
    shop: Service, psql: "Session"
) -> None:
    document: JsonObject = {**REPLICAS, "required": ["replicas", "zone"]}
    await make_schema(psql, "web", document)
    before = await head(shop)
    with failing(*VIOLATED) as caught:
        await create(shop, "eu", {"replicas": 0, "a/b": 1}, schema=pin("web"))
    assert sorted(fields_at_fault(caught.value)) == ["config", "config", "config/replicas"]
    assert violations_of(caught.value)["config/replicas"].startswith("minimum: ")
    assert await head(shop) == before


@pytest.mark.parametrize("change", ["config", "merge_patch"])
async def test_every_write_of_content_is_validated_against_the_pinned_version(
    shop: Service, psql: "Session", change: str
) -> None:
    await make_schema(psql, "web", REPLICAS, NAMED)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web", 1))
    with failing(*VIOLATED) as caught:
        if change == "config":
            await update(shop, "eu", configuration=new({"replicas": 0}))
        else:
            await patch(shop, "eu", {"replicas": 0})
    assert list(violations_of(caught.value)) == ["config/replicas"]
    assert (await patch(shop, "eu", {"replicas": 2})).version == 2


async def test_a_new_pin_is_validated_with_the_content_that_is_there_or_comes_with_it(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"name": "eu"})
    with failing(*VIOLATED):
        await update(shop, "eu", configuration=Configuration(schema=pin("web")))
    with failing(*VIOLATED):
        await update(shop, "eu", configuration=Configuration(schema=pin("web")), merge_patch=struct({"replicas": 1}))
    whole = struct({"replicas": 1, "name": None})
    pinned = await update(shop, "eu", configuration=Configuration(schema=pin("web")), merge_patch=whole)
    assert (pinned.schema, pinned.version, content(pinned.config)) == (pin("web", 1), 2, {"replicas": 1})


async def test_what_is_not_content_is_not_validated(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    # Writes in SQL are not validated against schemas.
    await psql.execute("""UPDATE configurations SET config = '{"replicas": 0}'""")
    renamed = await update(shop, "eu", configuration=Configuration(name="us", comments="moved"))
    assert (renamed.name, renamed.schema) == ("us", pin("web", 1))


@pytest.mark.parametrize("path", ["schema", "*"])
async def test_a_pin_is_given_up_when_the_mask_names_it_and_it_is_not_set(
    shop: Service, psql: "Session", path: str
) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    given_up = await update(
        shop,
        "eu",
        configuration=Configuration(name="eu", config=struct({"replicas": 1})),
        update_mask=FieldMask(paths=[path]),
    )
    assert (given_up.HasField("schema"), given_up.version) == (False, 2)
    assert (await patch(shop, "eu", {"replicas": 0})).version == 3


async def test_the_same_pin_again_makes_no_new_version(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    created = await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    assert await update(shop, "eu", configuration=Configuration(schema=pin("web"))) == created
    assert await update(shop, "eu", configuration=created) == created


async def test_a_schema_or_version_that_does_not_exist_is_not_found(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"replicas": 1})
    for missing, kind, name in ((pin("api"), "schema", "api"), (pin("web", 2), "schema version", "web@2")):
        with failing(*NOT_FOUND) as caught:
            await create(shop, "us", {"replicas": 1}, schema=missing)
        info = ResourceInfo()
        assert any(detail.Unpack(info) for detail in status_of(caught.value).details)
        assert (info.resource_type, info.resource_name) == (kind, name)
        with failing(*NOT_FOUND):
            await update(shop, "eu", configuration=Configuration(schema=missing))


async def test_a_pin_that_is_no_name_or_no_version_is_refused(shop: Service) -> None:
    async with refused(shop, "schema.schema", "schema.version"):
        await create(shop, "eu", schema=pin("../web", -1))
    async with refused(shop, "configuration.schema.schema"):
        await update(shop, "eu", configuration=Configuration(schema=pin("")))


async def test_a_list_shows_those_that_are_pinned_to_a_schema_or_to_one_version_of_it(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS, REPLICAS)
    await make_schema(psql, "web2", REPLICAS)
    await create(shop, "none")
    await create(shop, "one", {"replicas": 1}, schema=pin("web", 1))
    await create(shop, "two", {"replicas": 1}, schema=pin("web", 2))
    await create(shop, "other", {"replicas": 1}, schema=pin("web2", 1))
    assert await names(shop, schema=pin("web")) == ["one", "two"]
    assert await names(shop, schema=pin("web"), page_size=1) == ["one", "two"]
    assert await names(shop, schema=pin("web", 1)) == ["one"]
    assert await names(shop, schema=pin("web", 3)) == []
    async with refused(shop, "selector.schema.schema"):
        await names(shop, schema=pin(""))


async def test_a_schema_may_refer_to_stored_versions_of_others(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "count", {"type": "integer", "minimum": 1})
    await make_schema(psql, "size", {"properties": {"replicas": {"$ref": "configsvc://schemas/count@1"}}})
    await make_schema(psql, "web", {"$ref": "configsvc://schemas/size@1", "required": ["replicas"]})
    await refer(psql, "size", 1, "count", 1)
    await refer(psql, "web", 1, "size", 1)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    with failing(*VIOLATED) as caught:
        await patch(shop, "eu", {"replicas": 0})
    assert list(violations_of(caught.value)) == ["config/replicas"]


async def test_a_schema_that_was_deleted_and_made_again_is_another_one(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"), validate_only=True)
    await psql.execute("DELETE FROM schemas")
    await make_schema(psql, "web", NAMED)
    with failing(*VIOLATED):
        await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    assert (await create(shop, "eu", {"name": "eu"}, schema=pin("web"))).schema == pin("web", 1)


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_write_waits_for_who_locks_its_schema_and_is_validated_against_what_it_is_pinned_to_then(
    shop: Service, psql: "Session", *, validate_only: bool
) -> None:
    await make_schema(psql, "web", {"type": "object"}, REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web", 1))
    async with psql.transaction():
        await psql.execute("SELECT FROM schemas FOR UPDATE")
        await psql.execute("UPDATE configurations SET schema_version = 2")
        bad = asyncio.create_task(patch(shop, "eu", {"replicas": 0}, validate_only=validate_only))
        free = await create(shop, "us", {"replicas": 0})
    assert free.version == 1
    with failing(*VIOLATED):
        await bad


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_schema_that_is_locked_for_long_is_a_conflict_for_those_pinned_to_it_alone(
    shop: Service, psql: "Session", *, validate_only: bool
) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    async with psql.transaction():
        await psql.execute("SELECT FROM schemas FOR UPDATE")
        waiting = asyncio.create_task(patch(shop, "eu", {"replicas": 2}, validate_only=validate_only))
        assert (await create(shop, "us", {"replicas": 0})).version == 1
        with failing(StatusCode.ABORTED, "WRITE_CONFLICT"):
            await waiting
    assert (await patch(shop, "eu", {"replicas": 2})).version == 2
