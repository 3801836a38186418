"""Items of an import: applications by reference, contents as text, and expected versions."""

import uuid
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_UPDATED
from configapi.v1.configuration_service_pb2 import ConfigurationItem
from configapi.v1.operation_service_pb2 import OperationItem
from configsvc.domain.content import JsonObject, encode_json
from configsvc.storage import imports
from tests.api.calls import content, create, create_application, failing, get, head, names, refused
from tests.operations.operating import (
    ATOMIC,
    PER_ITEM,
    begin,
    ended,
    imported,
    item,
    items_of,
    messages,
    metadata_of,
    result_of,
)
from tests.postgres import plain_connection
from tests.service import Service

ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def by_id(name: str, application_id: str, **fields: Any) -> ConfigurationItem:
    found = item(name, {"n": 1}, **fields)
    found.application.id = application_id
    return found


def error_of(one: OperationItem) -> tuple[str, str]:
    """Return the reason and the current version in the error of an item."""
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in one.error.details)
    return info.reason, info.metadata["current_version"]


async def renamed(service: Service, name: str, new_name: str) -> None:
    request = UpdateApplicationRequest(name=name, application=Application(name=new_name))
    await service.applications.UpdateApplication(request)


# Applications


async def test_an_item_names_its_application_by_id_or_by_name(service: Service) -> None:
    shop = await create_application(service)
    operation = await imported(service, by_id("a", shop.id), item("b"))
    assert result_of(operation).created_count == 2
    found = [(one.application, one.name, one.type) for one in await items_of(service, operation)]
    assert found == [("shop", name, CHANGE_TYPE_CREATED) for name in ("a", "b")]
    assert await names(service) == ["a", "b"]


async def test_an_item_must_name_an_application(service: Service) -> None:
    await create_application(service)
    broken = ConfigurationItem(name="a", application=ApplicationRef(id="x"), config_json="{}")
    operation = await imported(service, broken, ConfigurationItem(name="b", config_json="{}"), mode=PER_ITEM)
    failed = await items_of(service, operation, failed_only=True)
    assert [(one.name, one.error.message.split(":")[0]) for one in failed] == [
        ("a", "application.id"),
        ("b", "application"),
    ]


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_an_application_named_by_id_may_be_renamed_while_the_import_runs(
    service: Service, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    shop = await create_application(service)
    resolve = imports.resolve_applications
    calls = 0

    async def then_rename(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        await resolve(*arguments)
        if calls == 1:
            await renamed(service, "shop", "store")

    monkeypatch.setattr(imports, "resolve_applications", then_rename)
    operation = await imported(service, *(by_id(name, shop.id) for name in ("a", "b")), mode=mode)
    assert result_of(operation).created_count == 2
    assert calls == 2
    assert {one.application for one in await items_of(service, operation)} == {"store"}
    assert await names(service, application=ApplicationRef(name="store")) == ["a", "b"]


async def test_an_unknown_id_fails_its_items_alone(service: Service) -> None:
    await create_application(service)
    unknown = [by_id("a", ANY_ULID), by_id("a", ANY_ULID[:-1] + "W")]
    operation = await imported(service, *unknown, item("a"), mode=PER_ITEM, create_applications=True)
    failed = await items_of(service, operation, failed_only=True)
    assert [(one.index, error_of(one)[0]) for one in failed] == [(0, "RESOURCE_NOT_FOUND"), (1, "RESOURCE_NOT_FOUND")]
    assert ANY_ULID in failed[0].error.message
    assert await names(service) == ["a"]


async def test_an_application_by_id_and_by_name_is_the_same_application(service: Service) -> None:
    shop = await create_application(service)
    operation = await imported(service, by_id("a", shop.id), item("a"), mode=PER_ITEM)
    (failed,) = await items_of(service, operation, failed_only=True)
    assert (failed.index, error_of(failed)[0]) == (1, "INVALID_REQUEST")


# Contents


async def test_a_content_as_text_is_the_same_as_a_struct(service: Service) -> None:
    await create_application(service)
    config: JsonObject = {"port": 1, "half": 0.5, "text": "é\n", "none": None}
    as_text = ConfigurationItem(application=ApplicationRef(name="shop"), name="a", config_json=encode_json(config))
    assert result_of(await imported(service, as_text)).created_count == 1
    operation = await imported(service, item("a", config), upsert=True)
    assert result_of(operation).unchanged_count == 1
    assert content((await get(service, "a")).config) == config


async def test_faults_of_a_text_are_faults_of_the_content(service: Service) -> None:
    await create_application(service)
    wrong = ConfigurationItem(
        application=ApplicationRef(name="shop"), name="a", config_json='{"a":{"b":9007199254740993}}'
    )
    operation = await imported(service, wrong, mode=PER_ITEM)
    (failed,) = await items_of(service, operation)
    assert [fault.pointer for fault in failed.faults] == ["/a/b"]
    assert failed.fault_count == 1
    assert failed.error.message.startswith("config/a/b")


# Expected versions


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
@pytest.mark.parametrize("dry", [False, True])
async def test_an_item_with_another_version_than_expected_fails(service: Service, mode: Any, dry: bool) -> None:
    await create_application(service)
    for name in ("a", "b", "c"):
        await create(service, name, {"n": 0})
    await update_twice(service, "b")
    revision = await head(service)
    wrong = [
        item("a", {"n": 1}, expected_version=0),
        item("b", {"n": 1}, expected_version=2),
        item("new", {"n": 1}, expected_version=4),
    ]
    right = [item("c", {"n": 1}, expected_version=1), item("other", expected_version=0), item("any")]
    operation = await imported(service, *wrong, *right, mode=mode, upsert=True, validate_only=dry)
    failed = await items_of(service, operation, failed_only=True)
    assert [(one.name, error_of(one)) for one in failed] == [
        ("a", ("VERSION_MISMATCH", "1")),
        ("b", ("VERSION_MISMATCH", "3")),
        ("new", ("VERSION_MISMATCH", "0")),
    ]
    assert {one.error.code for one in failed} == {StatusCode.ABORTED.value[0]}
    if dry or mode == ATOMIC:
        assert await head(service) == revision
    else:
        done = (await items_of(service, operation))[3:]
        assert [one.type for one in done] == [CHANGE_TYPE_UPDATED, CHANGE_TYPE_CREATED, CHANGE_TYPE_CREATED]


async def update_twice(service: Service, name: str) -> None:
    for number in (1, 2):
        assert result_of(await imported(service, item(name, {"n": number}), upsert=True)).updated_count == 1


async def test_what_must_not_exist_is_created_once_even_if_another_session_is_faster(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await create_application(service)
    check = imports.check_versions
    created = False

    async def then_create(*arguments: Any) -> Any:
        nonlocal created
        found = await check(*arguments)
        if not created:
            created = True
            async with plain_connection(database_url) as psql:
                await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'a', '{}')")
        return found

    monkeypatch.setattr(imports, "check_versions", then_create)
    operation = await imported(service, by_id("a", shop.id, expected_version=0), item("b"), mode=PER_ITEM, upsert=True)
    first, second = await items_of(service, operation)
    assert error_of(first) == ("VERSION_MISMATCH", "1")
    assert second.type == CHANGE_TYPE_CREATED
    assert content((await get(service, "a")).config) == {}


async def test_a_version_below_zero_is_a_fault_of_its_item(service: Service) -> None:
    await create_application(service)
    operation = await imported(service, item("a", expected_version=-1), mode=PER_ITEM)
    (failed,) = await items_of(service, operation)
    assert failed.error.message.startswith("expected_version")


# The change request and the epoch


async def test_the_change_request_of_an_import_is_kept_for_each_change(service: Service) -> None:
    operation = await imported(
        service, item("a"), item("b"), mode=PER_ITEM, create_applications=True, change_request="CR-7"
    )
    assert metadata_of(operation).change_request == "CR-7"
    changes = (await service.audit.ListChanges(ListChangesRequest())).changes
    assert [change.origin.change_request for change in changes] == ["CR-7"] * 3
    metadata = (("x-change-request", "CR-8"),)
    by_header = await service.configurations.ImportConfigurations(messages([item("c")]), metadata=metadata)
    assert metadata_of(await ended(service, by_header)).change_request == "CR-8"
    stream = messages([item("d")], change_request="CR-9")
    both = await service.configurations.ImportConfigurations(stream, metadata=metadata)
    assert metadata_of(await ended(service, both)).change_request == "CR-9"
    async with refused(service, "change_request"):
        await begin(service, item("e"), change_request="é")


async def test_a_repeated_import_with_another_change_request_is_another_call(service: Service) -> None:
    await create_application(service)
    request_id = str(uuid.uuid4())
    first = await imported(service, item("a"), request_id=request_id, change_request="CR-1")
    again = await imported(service, item("a"), request_id=request_id, change_request="CR-1")
    assert again.name == first.name
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await begin(service, item("a"), request_id=request_id, change_request="CR-2")


async def test_the_result_of_an_operation_names_the_epoch_of_its_revision(service: Service) -> None:
    created = await create_application(service)
    result = result_of(await imported(service, item("a")))
    listed = await service.audit.ListChanges(ListChangesRequest())
    assert (result.revision, result.epoch) == (created.revision + 1, listed.epoch)
    assert result.epoch
