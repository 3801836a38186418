"""Times: what is shown with a time is found by it, whatever the clock did."""

from datetime import UTC, datetime

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from configapi.v1.access_service_pb2 import CreateRoleBindingRequest, ListRoleBindingsRequest, Role
from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    ListConfigurationsRequest,
)
from tests.api.calls import Connection, create, create_application, delete, failing, get, patch
from tests.configurations.reading import get_at, versions
from tests.operations.operating import ATOMIC, imported, item, metadata_of
from tests.schemas.calls import get_schema, get_version
from tests.service import Service
from tests.watch.changing import selector, watching
from tests.watch.recording import recorded
from tests.writes.batches import creation, deletion, upsert, write


async def commit_time(psql: Connection, revision: int) -> datetime:
    return await psql.fetchval("SELECT time FROM commits WHERE revision = $1", revision)


def times_of(resource: "Configuration | Application") -> tuple[datetime, datetime]:
    return resource.create_time.ToDatetime(UTC), resource.update_time.ToDatetime(UTC)


async def test_every_time_of_a_configuration_finds_what_it_was_shown_for(shop: Service) -> None:
    shown = [
        await create(shop, "web", {"n": 0}),
        await patch(shop, "web", {"n": 1}),
        await patch(shop, "web", {"n": 2}),
    ]
    for configuration in shown:
        assert await get_at(shop, as_of_time=configuration.update_time) == configuration
        assert await get_at(shop, as_of_time=configuration.create_time) == shown[0]
    listed = [version.configuration for version in await versions(shop)]
    assert [(one.version, times_of(one)) for one in listed] == [(one.version, times_of(one)) for one in shown[::-1]]
    await delete(shop, "web")
    gone = (await versions(shop))[0].configuration
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get_at(shop, as_of_time=gone.update_time)
    assert gone.create_time == shown[0].create_time


async def test_every_answer_shows_the_times_of_commits(shop: Service, psql: Connection) -> None:
    created = await create(shop, "web", {"n": 0})
    first = await commit_time(psql, created.revision)
    assert times_of(created) == (first, first)
    async with recorded(shop, watching(selector("shop"), after_revision=created.revision - 1)) as watch:
        changed = await patch(shop, "web", {"n": 1})
        second = await commit_time(psql, changed.revision)
        recording = await watch.until_revision(changed.revision)
    events = [event.configuration for event in recording.events]
    assert [times_of(one) for one in events] == [(first, first), (first, second)]
    listed = await shop.configurations.ListConfigurations(ListConfigurationsRequest())
    batch = await shop.configurations.BatchGetConfigurations(
        BatchGetConfigurationsRequest(refs=[ConfigurationRef(id=created.id)])
    )
    at_first = await shop.configurations.ListConfigurations(ListConfigurationsRequest(as_of_revision=created.revision))
    assert times_of(at_first.configurations[0]) == (first, first)
    for shown in (changed, await get(shop, "web"), listed.configurations[0], batch.results[0].configuration):
        assert times_of(shown) == (first, second)


async def test_a_transaction_that_lasted_shows_the_time_of_its_commit(shop: Service, psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
        other = await create(shop, "other")
    web = await get(shop, "web")
    assert web.create_time.ToDatetime(UTC) == await commit_time(psql, web.revision) > times_of(other)[1]
    assert await get_at(shop, as_of_time=web.create_time) == web
    changed = await patch(shop, "web", {"n": 1})
    assert changed.create_time == web.create_time


async def test_a_batch_shows_the_times_of_its_commit(shop: Service, psql: Connection) -> None:
    old = await create(shop, "old")
    gone = await create(shop, "gone")
    answer = await write(shop, creation("new"), upsert("old", {"n": 1}), deletion("gone"))
    time = await commit_time(psql, answer.revision)
    new, updated, deleted = (outcome.configuration for outcome in answer.outcomes)
    assert times_of(new) == (time, time)
    assert times_of(updated) == (times_of(old)[0], time)
    assert times_of(deleted) == (times_of(gone)[0], time)


async def test_applications_schemas_and_role_bindings_show_the_times_of_commits(
    service: Service, psql: Connection
) -> None:
    created = await create_application(service, "shop")
    first = await commit_time(psql, created.revision)
    assert times_of(created) == (first, first)
    changed = await service.applications.UpdateApplication(
        UpdateApplicationRequest(name="shop", application=Application(comments="x"))
    )
    second = await commit_time(psql, changed.revision)
    listed = await service.applications.ListApplications(ListApplicationsRequest())
    got = await service.applications.GetApplication(GetApplicationRequest(name="shop"))
    for application in (changed.application, got.application, listed.applications[0]):
        assert times_of(application) == (first, second)
    await psql.execute("INSERT INTO schemas (name) VALUES ('app')")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('app', '{}')")
    schema = await get_schema(service, "app")
    version = await get_version(service, "app")
    assert schema.create_time.ToDatetime(UTC) == await commit_time(psql, schema.revision - 1)
    assert schema.update_time.ToDatetime(UTC) == await commit_time(psql, schema.revision)
    assert version.create_time == schema.update_time
    binding = await service.access.CreateRoleBinding(
        CreateRoleBindingRequest(principal="user:alice", role=Role.ROLE_VIEWER, all_applications=Empty())
    )
    bindings = await service.access.ListRoleBindings(ListRoleBindingsRequest())
    for shown in (binding.role_binding, bindings.role_bindings[0]):
        assert shown.create_time.ToDatetime(UTC) == await commit_time(psql, binding.revision)


async def test_an_import_that_is_one_commit_ends_when_it_is_done(shop: Service) -> None:
    operation = await imported(shop, item("web", {"n": 1}), mode=ATOMIC)
    ended = metadata_of(operation).end_time
    assert (await get_at(shop, as_of_time=ended)).name == "web"


async def test_the_time_of_a_change_finds_it_in_the_audit_trail(shop: Service) -> None:
    created = await create(shop, "web")
    end = Timestamp(seconds=created.update_time.seconds, nanos=created.update_time.nanos + 1000)
    answer = await shop.audit.ListChanges(ListChangesRequest(start_time=created.update_time, end_time=end))
    assert [(change.revision, change.origin.commit_time) for change in answer.changes] == [
        (created.revision, created.update_time)
    ]


@pytest.mark.parametrize("offset", ["1 hour", "-1 hour"])
async def test_a_commit_with_a_wrong_clock_does_no_harm_to_later_ones(
    shop: Service, psql: Connection, offset: str
) -> None:
    written = [await create(shop, "web", {"n": 0}), await patch(shop, "web", {"n": 1})]
    await psql.execute(
        "UPDATE commits SET time = time + $1::text::interval WHERE revision = $2", offset, written[1].revision
    )
    written += [await patch(shop, "web", {"n": number}) for number in range(2, 6)]
    times = [row["time"] for row in await psql.fetch("SELECT time FROM commits ORDER BY revision")]
    if offset == "1 hour":
        assert times == sorted(set(times))
    for configuration in written[2:]:
        assert await get_at(shop, as_of_time=configuration.update_time) == configuration
    newest = (await versions(shop))[0].configuration
    assert await get_at(shop, as_of_time=newest.update_time) == written[-1]
    assert newest.update_time == written[-1].update_time
