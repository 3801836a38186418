"""The moment that a read shows, and the epoch of every answer: applications, role bindings and the audit trail."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from configapi.v1.access_service_pb2 import (
    CreateRoleBindingRequest,
    DeleteRoleBindingRequest,
    ListRoleBindingsRequest,
    Role,
)
from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    ListApplicationsResponse,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.storage import applications
from tests.api.calls import Connection, create_application, failing, head, refused
from tests.service import POLL_SECONDS, Service, error_info_of
from tests.storage.compacting import age, compact_once
from tests.storage.reading import application

Call = Callable[[Service, dict[str, Any]], Awaitable[Any]]

READS: dict[str, Call] = {
    "GetApplication": lambda service, fields: service.applications.GetApplication(
        GetApplicationRequest(name="shop", **fields)
    ),
    "ListApplications": lambda service, fields: service.applications.ListApplications(
        ListApplicationsRequest(**fields)
    ),
    "ListRoleBindings": lambda service, fields: service.access.ListRoleBindings(ListRoleBindingsRequest(**fields)),
    "ListChanges": lambda service, fields: service.audit.ListChanges(ListChangesRequest(**fields)),
}
WITH_MOMENT = sorted(READS.keys() - {"ListChanges"})


async def epoch_of(service: Service) -> str:
    return (await service.server.GetServerStatus(GetServerStatusRequest())).epoch


async def listed(service: Service, **fields: Any) -> ListApplicationsResponse:
    return await service.applications.ListApplications(ListApplicationsRequest(**fields))


# Epochs


async def test_every_answer_has_the_epoch_and_its_revision(service: Service) -> None:
    epoch, access, call = await epoch_of(service), service.access, service.applications
    binding = CreateRoleBindingRequest(principal="user:ann", role=Role.ROLE_VIEWER, all_applications=Empty())
    bound = await access.CreateRoleBinding(binding)
    writes = [
        bound,
        await call.CreateApplication(CreateApplicationRequest(name="shop")),
        await call.UpdateApplication(UpdateApplicationRequest(name="shop", application=Application(comments="c"))),
        await access.DeleteRoleBinding(DeleteRoleBindingRequest(id=bound.role_binding.id)),
    ]
    assert [(one.epoch, one.revision) for one in writes] == [(epoch, revision) for revision in (1, 2, 3, 4)]
    # The application was changed before the head that the answers show.
    reads = [await read(service, {}) for read in READS.values()]
    assert [(one.epoch, one.revision) for one in reads] == [(epoch, 4)] * len(READS)
    deleted = await call.DeleteApplication(DeleteApplicationRequest(name="shop"))
    assert (deleted.epoch, deleted.revision) == (epoch, 5)
    tried = await call.CreateApplication(CreateApplicationRequest(name="bank", validate_only=True))
    assert (tried.epoch, tried.revision) == (epoch, 0)


@pytest.mark.parametrize("name", READS)
async def test_a_read_of_another_epoch_is_refused(shop: Service, name: str) -> None:
    epoch = await epoch_of(shop)
    assert (await READS[name](shop, {"epoch": epoch})).epoch == epoch
    with failing(StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED") as caught:
        await READS[name](shop, {"epoch": f"{epoch}0"})
    assert error_info_of(caught.value).metadata["current_epoch"] == epoch
    async with refused(shop, "epoch"):
        await READS[name](shop, {"epoch": "x" * 101})


async def test_the_epoch_of_an_answer_is_never_newer_than_its_data(
    shop: Service, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, page = await epoch_of(shop), applications.page

    async def later(*arguments: Any, **fields: Any) -> Any:
        monkeypatch.setattr(applications, "page", page)
        await psql.execute("UPDATE log_identity SET only_row = true")
        await psql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'configsvc feed'"
        )
        async with asyncio.timeout(20):
            while True:
                if await epoch_of(shop) != before:
                    return await page(*arguments, **fields)
                await asyncio.sleep(POLL_SECONDS)

    monkeypatch.setattr(applications, "page", later)
    assert (await listed(shop)).epoch == before
    assert (await listed(shop)).epoch != before


# The current state


@pytest.mark.parametrize("name", WITH_MOMENT)
async def test_a_read_shows_what_was_committed_before_it(shop: Service, psql: Connection, name: str) -> None:
    await application(psql, "bank")
    revision = await head(shop)
    for moment in ({"latest": True}, {"min_revision": revision}, {"min_revision": 0}, {}):
        assert (await READS[name](shop, moment)).revision == revision
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await READS[name](shop, {"min_revision": revision + 1})


@pytest.mark.parametrize("name", WITH_MOMENT)
async def test_a_moment_that_means_nothing_is_refused(shop: Service, name: str) -> None:
    async with refused(shop, "latest"):
        await READS[name](shop, {"latest": False})
    async with refused(shop, "min_revision"):
        await READS[name](shop, {"min_revision": -1})


# Earlier states of applications


async def eventful(service: Service, psql: Connection) -> dict[int, ListApplicationsResponse]:
    """Make changes of applications; return the list at each revision as it was shown then."""
    shown: dict[int, ListApplicationsResponse] = {}

    async def note() -> None:
        response = await listed(service)
        shown[response.revision] = response

    await note()
    for name in ("b", "a", "c"):
        await create_application(service, name)
        await note()
    renaming = UpdateApplicationRequest(name="a", application=Application(name="d", comments="renamed"))
    await service.applications.UpdateApplication(renaming)
    await note()
    await create_application(service, "a")
    await note()
    await service.applications.DeleteApplication(DeleteApplicationRequest(name="b"))
    await note()
    await psql.execute("UPDATE applications SET comments = 'all'")
    await note()
    return shown


async def test_a_list_shows_every_earlier_revision_as_it_was(service: Service, psql: Connection) -> None:
    for revision, then in (await eventful(service, psql)).items():
        # 0 means the current state.
        if revision:
            assert await listed(service, as_of_revision=revision) == then
    assert await listed(service, as_of_revision=0) == await listed(service)


async def test_a_list_shows_every_earlier_time_as_it_was(service: Service, psql: Connection) -> None:
    shown = await eventful(service, psql)
    times = {row["revision"]: row["time"] for row in await psql.fetch("SELECT revision, time FROM commits")}
    for revision, time in times.items():
        for later in (timedelta(), timedelta(microseconds=1)):
            moment = Timestamp()
            moment.FromDatetime(time - timedelta(microseconds=1) + later)
            expected = revision if later else revision - 1
            assert await listed(service, as_of_time=moment) == shown[expected]
        # Parts of a microsecond are cut off.
        moment.nanos += 999
        assert await listed(service, as_of_time=moment) == shown[revision]


@pytest.mark.parametrize("by_time", [False, True])
async def test_all_pages_of_an_earlier_list_show_its_revision(
    service: Service, psql: Connection, *, by_time: bool
) -> None:
    shown = await eventful(service, psql)
    then = shown[5]
    assert [one.name for one in then.applications] == ["a", "b", "c", "d"]
    time = Timestamp()
    time.FromDatetime(await psql.fetchval("SELECT time FROM commits WHERE revision = 5"))
    moment = {"as_of_time": time} if by_time else {"as_of_revision": 5}
    token, pages = "", []
    while not pages or token:
        pages.append(await listed(service, page_size=1, page_token=token, **moment))
        token = pages[-1].next_page_token
        await create_application(service, f"b{len(pages)}")
    assert [page.revision for page in pages] == [5] * 4
    assert [one for page in pages for one in page.applications] == [*then.applications]


async def test_a_prefix_selects_the_names_of_that_time(service: Service, psql: Connection) -> None:
    await eventful(service, psql)
    assert [one.name for one in (await listed(service, name_prefix="d", as_of_revision=3)).applications] == []
    (renamed,) = (await listed(service, name_prefix="d", as_of_revision=4)).applications
    (before,) = (await listed(service, name_prefix="a", as_of_revision=3)).applications
    assert (renamed.id, renamed.comments) == (before.id, "renamed")


async def test_a_list_of_a_moment_that_cannot_be_read_is_refused(
    service: Service, psql: Connection, database_url: str
) -> None:
    await eventful(service, psql)
    last = await head(service)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await listed(service, as_of_revision=last + 1)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await listed(service, as_of_time=Timestamp(seconds=32_503_680_000))
    async with refused(service, "as_of_revision"):
        await listed(service, as_of_revision=-1)
    async with refused(service, "as_of_time"):
        await listed(service, as_of_time=Timestamp(nanos=-1))
    await age(psql, up_to=last)
    await compact_once(database_url)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        await listed(service, as_of_revision=2)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        await listed(service, as_of_time=Timestamp(seconds=1))
    assert (await listed(service, as_of_revision=last)).revision == last


# The audit trail


async def test_a_page_of_changes_names_the_head_when_it_was_read(shop: Service) -> None:
    first = await shop.audit.ListChanges(ListChangesRequest(page_size=1, until_revision=1))
    assert (first.revision, [change.revision for change in first.changes]) == (1, [1])
    await create_application(shop, "bank")
    resource_id = first.changes[0].resource_id
    filters: list[dict[str, Any]] = [{}, {"until_revision": 1}, {"resource_id": resource_id}, {"actor": "nobody"}]
    for fields in filters:
        assert (await shop.audit.ListChanges(ListChangesRequest(**fields))).revision == 2
