"""Rows that cannot be read: each is an error of its own, and what stands beside it is shown."""

import asyncio
import base64
import random
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from pathlib import Path

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import ListOperationsRequest
from google.rpc.error_details_pb2 import ResourceInfo

from configapi.v1.access_service_pb2 import ListRoleBindingsRequest
from configapi.v1.application_service_pb2 import (
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_FULL
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    RollbackConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.domain.content import JsonObject
from tests.access.bindings import EDITOR, bind
from tests.access.bindings import create_application as create_guarded
from tests.api.calls import (
    Caught,
    create,
    create_application,
    creation,
    delete,
    failing,
    get,
    head,
    key,
    key_ref,
    names,
    patch,
)
from tests.app.scraping import Metrics, measured_service
from tests.configurations.reading import changes, diff, export, get_at, items, versions
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import imported, item, items_of, operation_of
from tests.operations.test_migrations import migrated, pinned, two_versions
from tests.postgres import execute
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    check_version,
    create_schema,
    create_version,
    get_schema,
    get_version,
    schema_names,
    version_pages,
)
from tests.service import Service, reason_of, running_service, status_of
from tests.storage.damaging import BAD_JSON, BAD_TEXT, BAD_TIME, damage, lose_contents
from tests.writes import batches

PAGE_SIZES = (1, 2, 100)


@pytest.fixture
async def measured(database_url: str) -> AsyncGenerator[tuple[Service, Metrics]]:
    async with measured_service(database_url) as measured:
        await create_application(measured[0])
        yield measured


async def unreadable(call: Awaitable[object]) -> str:
    """Expect the call to fail because of a row that cannot be read; return the resource that the error names."""
    with failing(grpc.StatusCode.DATA_LOSS, "RECORD_UNREADABLE") as caught:
        await call
    assert "operator" in (caught.value.details() or "")
    return resource_of(caught)


def resource_of(caught: Caught) -> str:
    named = ResourceInfo()
    assert any(detail.Unpack(named) for detail in status_of(caught.value).details)
    return f"{named.resource_type} {named.resource_name}"


@pytest.mark.parametrize(
    ("column", "value"),
    [("comments", BAD_TEXT), ("config", BAD_JSON), ("create_time", BAD_TIME), ("updated_by", BAD_TEXT)],
)
async def test_a_configuration_that_cannot_be_read_is_an_error_of_its_own(
    measured: tuple[Service, Metrics], database_url: str, column: str, value: str
) -> None:
    service, metrics = measured
    made = {name: await create(service, name, {"n": 1}) for name in ("bad", "web", "zoo")}
    await patch(service, "bad", {"n": 2})
    await damage(database_url, "configurations", column, value, "name = 'bad'")
    # What the process remembers is still right; another process does not know it.
    async with running_service(database_url) as other:
        assert await unreadable(get(other, "bad")) == "configuration shop:bad"
        assert (await get(other, "web")).id == made["web"].id
        named = BatchGetConfigurationsRequest(refs=[key_ref("web"), key_ref("bad")])
        assert await unreadable(other.configurations.BatchGetConfigurations(named)) == "configuration shop:bad"
    for page_size in PAGE_SIZES:
        assert await names(service, page_size=page_size) == ["web", "zoo"]
    assert [item.name for item in items(await export(service))] == ["web", "zoo"]
    assert await metrics.value("configsvc_unreadable_rows_total", kind="configuration") >= 1


async def test_contents_that_the_database_has_lost_are_errors_of_their_own(shop: Service, database_url: str) -> None:
    large: JsonObject = {"noise": base64.b64encode(random.Random(1).randbytes(20_000)).decode()}
    small: JsonObject = {"n": 1}
    for name, config in (("bad", large), ("web", small)):
        await create(shop, name, config)
    for table in ("configurations", "change_records"):
        await lose_contents(database_url, table)
    async with running_service(database_url) as other:
        assert await unreadable(get(other, "bad")) == "configuration shop:bad"
        for page_size in PAGE_SIZES:
            assert await names(other, page_size=page_size, view=CONFIGURATION_VIEW_FULL) == ["web"]
        assert await versions(other, key=key("bad"), view=CONFIGURATION_VIEW_FULL) == []
        bad, web = await asyncio.gather(
            *(patch(other, name, {"n": 2}) for name in ("bad", "web")), return_exceptions=True
        )
    assert isinstance(bad, grpc.aio.AioRpcError)
    assert reason_of(bad) == "RECORD_UNREADABLE"
    assert not isinstance(web, BaseException)


async def test_a_number_that_no_double_holds_is_an_error_of_its_configuration(shop: Service, database_url: str) -> None:
    await create(shop, "bad", {"n": 1})
    await execute(database_url, "ALTER TABLE configurations DROP CONSTRAINT configuration_numbers_are_exact")
    await damage(database_url, "configurations", "config", """'{"n": 1e400}'""", "name = 'bad'")
    async with running_service(database_url) as other:
        assert await unreadable(get(other, "bad")) == "configuration shop:bad"
        assert await unreadable(names(other, view=CONFIGURATION_VIEW_FULL)) == "configuration shop:bad"


async def test_an_export_or_a_watch_names_the_configuration_whose_content_it_cannot_convert(
    shop: Service, database_url: str
) -> None:
    for name in ("bad", "web"):
        await create(shop, name, {"n": 1})
    await execute(database_url, "ALTER TABLE configurations DROP CONSTRAINT configuration_numbers_are_exact")
    await damage(database_url, "configurations", "config", """'{"n": 1e400}'""", "name = 'bad'")
    watched = shop.configurations.WatchConfigurations(WatchConfigurationsRequest())
    assert await unreadable(export(shop)) == "configuration shop:bad"
    assert await unreadable(_ended(watched)) == "configuration shop:bad"
    # As text, every number can be read.
    as_text = items(await export(shop, format=CONTENT_FORMAT_JSON))
    assert [item.name for item in as_text] == ["bad", "web"]


async def test_a_comparison_or_a_dry_run_with_a_number_that_no_double_holds_is_shown_as_text_alone(
    service: Service, database_url: str
) -> None:
    await two_versions(service)
    await pinned(service, 1)
    constraint = "ALTER TABLE configurations DROP CONSTRAINT configuration_numbers_are_exact"
    await execute(database_url, constraint)
    await damage(database_url, "configurations", "config", """'{"port": 1, "n": 1e400}'""", "name = 'c0'")
    operation = await migrated(service, validate_only=True)
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE") as caught:
        await items_of(service, operation)
    assert str(caught.value.details()).startswith("operation item shop:c0 cannot be a google.protobuf.Struct")
    (shown,) = await items_of(service, operation, format=CONTENT_FORMAT_JSON)
    assert "0" * 400 in shown.before_json
    await patch(service, "c0", {"port": 2, "n": None})
    await damage(database_url, "change_records", "content", """'{"port": 2, "n": 1e400}'""", "version = 2")
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE") as caught:
        await diff(service, key=key("c0"))
    assert str(caught.value.details()).startswith("comparison shop:c0 cannot be a google.protobuf.Struct")
    assert "0" * 400 in (await diff(service, key=key("c0"), format=CONTENT_FORMAT_JSON)).patch_json


async def _ended(call: AsyncIterable[object]) -> None:
    async for _ in call:
        pass


async def test_an_infinite_time_is_shown_as_the_last_one(shop: Service, database_url: str) -> None:
    await create(shop, "web", {"n": 1})
    await patch(shop, "web", {"n": 2})
    await damage(database_url, "configurations", "create_time", "'infinity'", "name = 'web'")
    async with running_service(database_url) as other:
        assert (await get(other, "web")).create_time.ToDatetime().year == 9999


async def test_writes_beside_a_configuration_that_cannot_be_read_are_done(
    measured: tuple[Service, Metrics], database_url: str
) -> None:
    service, metrics = measured
    for name in ("bad", "web", "zoo"):
        await create(service, name, {"n": 1})
    await damage(database_url, "configurations", "config", BAD_JSON, "name = 'bad'")
    calls = [patch(service, name, {"n": 2}) for name in ("web", "bad", "zoo")]
    web, bad, zoo = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(bad, grpc.aio.AioRpcError)
    assert (reason_of(bad), bad.code()) == ("RECORD_UNREADABLE", grpc.StatusCode.DATA_LOSS)
    assert not isinstance(web, BaseException)
    assert not isinstance(zoo, BaseException)
    assert web.version == zoo.version == 2
    assert await unreadable(delete(service, "bad")) == "configuration shop:bad"
    assert await metrics.value("configsvc_refused_calls_total", reason="RECORD_UNREADABLE") == 2


async def test_a_batch_names_the_write_whose_configuration_cannot_be_read(shop: Service, database_url: str) -> None:
    for name in ("bad", "web"):
        await create(shop, name, {"n": 1})
    await damage(database_url, "configurations", "comments", BAD_TEXT, "name = 'bad'")
    writes = [batches.patch(name, {"n": 2}) for name in ("web", "bad")]
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await batches.write(shop, *writes)
    assert "shop:bad is damaged" in str(status_of(caught.value))


@pytest.mark.parametrize(("column", "value"), [("reason", BAD_TEXT), ("content", BAD_JSON), ("create_time", BAD_TIME)])
async def test_a_version_that_cannot_be_read_is_left_out_of_the_history(
    shop: Service, database_url: str, column: str, value: str
) -> None:
    made = [await create(shop, "web", {"n": 1}), *[await patch(shop, "web", {"n": n}) for n in (2, 3, 4)]]
    await damage(database_url, "change_records", column, value, "name = 'web' AND version IN (2, 3)")
    for page_size in PAGE_SIZES:
        found = await versions(shop, page_size=page_size, view=CONFIGURATION_VIEW_FULL)
        assert [version.configuration.version for version in found] == [4, 1]
    assert (await get_at(shop, version=1)).version == 1
    assert (await get_at(shop, as_of_revision=made[0].revision)).version == 1
    assert await unreadable(get_at(shop, version=2)) == f"configuration version {made[0].id} version 2"
    if column != "reason":
        assert "version 3" in await unreadable(get_at(shop, as_of_revision=made[2].revision))
    assert "version 2" in await unreadable(diff(shop, from_version=2, to_version=4))
    assert (await diff(shop, from_version=1, to_version=4)).to_configuration.version == 4
    rollback = RollbackConfigurationRequest(key=key("web"), version=2)
    assert "version 2" in await unreadable(shop.configurations.RollbackConfiguration(rollback))
    rollback.version = 1
    assert (await shop.configurations.RollbackConfiguration(rollback)).configuration.version == 5


@pytest.mark.parametrize("column", ["reason", "actor", "comments", "name", "request_id"])
async def test_a_change_that_cannot_be_read_is_left_out_of_the_audit_trail(
    shop: Service, database_url: str, column: str
) -> None:
    made = await create(shop, "web", {"n": 1})
    for number in (2, 3):
        await patch(shop, "web", {"n": number})
    await create(shop, "zoo")
    await damage(database_url, "change_records", column, BAD_TEXT, "name = 'web' AND version = 2")
    everything = [("zoo", 1), ("web", 3), ("web", 1), ("shop", 1)]
    if column == "comments":
        # The trail does not show them.
        everything.insert(2, ("web", 2))
    for page_size in PAGE_SIZES:
        shown = [(change.name, change.version) for change in await changes(shop, page_size=page_size)]
        assert shown == everything
        of_one = await changes(shop, resource_id=made.id, page_size=page_size)
        assert [change.version for change in of_one] == [version for name, version in everything if name == "web"]


@pytest.mark.parametrize(("column", "value"), [("comments", BAD_TEXT), ("create_time", BAD_TIME)])
async def test_an_application_that_cannot_be_read_is_an_error_of_its_own(
    service: Service, database_url: str, column: str, value: str
) -> None:
    for name in ("app", "bad", "shop"):
        await create_application(service, name)
        renamed = UpdateApplicationRequest(name=name)
        renamed.application.comments = "changed"
        await service.applications.UpdateApplication(renamed)
    await damage(database_url, "applications", column, value, "name = 'bad'")
    for page_size in PAGE_SIZES:
        assert await application_names(service, page_size) == ["app", "shop"]
    wanted = service.applications.GetApplication(GetApplicationRequest(name="bad"))
    assert await unreadable(wanted) == "application bad"
    renamed = UpdateApplicationRequest(name="bad")
    renamed.application.comments = "again"
    assert await unreadable(service.applications.UpdateApplication(renamed)) == "application bad"
    assert (await create(service, "web", application="bad")).application == "bad"


async def application_names(service: Service, page_size: int) -> list[str]:
    found: list[str] = []
    request = ListApplicationsRequest(page_size=page_size)
    while True:
        page = await service.applications.ListApplications(request)
        found += [application.name for application in page.applications]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_schema_that_cannot_be_read_is_an_error_of_its_own(shop: Service, database_url: str) -> None:
    for name in ("api", "bad", "web"):
        await create_schema(shop, name)
    await damage(database_url, "schemas", "comments", BAD_TEXT, "name = 'bad'")
    for page_size in PAGE_SIZES:
        assert await schema_names(shop, page_size=page_size) == ["api", "web"]
    assert await unreadable(get_schema(shop, "bad")) == "schema bad"
    assert await unreadable(add_version(shop, AT_MOST_10, "bad")) == "schema bad"
    # Its versions are rows of their own.
    assert (await get_version(shop, "bad")).version == 1


async def test_a_schema_version_that_cannot_be_read_is_an_error_of_its_own(shop: Service, database_url: str) -> None:
    await create_schema(shop)
    await add_version(shop, AT_MOST_10)
    await add_version(shop, REPLICAS)
    await damage(database_url, "schema_versions", "document", BAD_JSON, "version = 2")
    for page_size in PAGE_SIZES:
        found = [
            version.version for page in await version_pages(shop, page_size=page_size) for version in page.versions
        ]
        assert found == [3, 1]
    assert await unreadable(get_version(shop, "web", 2)) == "schema version web@2"
    assert (await get_version(shop, "web", 1)).version == 1
    async with asyncio.timeout(20):
        good, bad = await asyncio.gather(
            create(shop, "good", {"replicas": 1}, schema=SchemaVersionRef(schema="web", version=1)),
            create(shop, "bad", {"replicas": 1}, schema=SchemaVersionRef(schema="web", version=2)),
            return_exceptions=True,
        )
    assert not isinstance(good, BaseException)
    assert isinstance(bad, grpc.aio.AioRpcError)
    assert reason_of(bad) == "RECORD_UNREADABLE"


async def test_a_pinned_configuration_that_cannot_be_read_refuses_a_strict_version_by_its_name(
    shop: Service, database_url: str
) -> None:
    await create_schema(shop)
    for name in ("bad", "good"):
        await create(shop, name, {"replicas": 1}, schema=SchemaVersionRef(schema="web"))
    await damage(database_url, "configurations", "config", BAD_JSON, "name = 'bad'")
    check = await check_version(shop, AT_MOST_10)
    assert (check.checked_count, check.offender_count) == (2, 1)
    assert [offender.name for offender in check.offenders] == ["bad"]
    assert "cannot be read" in check.offenders[0].faults[0].message
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED") as caught:
        await create_version(shop, AT_MOST_10)
    assert "shop:bad" in str(status_of(caught.value))


async def test_a_migration_fails_the_item_whose_configuration_cannot_be_read(
    service: Service, database_url: str
) -> None:
    await two_versions(service)
    await pinned(service, 1, 2, 3)
    await damage(database_url, "configurations", "config", r"""E'{"port": "\xff"}'::jsonb""", "name = 'c1'")
    operation = await migrated(service, valid_only=True)
    (failed,) = await items_of(service, operation, failed_only=True)
    assert failed.name == "c1"
    assert "cannot be read" in failed.faults[0].message
    assert (await get(service, "c2", min_revision=await head(service))).schema.version == 2


async def test_an_operation_that_cannot_be_read_is_an_error_of_its_own(shop: Service, database_url: str) -> None:
    made = [await imported(shop, item(name), reason=name) for name in ("first", "bad", "last")]
    await damage(database_url, "operations", "reason", BAD_TEXT, "reason = 'bad'")
    for page_size in PAGE_SIZES:
        assert await operation_names(shop, page_size) == [made[2].name, made[0].name]
    assert await unreadable(operation_of(shop, made[1].name)) == f"operation {made[1].name}"
    assert (await operation_of(shop, made[2].name)).done


async def operation_names(service: Service, page_size: int) -> list[str]:
    found: list[str] = []
    request = ListOperationsRequest(page_size=page_size)
    while True:
        page = await service.operations.ListOperations(request)
        found += [operation.name for operation in page.operations]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_an_item_that_cannot_be_read_is_left_out_of_its_operation(shop: Service, database_url: str) -> None:
    made = await imported(shop, *map(item, ("a", "b", "c")))
    await damage(database_url, "operation_items", "name", BAD_TEXT, "place = 1")
    for page_size in PAGE_SIZES:
        assert [one.name for one in await items_of(shop, made, page_size=page_size)] == ["a", "c"]


async def test_a_role_binding_that_cannot_be_read_grants_nothing_and_takes_nothing_from_others(
    database_url: str, tmp_path: Path
) -> None:
    settings = oidc_settings(tmp_path)
    async with running_service(database_url, **settings) as service:
        await create_guarded(service, "shop")
        made = [await bind(service, f"user:{name}", EDITOR, "shop") for name in ("ann", "bad", "zoe")]
    await damage(database_url, "role_bindings", "principal", r"E'user:\xff'", "principal = 'user:bad'")
    # A process that starts reads them all.
    async with running_service(database_url, **settings) as service:
        for page_size in PAGE_SIZES:
            assert await binding_ids(service, page_size) == sorted((made[0].id, made[2].id))
        request = creation("web")
        await service.configurations.CreateConfiguration(request, metadata=bearing("zoe"))
        with failing(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
            await service.configurations.CreateConfiguration(request, metadata=bearing("bad"))


async def binding_ids(service: Service, page_size: int) -> list[str]:
    found: list[str] = []
    request = ListRoleBindingsRequest(page_size=page_size)
    while True:
        page = await service.access.ListRoleBindings(request, metadata=bearing("root"))
        found += [binding.id for binding in page.role_bindings]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
