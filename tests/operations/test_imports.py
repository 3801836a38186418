"""ImportConfigurations: items that are written or refused, and what the operation reports."""

import asyncio

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.change_pb2 import ChangeType
from configapi.v1.configuration_service_pb2 import ConfigurationItem, ImportConfigurationsRequest
from configapi.v1.operation_service_pb2 import OperationItem, OperationMetadata
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SchemaVersionRef
from configsvc.domain.content import JsonObject
from configsvc.operations import import_slices, imports
from configsvc.storage import imports as storage
from tests.api.calls import content, create, create_application, failing, get, head, names, pages
from tests.operations.operating import (
    ATOMIC,
    PER_ITEM,
    begin,
    ended,
    imported,
    item,
    items_of,
    metadata_of,
    result_of,
)
from tests.postgres import plain_connection
from tests.schemas.calls import add_version, create_schema, create_version
from tests.service import Service, violations_of
from tests.storage.reading import until_waiting

UNSPECIFIED = ChangeType.CHANGE_TYPE_UNSPECIFIED
CREATED = ChangeType.CHANGE_TYPE_CREATED
UPDATED = ChangeType.CHANGE_TYPE_UPDATED
PORT: JsonObject = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
REQUEST_ID = "01J0000000000000000000000A"


def reason(failed: OperationItem) -> str:
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in failed.error.details)
    return info.reason


async def test_an_atomic_import_is_one_commit_however_many_messages_bring_it(service: Service) -> None:
    await create_application(service)
    operation = await imported(service, *(item(f"c{number}", {"n": number}) for number in range(2500)), reason="all")
    result = result_of(operation)
    assert (result.done_count, result.created_count, result.failed_count, result.revision) == (2500, 2500, 0, 2)
    metadata = metadata_of(operation)
    assert (metadata.state, metadata.total_count, metadata.reason) == (OperationMetadata.STATE_SUCCEEDED, 2500, "all")
    found = [one for page in await pages(service, page_size=1000) for one in page.configurations]
    assert {(one.name, one.config["n"], one.revision) for one in found} == {(f"c{n}", n, 2) for n in range(2500)}


async def test_an_import_without_items_succeeds(service: Service) -> None:
    result = result_of(await imported(service))
    assert (result.done_count, result.revision) == (0, 0)


async def test_an_atomic_import_lists_every_fault_and_writes_nothing(service: Service) -> None:
    await create_application(service)
    await create(service, "there")
    revision = await head(service)
    operation = await imported(
        service,
        item("good"),
        item("bad name"),
        item("there"),
        item("elsewhere", application="nowhere"),
        item("good"),
        ConfigurationItem(application=ApplicationRef(name="shop"), name="empty"),
    )
    assert operation.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    failed = await items_of(service, operation, failed_only=True)
    assert [(one.index, reason(one)) for one in failed] == [
        (1, "INVALID_REQUEST"),
        (2, "RESOURCE_EXISTS"),
        (3, "RESOURCE_NOT_FOUND"),
        (4, "INVALID_REQUEST"),
        (5, "INVALID_REQUEST"),
    ]
    assert metadata_of(operation).failed_count == 5
    assert await head(service) == revision


async def test_an_import_by_item_keeps_the_good_ones(service: Service) -> None:
    await create_application(service)
    operation = await imported(service, item("a"), item("bad name"), item("b"), item("a"), mode=PER_ITEM)
    result = result_of(operation)
    assert (result.done_count, result.created_count, result.failed_count) == (4, 2, 2)
    assert await names(service) == ["a", "b"]
    assert [one.index for one in await items_of(service, operation, failed_only=True)] == [1, 3]


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_an_upsert_updates_what_is_there_and_leaves_alone_what_is_the_same(service: Service, mode: int) -> None:
    await create_application(service)
    await create(service, "same", {"n": 1}, comments="kept")
    await create(service, "other", {"n": 1}, comments="gone")
    operation = await imported(
        service,
        item("same", {"n": 1}, comments="kept"),
        item("other", {"n": 2}),
        item("new", {"n": 3}),
        mode=mode,
        upsert=True,
        reason="synced",
    )
    result = result_of(operation)
    assert (result.created_count, result.updated_count, result.unchanged_count) == (1, 1, 1)
    assert [one.type for one in await items_of(service, operation)] == [UNSPECIFIED, UPDATED, CREATED]
    other = await get(service, "other", min_revision=result.revision)
    assert (other.comments, content(other.config), other.version) == ("", {"n": 2}, 2)
    assert (await get(service, "same")).version == 1


async def test_applications_are_created_with_their_first_items(service: Service) -> None:
    operation = await imported(
        service, item("a", application="one"), item("b", application="two"), create_applications=True
    )
    assert result_of(operation).created_count == 2
    assert result_of(operation).revision == 1
    assert await names(service) == ["a", "b"]


async def test_items_are_pinned_and_validated_against_their_schemas(service: Service) -> None:
    await create_application(service)
    await create_schema(service, "web", PORT)
    operation = await imported(
        service,
        item("good", {"port": 1}, schema="web"),
        item("bad", {"port": "x"}, schema="web@1"),
        item("lost", {"port": 1}, schema="nothing"),
        item("early", {"port": 1}, schema="web@2"),
        mode=PER_ITEM,
    )
    good, bad, lost, early = await items_of(service, operation)
    assert good.type == CREATED
    assert [reason(one) for one in (bad, lost, early)] == [
        "SCHEMA_VIOLATED",
        "RESOURCE_NOT_FOUND",
        "RESOURCE_NOT_FOUND",
    ]
    assert [(fault.pointer, fault.keyword) for fault in bad.faults] == [("/port", "type")]
    revision = result_of(operation).revision
    assert (await get(service, "good", min_revision=revision)).schema == SchemaVersionRef(schema="web", version=1)


async def test_an_item_that_takes_too_long_to_validate_fails_alone(service: Service) -> None:
    await create_application(service)
    halves: JsonObject = {
        str(level): {"allOf": [{"$ref": f"#/$defs/{level + 1}"}, {"$ref": f"#/$defs/{level + 1}"}]}
        for level in range(40)
    }
    # 2 to the power of 40 paths.
    document: JsonObject = {"properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": {**halves, "40": {"type": "object"}}}
    await create_schema(service, "hostile", document, closing=CLOSING_AS_WRITTEN)
    items = [item("slow", {"a": {}}, schema="hostile"), item("quick", {"b": 1}, schema="hostile")]
    slow, quick = await items_of(service, await imported(service, *items, mode=PER_ITEM))
    assert quick.type == CREATED
    assert [fault.message for fault in slow.faults] == ["takes more than 1 s to validate against its schema"]


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_a_dry_run_tells_what_would_be_done_and_keeps_nothing(service: Service, mode: int) -> None:
    await create_application(service)
    await create(service, "there", {"n": 1})
    revision = await head(service)
    operation = await imported(
        service,
        item("there", {"n": 2}),
        item("new"),
        item("made", application="other"),
        item("bad name"),
        mode=mode,
        upsert=True,
        create_applications=True,
        validate_only=True,
    )
    assert [one.type for one in await items_of(service, operation)] == [UPDATED, CREATED, CREATED, UNSPECIFIED]
    result = result_of(operation)
    assert (result.revision, result.created_count, result.updated_count, result.failed_count) == (0, 2, 1, 1)
    assert await head(service) == revision


async def test_every_change_has_the_actor_and_the_reason(service: Service) -> None:
    await create_application(service)
    revision = result_of(await imported(service, item("a"), reason="moved here")).revision
    found = await get(service, "a", min_revision=revision)
    assert (found.created_by, found.updated_by) == ("anonymous", "anonymous")


async def test_the_same_call_again_answers_with_the_same_operation(service: Service) -> None:
    await create_application(service)
    made = [item(f"c{number}", {"n": number}) for number in range(30)]
    first = await imported(service, *made, request_id=REQUEST_ID)
    # However the items are spread over messages.
    second = await begin(service, *made, size=7, request_id=REQUEST_ID)
    assert second.name == first.name
    assert second.done
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await begin(service, *made[:-1], request_id=REQUEST_ID)


async def test_only_the_first_message_has_settings(service: Service) -> None:
    await create_application(service)
    stream = [
        ImportConfigurationsRequest(items=[item("a")], upsert=True),
        ImportConfigurationsRequest(items=[item("b")], upsert=True),
    ]
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await service.configurations.ImportConfigurations(iter(stream))
    assert list(violations_of(caught.value)) == ["request"]
    assert await names(service) == []


async def test_faults_of_the_settings_are_reported_at_once(service: Service) -> None:
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await begin(service, mode=7, reason="x" * 1025, request_id="mine")
    assert sorted(violations_of(caught.value)) == ["mode", "reason", "request_id"]


async def test_a_stream_without_messages_and_bytes_that_are_no_message_are_refused(service: Service) -> None:
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await service.configurations.ImportConfigurations(iter(()))
    upload = service.channel.stream_unary("/configapi.v1.ConfigurationService/ImportConfigurations")
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await upload(iter([b"\xff\xff"]))


async def test_an_atomic_import_of_too_many_items_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.operations.imports.ATOMIC_LIMIT", 10)
    await create_application(service)
    made = [item(f"c{number}") for number in range(11)]
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await begin(service, *made)
    assert result_of(await imported(service, *made, mode=PER_ITEM)).created_count == 11


async def test_what_postgresql_refuses_fails_alone(service: Service) -> None:
    await create_application(service)
    made = [item(f"c{number}", {"n": number}) for number in range(40)]
    # Each takes a few bytes as a double, and 300 digits in PostgreSQL.
    made[17] = item("c17", {f"n{number}": 1e-300 for number in range(4000)})
    operation = await imported(service, *made, mode=PER_ITEM)
    (failed,) = await items_of(service, operation, failed_only=True)
    assert (failed.index, reason(failed)) == (17, "INVALID_REQUEST")
    assert result_of(operation).created_count == 39


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make imports wait for locks of others only until each attempt has failed once."""
    monkeypatch.setattr(import_slices, "WAIT_BUDGET_SECONDS", 0.1)
    monkeypatch.setattr(import_slices, "LOCK_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_a_row_that_a_session_locks_fails_alone(service: Service, database_url: str) -> None:
    await create_application(service)
    await create(service, "locked")
    async with plain_connection(database_url) as psql, psql.transaction():
        await psql.execute("SELECT FROM configurations FOR UPDATE")
        made = (item("a"), item("locked", {"n": 1}), item("b"))
        operation = await imported(service, *made, mode=PER_ITEM, upsert=True)
    (failed,) = await items_of(service, operation, failed_only=True)
    assert (failed.name, reason(failed)) == ("locked", "WRITE_CONFLICT")
    assert await names(service) == ["a", "b", "locked"]


LOCKS = [
    # An application that is being made, a schema, configurations, an application that is being renamed.
    ("INSERT INTO applications (name) VALUES ('locked-new')", "locked-new"),
    ("SELECT FROM schemas WHERE name = 'locked' FOR UPDATE", "locked-schema"),
    ("UPDATE configurations SET comments = 'locked' WHERE name LIKE 'row%'", "locked-rows"),
    ("UPDATE applications SET name = 'locked-no-more' WHERE name = 'locked'", "locked"),
]


@pytest.mark.usefixtures("impatient")
async def test_what_a_session_locks_fails_alone_however_many_items_it_has(service: Service, database_url: str) -> None:
    for application in ("shop", "locked"):
        await create_application(service, application)
    await create_schema(service, "locked", PORT)
    await imported(service, *(item(f"row{number}", {"n": 0}) for number in range(100)), upsert=True)
    for number, (lock, locked) in enumerate(LOCKS):
        groups = {
            "locked": [item(f"a{index}", application="locked") for index in range(100)],
            "locked-schema": [item(f"s{number}-{index}", {"port": 1}, schema="locked") for index in range(100)],
            "locked-rows": [item(f"row{index}", {"n": number + 1}) for index in range(100)],
            "locked-new": [item(f"n{index}", application="locked-new") for index in range(100)],
        }
        items = [one for together in zip(*groups.values(), strict=True) for one in together]
        async with plain_connection(database_url) as psql, psql.transaction(), asyncio.timeout(30):
            await psql.execute(lock)
            operation = await imported(service, *items, mode=PER_ITEM, upsert=True, create_applications=True)
        failed = await items_of(service, operation, failed_only=True)
        assert {(one.application, one.name, reason(one)) for one in failed} == {
            (one.application.name, one.name, "WRITE_CONFLICT") for one in groups[locked]
        }


async def test_an_atomic_import_waits_for_what_a_session_locks(service: Service, database_url: str) -> None:
    await create_application(service)
    async with plain_connection(database_url) as psql:
        async with psql.transaction():
            await psql.execute("SELECT FROM applications FOR UPDATE")
            operation = await begin(service, item("a"))
            await until_waiting(psql)
        assert result_of(await ended(service, operation)).created_count == 1


@pytest.mark.usefixtures("impatient")
async def test_an_atomic_import_fails_with_what_a_session_locks_for_too_long(
    service: Service, database_url: str
) -> None:
    await create_application(service)
    await create_application(service, "locked")
    async with plain_connection(database_url) as psql, psql.transaction():
        await psql.execute("SELECT FROM applications WHERE name = 'locked' FOR UPDATE")
        made = [item(f"c{number}", application="locked" if number % 2 else "shop") for number in range(100)]
        operation = await imported(service, *made)
    assert operation.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    failed = await items_of(service, operation, failed_only=True)
    assert [(one.index, reason(one)) for one in failed] == [(index, "WRITE_CONFLICT") for index in range(1, 100, 2)]
    assert await names(service) == []


@pytest.mark.usefixtures("impatient")
async def test_an_import_that_waits_too_long_for_keys_that_a_session_is_about_to_insert_fails(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_slices, "WAIT_LIMIT_SECONDS", 0.5)
    await create_application(service)
    async with plain_connection(database_url) as psql, psql.transaction():
        await psql.execute(
            "INSERT INTO configurations (application, name, config) "
            "SELECT 'shop', 'c' || number, '{}' FROM generate_series(0, 99) AS number"
        )
        operation = await imported(service, *(item(f"c{number}") for number in range(100)), mode=PER_ITEM)
        assert await names(service) == []
    assert operation.error.code == grpc.StatusCode.ABORTED.value[0]


async def test_a_schema_that_gets_a_new_version_meanwhile_is_checked_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Items checked against the earlier version must not be pinned to the new one.
    await create_application(service)
    await create_schema(service, "web", PORT)
    check_slice = imports.check_slice
    moved = False

    async def and_then_move(*arguments: object):
        nonlocal moved
        found = await check_slice(*arguments)  # pyright: ignore[reportArgumentType]
        if not moved:
            moved = True
            small: JsonObject = {**PORT, "properties": {"port": {"type": "integer", "maximum": 10}}}
            await create_version(service, small, "web")
        return found

    monkeypatch.setattr(imports, "check_slice", and_then_move)
    made = (item("small", {"port": 1}, schema="web"), item("large", {"port": 11}, schema="web"))
    operation = await imported(service, *made)
    (failed,) = await items_of(service, operation, failed_only=True)
    assert (failed.name, reason(failed)) == ("large", "SCHEMA_VIOLATED")
    assert await names(service) == []
    assert result_of(await imported(service, made[0])).created_count == 1
    assert (await get(service, "small")).schema.version == 2


async def test_a_version_that_is_added_after_the_check_is_not_the_one_that_items_are_pinned_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A version that moves no configuration waits for nobody.
    await create_application(service)
    await create_schema(service, "web", PORT)
    share_schemas = storage.share_schemas

    async def and_then_add(*arguments: object):
        found = await share_schemas(*arguments)  # pyright: ignore[reportArgumentType]
        small: JsonObject = {**PORT, "properties": {"port": {"type": "integer", "maximum": 10}}}
        await add_version(service, small, "web")
        return found

    monkeypatch.setattr(storage, "share_schemas", and_then_add)
    assert result_of(await imported(service, item("large", {"port": 11}, schema="web"))).created_count == 1
    assert (await get(service, "large")).schema.version == 1
