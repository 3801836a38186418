from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.change_pb2 import ChangeType
from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.operation_service_pb2 import ListOperationItemsRequest
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SchemaVersionRef
from configapi.v1.schema_service_pb2 import SCHEMA_VERSION_MODE_PINNED, MigrateConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject, JsonValue, encode_json
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.storage import configuration_migrations
from tests.api.calls import content, create, create_application, failing, get, head, key, names, patch, refused
from tests.operations.operating import ended, imported, item, items_of, metadata_of, migration_result_of, result_of
from tests.schemas.calls import create_schema, create_version
from tests.service import Service, struct, violations_of

PORT: JsonObject = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
PORTS: JsonObject = {
    "type": "object",
    "properties": {"ports": {"type": "array", "items": {"type": "integer", "maximum": 9999}}},
    "required": ["ports"],
}
PATCH: list[JsonValue] = [
    {"op": "add", "path": "/ports", "value": []},
    {"op": "move", "from": "/port", "path": "/ports/-"},
]


def json_patch(operations: list[JsonValue]) -> ListValue:
    wrapped = struct({"patch": operations})
    return wrapped.fields["patch"].list_value


async def two_versions(service: Service) -> None:
    """Create a schema whose second version requires a list of ports, with no configuration pinned yet."""
    await create_application(service)
    await create_schema(service, "web", PORT)
    await create_version(service, PORTS, "web", mode=SCHEMA_VERSION_MODE_PINNED)


async def pinned(service: Service, *ports: int) -> None:
    """Create configurations c0, c1 … that are pinned to the first version."""
    made = (item(f"c{number}", {"port": port}, schema="web@1") for number, port in enumerate(ports))
    assert result_of(await imported(service, *made)).created_count == len(ports)


def selector(application: str, **fields: Any) -> ConfigurationSelector:
    return ConfigurationSelector(application=ApplicationRef(name=application), **fields)


def request_of(schema: str = "web", **fields: Any) -> MigrateConfigurationsRequest:
    """Return a request for all configurations, unless told otherwise."""
    if "selector" not in fields:
        fields["all_configurations"] = Empty()
    return MigrateConfigurationsRequest(schema=schema, **fields)


async def migrated(service: Service, **fields: Any) -> Operation:
    request = request_of(json_patch=json_patch(PATCH), **fields)
    return await ended(service, await service.schemas.MigrateConfigurations(request))


async def test_a_migration_moves_all_in_one_commit(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 2, 3)
    revision = await head(service)
    operation = await migrated(service, reason="ports are a list")
    result = migration_result_of(operation)
    assert (result.revision, result.done_count, result.updated_count) == (revision + 1, 3, 3)
    found = await get(service, "c1", min_revision=result.revision)
    assert content(found.config) == {"ports": [2]}
    assert found.schema == SchemaVersionRef(schema="web", version=2)
    assert found.version == 2


async def test_nothing_moves_when_one_cannot(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 70000, 3)
    revision = await head(service)
    operation = await migrated(service)
    assert operation.error.code == 9
    (failed,) = await items_of(service, operation, failed_only=True)
    assert (failed.name, [fault.pointer for fault in failed.faults]) == ("c1", ["/ports/0"])
    assert await head(service) == revision


async def test_the_good_ones_move_when_only_those_are_wanted(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 70000, 3)
    result = migration_result_of(await migrated(service, valid_only=True))
    assert (result.done_count, result.updated_count, result.failed_count) == (3, 2, 1)
    assert (await get(service, "c0", min_revision=result.revision)).schema.version == 2
    assert (await get(service, "c1", min_revision=result.revision)).schema.version == 1


async def test_a_dry_run_shows_each_before_and_after_and_every_fault(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 70000)
    revision = await head(service)
    operation = await migrated(service, validate_only=True)
    assert metadata_of(operation).validate_only
    assert migration_result_of(operation).failed_count == 1
    good, bad = await items_of(service, operation)
    assert (content(good.before), content(good.after)) == ({"port": 1}, {"ports": [1]})
    assert good.type == ChangeType.CHANGE_TYPE_UPDATED
    assert (content(bad.before), content(bad.after)) == ({"port": 70000}, {"ports": [70000]})
    assert [fault.keyword for fault in bad.faults] == ["maximum"]
    assert await head(service) == revision


async def test_a_merge_patch_and_no_patch_at_all_move_too(service: Service) -> None:
    await create_application(service)
    await create_schema(service, "web", {"type": "object"}, closing=CLOSING_AS_WRITTEN)
    await create(service, "a", {"x": 1, "y": 2}, schema=SchemaVersionRef(schema="web", version=1))
    loose: JsonObject = {"type": "object", "title": "second"}
    await create_version(service, loose, "web", mode=SCHEMA_VERSION_MODE_PINNED, closing=CLOSING_AS_WRITTEN)
    first = await service.schemas.MigrateConfigurations(request_of(merge_patch=struct({"x": None})))
    result = migration_result_of(await ended(service, first))
    moved = await get(service, "a", min_revision=result.revision)
    assert (content(moved.config), moved.schema.version) == ({"y": 2}, 2)
    back = await service.schemas.MigrateConfigurations(request_of(to_version=1))
    result = migration_result_of(await ended(service, back))
    moved = await get(service, "a", min_revision=result.revision)
    assert (content(moved.config), moved.schema.version) == ({"y": 2}, 1)


@pytest.mark.parametrize("valid_only", [False, True])
async def test_what_others_change_meanwhile_is_not_overwritten(
    service: Service, monkeypatch: pytest.MonkeyPatch, valid_only: bool
) -> None:
    await two_versions(service)
    await pinned(service, 1, 2, 3)
    note_checked = configuration_migrations.note_checked
    changed = False

    async def and_then_change(*arguments: Any, **more: Any) -> None:
        nonlocal changed
        await note_checked(*arguments, **more)
        if not changed:
            changed = True
            await patch(service, "c1", {"port": 20})
            await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("c2")))

    monkeypatch.setattr(configuration_migrations, "note_checked", and_then_change)
    result = migration_result_of(await migrated(service, valid_only=valid_only))
    assert (result.done_count, result.updated_count, result.unchanged_count) == (3, 2, 1)
    moved = await get(service, "c1", min_revision=result.revision)
    assert (content(moved.config), moved.schema.version) == ({"ports": [20]}, 2)
    assert await names(service) == ["c0", "c1"]


async def test_only_what_is_asked_for_moves(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1)
    await create_application(service, "other")
    result_of(await imported(service, item("o", {"port": 1}, application="other", schema="web@1")))
    result = migration_result_of(await migrated(service, selector=selector("other")))
    assert result.updated_count == 1
    assert (await get(service, "c0", min_revision=result.revision)).schema.version == 1
    # Moved configurations would be moved again, in vain.
    again = await service.schemas.MigrateConfigurations(request_of(from_version=2, to_version=2))
    assert migration_result_of(await ended(service, again)).unchanged_count == 1


async def test_a_migration_to_or_from_what_does_not_exist_is_not_found(service: Service) -> None:
    await create_schema(service, "web", PORT)
    requests = (
        request_of("none"),
        request_of(to_version=2),
        request_of(from_version=2),
        request_of(selector=selector("none")),
    )
    for request in requests:
        with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await service.schemas.MigrateConfigurations(request)


async def test_a_patch_that_is_none_is_refused(service: Service) -> None:
    operations: list[JsonValue] = [{"op": "add"}, "x", {"op": "remove", "path": "/a"}, {"op": "jump", "path": "/a"}]
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await service.schemas.MigrateConfigurations(request_of(json_patch=json_patch(operations)))
    assert sorted(violations_of(caught.value)) == ["json_patch/0", "json_patch/1", "json_patch/3"]


async def test_an_operation_of_a_patch_that_cannot_be_applied_fails_the_item(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1)
    growing: list[JsonValue] = [{"op": "copy", "from": "", "path": f"/copy{number}"} for number in range(40)]
    strict: list[JsonValue] = [{"op": "test", "path": "/port", "value": True}]
    lost: list[JsonValue] = [{"op": "remove", "path": "/nothing"}]
    for operations in (growing, strict, lost):
        request = request_of(json_patch=json_patch(operations))
        operation = await ended(service, await service.schemas.MigrateConfigurations(request))
        (failed,) = await items_of(service, operation, failed_only=True)
        assert failed.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def pinned_in_two_applications(service: Service) -> None:
    await two_versions(service)
    await create_application(service, "other")
    items = [
        item(name, {"port": 1}, schema="web@1", application=application)
        for application in ("shop", "other")
        for name in ("a/x", "a/y", "b")
    ]
    result_of(await imported(service, *items))


@pytest.mark.parametrize(
    ("chosen", "moved"),
    [
        ({"selector": selector("shop")}, ["shop/a/x", "shop/a/y", "shop/b"]),
        ({"selector": selector("shop", name_prefix="a/")}, ["shop/a/x", "shop/a/y"]),
        ({"selector": ConfigurationSelector(name_prefix="b")}, ["other/b", "shop/b"]),
        (
            {"selector": ConfigurationSelector(names=["b", "a/y", "none"])},
            ["other/a/y", "other/b", "shop/a/y", "shop/b"],
        ),
        ({"selector": selector("other", name_prefix="a", names=["a/x", "b"])}, ["other/a/x"]),
        ({}, ["other/a/x", "other/a/y", "other/b", "shop/a/x", "shop/a/y", "shop/b"]),
    ],
)
async def test_a_migration_moves_what_is_selected(service: Service, chosen: dict[str, Any], moved: list[str]) -> None:
    await pinned_in_two_applications(service)
    operation = await migrated(service, **chosen)
    assert migration_result_of(operation).updated_count == len(moved)
    assert [f"{one.application}/{one.name}" for one in await items_of(service, operation)] == moved


async def test_a_change_of_everything_must_be_meant(service: Service) -> None:
    await create_schema(service, "web", PORT)
    async with refused(service, "selection"):
        await service.schemas.MigrateConfigurations(MigrateConfigurationsRequest(schema="web"))
    async with refused(service, "selector"):
        await service.schemas.MigrateConfigurations(request_of(selector=ConfigurationSelector()))


async def test_other_parts_of_a_selector_are_refused(service: Service) -> None:
    await create_schema(service, "web", PORT)
    parts: list[tuple[str, dict[str, Any]]] = [
        ("selector.schema", {"schema": SchemaVersionRef(schema="web")}),
        ("selector.contains", {"contains": struct({})}),
        ("selector.contains_json", {"contains_json": "{}"}),
        ("selector.json_path", {"json_path": "$.a > 1"}),
        ("selector.name_prefix", {"name_prefix": "a b"}),
        ("selector.names[1]", {"names": ["a", ""]}),
        ("selector.names", {"names": ["a"] * 1001}),
        ("selector.application.name", {"application": ApplicationRef(name="a b")}),
    ]
    for field, part in parts:
        async with refused(service, field):
            await service.schemas.MigrateConfigurations(request_of(selector=ConfigurationSelector(**part)))


async def test_patches_are_the_same_as_text(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 2)
    as_text = request_of(json_patch_json=encode_json([*PATCH]))
    moved = migration_result_of(await ended(service, await service.schemas.MigrateConfigurations(as_text)))
    assert moved.updated_count == 2
    assert content((await get(service, "c1", min_revision=moved.revision)).config) == {"ports": [2]}
    back = request_of(merge_patch_json='{"ports": null, "port": 3}', to_version=1)
    moved = migration_result_of(await ended(service, await service.schemas.MigrateConfigurations(back)))
    assert content((await get(service, "c1", min_revision=moved.revision)).config) == {"port": 3}


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"json_patch_json": "{}"}, "json_patch_json"),
        ({"json_patch_json": "["}, "json_patch_json"),
        ({"json_patch_json": '[{"op": "add"}]'}, "json_patch_json/0"),
        ({"json_patch_json": '[{"op": "add", "path": "/a", "value": 1e400}]'}, "json_patch_json/0/value"),
        ({"merge_patch_json": "[]"}, "merge_patch_json"),
        ({"merge_patch_json": '{"a": 9007199254740993}'}, "merge_patch_json/a"),
    ],
)
async def test_a_text_that_is_no_patch_is_refused(service: Service, patch: dict[str, str], field: str) -> None:
    async with refused(service, field):
        await service.schemas.MigrateConfigurations(request_of(**patch))


async def test_items_of_a_dry_run_have_their_contents_in_the_form_that_is_asked_for(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1)
    operation = await migrated(service, validate_only=True)
    (as_struct,) = await items_of(service, operation)
    (as_text,) = await items_of(service, operation, format=CONTENT_FORMAT_JSON)
    assert (as_text.before_json, as_text.after_json) == ('{"port":1}', '{"ports":[1]}')
    assert (content(as_struct.before), content(as_struct.after)) == ({"port": 1}, {"ports": [1]})
    async with refused(service, "format"):
        await items_of(service, operation, format=9)


async def test_an_answer_with_the_largest_items_is_bounded(service: Service) -> None:
    await create_application(service)
    loose: JsonObject = {"type": "object"}
    await create_schema(service, "web", loose, closing=CLOSING_AS_WRITTEN)
    # As a Struct, small numbers take several times their text.
    ones: list[JsonValue] = [1] * 130_000
    pin = SchemaVersionRef(schema="web", version=1)
    for name in ("a", "b"):
        await create(service, name, {"n": ones}, schema=pin)
    await create_version(
        service, {**loose, "title": "2"}, "web", mode=SCHEMA_VERSION_MODE_PINNED, closing=CLOSING_AS_WRITTEN
    )
    request = request_of(validate_only=True)
    operation = await ended(service, await service.schemas.MigrateConfigurations(request))
    page = await service.items.ListOperationItems(ListOperationItemsRequest(operation=operation.name))
    assert len(page.items) == 1
    assert page.ByteSize() <= MAX_RESPONSE_BYTES
    assert [one.name for one in await items_of(service, operation)] == ["a", "b"]


async def test_the_change_request_of_a_migration_is_kept_for_each_change(service: Service) -> None:
    await two_versions(service)
    await pinned(service, 1, 2)
    operation = await migrated(service, change_request="CR-5")
    assert metadata_of(operation).change_request == "CR-5"
    changes = (await service.audit.ListChanges(ListChangesRequest(page_size=2))).changes
    assert [change.origin.change_request for change in changes] == ["CR-5"] * 2
    result = migration_result_of(operation)
    assert result.epoch == (await service.audit.ListChanges(ListChangesRequest())).epoch
