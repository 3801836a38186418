"""ListConfigurationVersions: every retained version, newest first."""

import json
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_DELETED, CHANGE_TYPE_UPDATED
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, CONFIGURATION_VIEW_FULL, Configuration
from configapi.v1.configuration_service_pb2 import ListConfigurationVersionsRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from tests.api.calls import content, create, delete, failing, key, patch, refused, update
from tests.configurations.reading import rename, version_pages, versions
from tests.postgres import plain_connection
from tests.service import Service
from tests.storage.compacting import age, compact_once

if TYPE_CHECKING:
    import asyncpg

MIB = 1024 * 1024
ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def test_versions_are_listed_newest_first_with_who_when_and_why(shop: Service) -> None:
    request_id = str(uuid.uuid4())
    created = await create(shop, "web", {"a": 1}, reason="first", comments="one")
    changed = await patch(shop, "web", {"a": 2}, reason="second", request_id=request_id)
    revision = await delete(shop, "web", reason="third")
    listed = await versions(shop, id=created.id)
    assert [(one.configuration.version, one.type, one.origin.reason) for one in listed] == [
        (3, CHANGE_TYPE_DELETED, "third"),
        (2, CHANGE_TYPE_UPDATED, "second"),
        (1, CHANGE_TYPE_CREATED, "first"),
    ]
    assert [one.origin.request_id for one in listed] == ["", request_id, ""]
    assert [one.configuration.revision for one in listed] == [revision, changed.revision, created.revision]
    assert {one.configuration.updated_by for one in listed} == {"anonymous"}
    assert listed[1].configuration.update_time == changed.update_time
    assert {one.configuration.comments for one in listed} == {"one"}


async def test_versions_are_full_unless_basic_ones_are_asked_for(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    await patch(shop, "web", {"a": 2})
    basic = await versions(shop, view=CONFIGURATION_VIEW_BASIC)
    assert not any(one.configuration.HasField("content") for one in basic)
    for full in (await versions(shop), await versions(shop, view=CONFIGURATION_VIEW_FULL)):
        assert [content(one.configuration.config) for one in full] == [{"a": 2}, {"a": 1}]
    as_text = await versions(shop, format=CONTENT_FORMAT_JSON)
    assert [one.configuration.config_json for one in as_text] == ['{"a": 2}', '{"a": 1}']
    await delete(shop, "web")
    (deletion, *_) = await versions(shop, view=CONFIGURATION_VIEW_FULL)
    assert not deletion.configuration.HasField("config")


async def test_pages_of_versions_fit_together_while_others_write(shop: Service) -> None:
    await create(shop, "web", {})
    for number in range(6):
        await patch(shop, "web", {"n": number})
    first = await shop.configurations.ListConfigurationVersions(
        ListConfigurationVersionsRequest(key=key("web"), page_size=3)
    )
    await patch(shop, "web", {"n": 100})
    await rename(shop, "web", "other")
    await create(shop, "web", {})
    # All pages are about the configuration that had the name at the first page.
    second = await shop.configurations.ListConfigurationVersions(
        ListConfigurationVersionsRequest(key=key("web"), page_size=4, page_token=first.next_page_token)
    )
    shown = [one.configuration.version for page in (first, second) for one in page.versions]
    assert shown == [7, 6, 5, 4, 3, 2, 1]
    assert not second.next_page_token
    assert not first.compacted
    assert not second.compacted


async def test_a_page_of_versions_ends_before_it_grows_over_3_mib(shop: Service) -> None:
    await create(shop, "web", {})
    for number in range(20):
        await patch(shop, "web", {"text": f"{number}" + "x" * 250_000})
    pages = await version_pages(shop, view=CONFIGURATION_VIEW_FULL, page_size=1000)
    assert [one.configuration.version for page in pages for one in page.versions] == list(range(21, 0, -1))
    assert len(pages) == 2
    assert all(page.ByteSize() <= 3 * MIB + 1000 for page in pages)
    assert len(await version_pages(shop, view=CONFIGURATION_VIEW_BASIC, page_size=1000)) == 1


async def test_a_name_means_what_has_it_and_else_what_had_it_last(shop: Service) -> None:
    first = await create(shop, "web")
    await delete(shop, "web")
    second = await create(shop, "web")
    assert {one.configuration.id for one in await versions(shop)} == {second.id}
    # The configuration was renamed: it had the name last.
    await rename(shop, "web", "site")
    assert {one.configuration.id for one in await versions(shop)} == {second.id}
    third = await create(shop, "tmp")
    await rename(shop, "tmp", "web")
    assert {one.configuration.id for one in await versions(shop)} == {third.id}
    await delete(shop, "web")
    assert {one.configuration.id for one in await versions(shop)} == {third.id}
    await delete(shop, "site")
    assert {one.configuration.id for one in await versions(shop)} == {third.id}
    assert {one.configuration.id for one in await versions(shop, key=key("site"))} == {second.id}
    assert len(await versions(shop, id=first.id)) == 2


async def test_the_name_of_an_application_belongs_to_the_name(shop: Service) -> None:
    created = await create(shop, "web")
    renaming = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await shop.applications.UpdateApplication(renaming)
    for application in ("shop", "store"):
        listed = await versions(shop, key=key("web", application))
        assert [one.configuration.application for one in listed] == ["store", "shop"]
        assert {one.configuration.id for one in listed} == {created.id}


async def test_a_configuration_that_never_was_has_no_versions(shop: Service) -> None:
    for ref in ({"id": ANY_ULID}, {"key": key("never")}):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await versions(shop, **ref)


async def test_versions_take_min_revision(shop: Service) -> None:
    created = await create(shop, "web")
    assert len(await versions(shop, min_revision=created.revision)) == 1
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await versions(shop, min_revision=created.revision + 1)


async def test_a_history_that_was_compacted_says_so(
    shop: Service, database_url: str, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await create(shop, "web", {})
    changed = [await patch(shop, "web", {"n": number}) for number in range(3)]
    assert not any(page.compacted for page in await version_pages(shop))
    await age(psql, up_to=changed[-1].revision)
    await compact_once(database_url)
    await patch(shop, "web", {"n": 10})
    pages = await version_pages(shop, page_size=1)
    assert [one.configuration.version for page in pages for one in page.versions] == [5, 4]
    assert all(page.compacted for page in pages)


async def test_what_ran_in_sql_is_a_version_too(shop: Service, database_url: str) -> None:
    await create(shop, "web", {"a": 1})
    async with plain_connection(database_url) as connection:
        await connection.execute("UPDATE configurations SET config = $1 WHERE name = 'web'", json.dumps({"a": 2}))
        role = await connection.fetchval("SELECT session_user")
    (newest, _) = await versions(shop, view=CONFIGURATION_VIEW_FULL)
    assert (newest.configuration.updated_by, newest.origin.reason) == (f"database:{role}", "")
    assert content(newest.configuration.config) == {"a": 2}


async def test_faults_of_a_request_for_versions_are_reported(shop: Service) -> None:
    async with refused(shop, "ref", "view", "format", "min_revision", "epoch", "page_size", "page_token"):
        await shop.configurations.ListConfigurationVersions(
            ListConfigurationVersionsRequest(
                view=cast("Any", 7),
                format=cast("Any", 7),
                min_revision=-1,
                epoch="x" * 101,
                page_size=-1,
                page_token="x",
            )
        )


@pytest.mark.parametrize("changed", [{"view": CONFIGURATION_VIEW_BASIC}, {"key": key("other")}])
async def test_a_token_of_versions_serves_its_own_request_only(shop: Service, changed: dict[str, Any]) -> None:
    await create(shop, "web")
    await update(shop, "web", configuration=Configuration(comments="x"))
    token = (await version_pages(shop, page_size=1))[0].next_page_token
    async with refused(shop, "page_token"):
        fields: dict[str, Any] = {"key": key("web"), "page_token": token} | changed
        await shop.configurations.ListConfigurationVersions(ListConfigurationVersionsRequest(**fields))
