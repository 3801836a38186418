"""AuditService.ListChanges: every change to every resource, newest first."""

import uuid
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.audit_service_pb2 import (
    RESOURCE_KIND_APPLICATION,
    RESOURCE_KIND_CONFIGURATION,
    RESOURCE_KIND_SCHEMA,
    Change,
    ListChangesRequest,
)
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_DELETED, CHANGE_TYPE_UPDATED
from configsvc.configurations import audit
from configsvc.storage import database
from tests.api.calls import SHOP, create, create_application, delete, head, patch, refused
from tests.configurations.reading import change_pages, changes, rename, timestamp
from tests.service import Service, reason_of, running_service
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session

ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
POSITIONS = "SELECT revision, ordinal, kind, resource_id, version FROM changes ORDER BY revision DESC, ordinal DESC"


def summary(change: Change) -> tuple[int, str, int]:
    return change.revision, change.name, change.version


async def test_every_change_is_reported_with_who_when_and_why(shop: Service, psql: Session) -> None:
    request_id = str(uuid.uuid4())
    created = await create(shop, "web", {"n": 1}, reason="first", request_id=request_id)
    renamed = await rename(shop, "web", "site")
    deletion = await delete(shop, "site", reason="over")
    gone, changed, made, application = await changes(shop)
    assert [one.revision for one in (gone, changed, made, application)] == [
        deletion,
        renamed.revision,
        created.revision,
        1,
    ]
    assert [one.type for one in (gone, changed, made)] == [
        CHANGE_TYPE_DELETED,
        CHANGE_TYPE_UPDATED,
        CHANGE_TYPE_CREATED,
    ]
    assert (made.kind, made.resource_id, made.version, made.previous_version) == (
        RESOURCE_KIND_CONFIGURATION,
        created.id,
        1,
        0,
    )
    assert (made.application, made.application_id) == ("shop", created.application_id)
    assert (made.origin.actor, made.origin.reason, made.origin.request_id) == ("anonymous", "first", request_id)
    assert (changed.name, changed.previous_name, made.previous_name) == ("site", "web", "")
    assert (gone.version, gone.previous_version, gone.origin.reason) == (3, 2, "over")
    assert (application.kind, application.name, application.application) == (RESOURCE_KIND_APPLICATION, "shop", "")
    assert application.resource_id == created.application_id
    time = await psql.fetchval("SELECT time FROM commits WHERE revision = $1", created.revision)
    assert made.origin.commit_time == timestamp(time)


async def test_changes_made_in_sql_are_audited_too(shop: Service, psql: Session) -> None:
    await create(shop, "web")
    async with psql.transaction():
        await psql.execute("UPDATE configurations SET config = '{\"n\": 2}'")
        await psql.execute("INSERT INTO schemas (name) VALUES ('limits')")
        await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('limits', '{}')")
        await psql.execute("DELETE FROM configurations")
    role = f"database:{await psql.fetchval('SELECT session_user')}"
    found = await changes(shop, actor=role)
    assert [(one.kind, one.type, one.version) for one in found] == [
        (RESOURCE_KIND_CONFIGURATION, CHANGE_TYPE_DELETED, 3),
        (RESOURCE_KIND_SCHEMA, CHANGE_TYPE_UPDATED, 2),
        (RESOURCE_KIND_SCHEMA, CHANGE_TYPE_CREATED, 1),
        (RESOURCE_KIND_CONFIGURATION, CHANGE_TYPE_UPDATED, 2),
    ]
    assert {one.revision for one in found} == {await head(shop)}
    assert [(one.schema.schema, one.schema.version) for one in found[1:3]] == [("limits", 1), ("limits", 0)]


async def filled(shop: Service, psql: Session) -> None:
    """Make changes to several resources, in commits of several sizes."""
    await create_application(shop, "bank")
    for number in range(4):
        await create(shop, f"c{number}", reason="made")
        await patch(shop, f"c{number}", {"n": number})
        await create(shop, f"c{number}", application="bank")
    await psql.execute("UPDATE configurations SET config = '{\"all\": true}'")
    await rename(shop, "c0", "renamed")
    await delete(shop, "c1")
    renaming = UpdateApplicationRequest(name="bank", application=Application(name="vault"))
    await shop.applications.UpdateApplication(renaming)
    await shop.applications.DeleteApplication(DeleteApplicationRequest(name="vault", force=True))


@pytest.mark.parametrize("page_size", [1, 3, 1000])
async def test_pages_of_changes_hold_each_once_in_order(shop: Service, psql: Session, page_size: int) -> None:
    await filled(shop, psql)
    expected = [(row["revision"], row["resource_id"], row["version"]) for row in await psql.fetch(POSITIONS)]
    pages = await change_pages(shop, page_size=page_size)
    shown = [(one.revision, one.resource_id, one.version) for page in pages for one in page.changes]
    assert shown == expected
    assert all(len(page.changes) <= page_size for page in pages)


@pytest.mark.parametrize("window", [1, 2, 7, 20_000])
async def test_filters_find_what_sql_finds(
    shop: Service, psql: Session, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    # The result must not depend on how little of the log one page reads.
    monkeypatch.setattr(audit, "WINDOW", window)
    await filled(shop, psql)
    role = await psql.fetchval("SELECT 'database:' || session_user")
    bank = await psql.fetchval("SELECT resource_id FROM changes WHERE kind = 'APPLICATION' AND name = 'vault' LIMIT 1")
    c1 = await psql.fetchval("SELECT resource_id FROM changes WHERE application = 'shop' AND name = 'c1' LIMIT 1")
    middle = await psql.fetchval("SELECT time FROM commits WHERE revision = 8")
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "true"),
        ({"actor": role}, f"actor = '{role}'"),
        ({"actor": "nobody"}, "false"),
        ({"kind": RESOURCE_KIND_APPLICATION}, "kind = 'APPLICATION'"),
        ({"application": SHOP}, "application = 'shop' OR kind = 'APPLICATION' AND name = 'shop'"),
        ({"application": ApplicationRef(id=bank)}, f"application_id = '{bank}' OR resource_id = '{bank}'"),
        (
            {"application": ApplicationRef(name="bank")},
            "'bank' IN (application, previous_application) OR kind = 'APPLICATION' AND 'bank' IN (name, previous_name)",
        ),
        ({"resource_id": c1}, f"resource_id = '{c1}'"),
        ({"resource_id": bank}, f"resource_id = '{bank}'"),
        ({"resource_id": c1, "kind": RESOURCE_KIND_CONFIGURATION}, f"resource_id = '{c1}'"),
        ({"resource_id": c1, "kind": RESOURCE_KIND_APPLICATION}, "false"),
        (
            {"resource_id": c1, "after_revision": 5, "until_revision": 15},
            f"resource_id = '{c1}' AND revision > 5 AND revision <= 15",
        ),
        ({"resource_id": ANY_ULID}, "false"),
        ({"resource_name": "c0"}, "'c0' IN (name, previous_name)"),
        ({"after_revision": 5, "until_revision": 9}, "revision > 5 AND revision <= 9"),
        ({"after_revision": 5, "until_revision": 5}, "false"),
        ({"start_time": timestamp(middle)}, "revision >= 8"),
        ({"end_time": timestamp(middle)}, "revision < 8"),
        ({"start_time": timestamp(middle), "end_time": timestamp(middle)}, "false"),
        (
            {"start_time": timestamp(middle), "resource_name": "c1", "application": SHOP},
            "revision >= 8 AND application = 'shop' AND name = 'c1'",
        ),
        (
            {"start_time": Timestamp(), "end_time": timestamp(middle + timedelta(hours=1)), "after_revision": 10},
            "revision > 10",
        ),
    ]
    for fields, condition in cases:
        rows = await psql.fetch(POSITIONS.replace(" ORDER", f" WHERE {condition} ORDER"))
        expected = [(row["revision"], row["resource_id"], row["version"]) for row in rows]
        pages = await change_pages(shop, page_size=3, **fields)
        assert [(one.revision, one.resource_id, one.version) for page in pages for one in page.changes] == expected, (
            fields
        )


async def test_a_page_looks_at_a_bounded_part_of_the_log(
    shop: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "WINDOW", 100)
    await create(shop, "rare")
    await psql.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'c' || n, '{}' FROM generate_series(1, 950) AS n"""
    )
    pages = await change_pages(shop, resource_name="rare")
    assert [len(page.changes) for page in pages] == [0] * 9 + [1]


async def test_changes_that_are_made_meanwhile_shift_no_page(shop: Service) -> None:
    for number in range(5):
        await create(shop, f"c{number}")
    first = await shop.audit.ListChanges(ListChangesRequest(page_size=3))
    await create(shop, "later")
    second = await shop.audit.ListChanges(ListChangesRequest(page_size=3, page_token=first.next_page_token))
    shown = [change.revision for page in (first, second) for change in page.changes]
    assert shown == [6, 5, 4, 3, 2, 1]


async def test_the_longest_reasons_fit_into_pages(shop: Service) -> None:
    for number in range(8):
        await create(shop, f"c{number}", reason="€" * 1024)
    assert [len(page.changes) for page in await change_pages(shop, page_size=1000)] == [9]


async def test_a_compacted_revision_is_reported(shop: Service, database_url: str, psql: Session) -> None:
    await create(shop, "web")
    await patch(shop, "web", {"n": 2})
    assert {page.compacted_revision for page in await change_pages(shop)} == {0}
    floor = await head(shop)
    await age(psql, up_to=floor)
    await compact_once(database_url)
    await patch(shop, "web", {"n": 3})
    pages = await change_pages(shop, page_size=1)
    assert {page.compacted_revision for page in pages} == {floor}
    assert [(change.kind, change.version) for page in pages for change in page.changes] == [
        (RESOURCE_KIND_CONFIGURATION, 3),
        (RESOURCE_KIND_CONFIGURATION, 2),
        (RESOURCE_KIND_APPLICATION, 1),
    ]


async def test_an_empty_log_has_no_changes(service: Service) -> None:
    assert [len(page.changes) for page in await change_pages(service)] == [0]


async def test_a_token_of_changes_serves_its_own_request_only(shop: Service) -> None:
    await create(shop, "web")
    token = (await change_pages(shop, page_size=1))[0].next_page_token
    assert (await shop.audit.ListChanges(ListChangesRequest(page_size=5, page_token=token))).changes
    async with refused(shop, "page_token"):
        await shop.audit.ListChanges(ListChangesRequest(actor="x", page_token=token))


async def test_faults_of_a_filter_are_reported(shop: Service) -> None:
    request: dict[str, Any] = {
        "actor": "x" * 2000,
        "application": ApplicationRef(name="-"),
        "kind": 9,
        "resource_id": "x",
        "resource_name": "-",
        "start_time": Timestamp(seconds=1 << 60),
        "end_time": Timestamp(nanos=-1),
        "after_revision": -1,
        "until_revision": -1,
        "page_size": -1,
    }
    async with refused(shop, "application.name", *(field for field in request if field != "application")):
        await shop.audit.ListChanges(ListChangesRequest(**request))
    async with refused(shop, "end_time"):
        await shop.audit.ListChanges(ListChangesRequest(start_time=Timestamp(seconds=2), end_time=Timestamp(seconds=1)))


async def test_a_filter_that_takes_too_long_is_reported(
    shop: Service, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setitem(database.READ_SETTINGS, "statement_timeout", "1ms")
    async with running_service(database_url) as hurried:
        reasons = [await _reason(hurried) for _ in range(200)]
    # So short a limit also ends statements without a filter.
    assert "FILTER_TOO_SLOW" in reasons
    assert set(reasons) <= {"FILTER_TOO_SLOW", "DATABASE_UNAVAILABLE", ""}


async def _reason(service: Service) -> str:
    """Return the reason for which a list with a filter is refused; empty if it is answered."""
    try:
        await changes(service, actor="user:nobody")
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""
