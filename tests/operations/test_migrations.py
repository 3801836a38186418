from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.change_pb2 import ChangeType
from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SchemaVersionRef
from configapi.v1.schema_service_pb2 import SCHEMA_VERSION_MODE_PINNED, MigrateConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject, JsonValue
from configsvc.storage import configuration_migrations
from tests.api.calls import content, create, create_application, failing, get, head, key, names, patch
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
