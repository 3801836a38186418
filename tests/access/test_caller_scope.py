"""Answers that show nothing of foreign applications, whatever the caller asks for."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import ListOperationsRequest
from google.protobuf.message import Message

from configapi.v1.access_service_pb2 import ROLE_EDITOR, ROLE_VIEWER
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import ListApplicationsRequest, UpdateApplicationRequest
from configapi.v1.audit_service_pb2 import (
    RESOURCE_KIND_ROLE_BINDING,
    Change,
    ListChangesRequest,
    ResourceKind,
)
from configapi.v1.change_pb2 import CHANGE_TYPE_UPDATED
from configapi.v1.configuration_pb2 import ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    BatchGetConfigurationsRequest,
    DiffConfigurationVersionsRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationVersionsRequest,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configsvc.domain.access import Role
from tests.access.people import (
    ROOT,
    Person,
    Target,
    as_,
    bind,
    create,
    denied,
    key,
    make,
    until_known,
)
from tests.api.calls import export_request, list_request
from tests.configurations.reading import timestamp
from tests.identity.tokens import oidc_settings
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, head
from tests.watch.changing import selector, watching, with_epoch
from tests.watch.recording import Recorder

# In every name, comment, reason and content of the foreign application, and of nothing else.
MARK = "zzforeign"
OWN = "shop"
OWNER = Person(name="owner", role=Role.EDITOR, application=OWN)
READER = Person(name="reader", role=Role.VIEWER, application=OWN)
STRANGE_OWNER = Person(name=f"{MARK}-owner", role=Role.EDITOR, application=MARK)
VIEWER_OF_ALL = Person(name="auditor", role=Role.VIEWER)
SCHEMA = SchemaVersionRef(schema="schema", version=1)


@dataclass(slots=True, kw_only=True)
class Stage:
    """An own application, a foreign one full of marks, and every answer that callers got."""

    service: Service
    psql: Session
    own: Target
    foreign: Target
    answers: list[Message] = field(default_factory=list[Message])

    async def pages(self, method: Callable[..., Any], request: Any, person: Person = READER) -> list[Any]:
        """Return all pages of a list."""
        pages: list[Any] = []
        while not pages or request.page_token:
            pages.append(await method(request, metadata=as_(person)))
            request.page_token = pages[-1].next_page_token
        self.answers += pages
        return pages

    async def export(self, person: Person = READER, **fields: Any) -> list[str]:
        """Return the names of the exported configurations."""
        call = self.service.configurations.ExportConfigurations(export_request(**fields), metadata=as_(person))
        messages = [message async for message in call]
        self.answers += messages
        return [item.name for message in messages for item in message.items]

    async def rename(self, target: Target, name: str) -> None:
        """Rename an application."""
        await self.service.applications.UpdateApplication(
            UpdateApplicationRequest(
                id=target.application_id, application=Application(name=name), reason=f"{target.application} reason"
            ),
            metadata=as_(ROOT),
        )

    async def change(self, target: Target) -> None:
        """Create another version of the application's configuration."""
        await self.service.configurations.UpdateConfiguration(
            UpdateConfigurationRequest(
                id=target.id,
                merge_patch=struct({f"{target.application}-{await head(self.psql)}": target.application}),
                reason=f"{target.application} reason",
            ),
            metadata=as_(ROOT),
        )

    def check(self) -> None:
        """Fail if an answer contains anything foreign."""
        marks = (MARK, *(getattr(self.foreign, name) for name in ("application_id", "id", "operation_id")))
        assert self.answers
        for answer in self.answers:
            data = answer.SerializeToString()
            assert not [mark for mark in marks if mark.encode() in data], answer


@pytest.fixture
async def stage(database_url: str, psql: Session, tmp_path: Path) -> AsyncGenerator[Stage]:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await service.schemas.CreateSchema(
            CreateSchemaRequest(name="schema", document=struct({"type": "object"})), metadata=as_(ROOT)
        )
        own = await make(service, psql, OWN, OWNER, schema=SCHEMA)
        foreign = await make(service, psql, MARK, STRANGE_OWNER, schema=SCHEMA)
        for number in range(3):
            await create(service, OWN, f"n{number}", {"date": "2020-01-01"}, schema=SCHEMA)
            await create(service, MARK, f"{MARK}{number}", {"date": "2020-01-01 00:00:00", MARK: 1}, schema=SCHEMA)
        await bind(psql, READER, own.application_id)
        await bind(psql, VIEWER_OF_ALL, None)
        stage = Stage(service=service, psql=psql, own=own, foreign=foreign)
        await stage.change(own)
        await stage.change(foreign)
        await until_known(service, psql)
        yield stage


def names(pages: list[Any], field_name: str) -> list[str]:
    return [one.name for page in pages for one in getattr(page, field_name)]


OWN_NAMES = ["n0", "n1", "n2", "shop-x"]


async def test_lists_and_exports_show_what_is_the_callers_in_full_pages(stage: Stage) -> None:
    service, configurations = stage.service, stage.service.configurations
    pages = await stage.pages(service.applications.ListApplications, ListApplicationsRequest(page_size=1))
    assert names(pages, "applications") == [OWN]
    now = await head(stage.psql)
    of_own = ApplicationRef(name=OWN)
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"application": of_own},
        {"as_of_revision": now},
        {"application": of_own, "as_of_revision": now},
        {"schema": SchemaVersionRef(schema="schema")},
    )
    for chosen in filters:
        pages = await stage.pages(configurations.ListConfigurations, list_request(page_size=2, **chosen))
        assert names(pages, "configurations") == OWN_NAMES
        assert [len(page.configurations) for page in pages] == [2, 2]
        assert await stage.export(**chosen) == OWN_NAMES
    pages = await stage.pages(configurations.ListConfigurations, list_request(contains=struct({MARK: 1})))
    assert names(pages, "configurations") == []
    await stage.change(stage.own)
    await stage.change(stage.foreign)
    pages = await stage.pages(
        configurations.ListConfigurations, ListConfigurationsRequest(page_size=1, as_of_revision=now)
    )
    assert names(pages, "configurations") == OWN_NAMES
    stage.check()


async def test_a_page_token_of_another_caller_shows_nothing_more(stage: Stage) -> None:
    lists: list[tuple[Any, Any]] = [
        (stage.service.applications.ListApplications, ListApplicationsRequest(page_size=1)),
        (stage.service.configurations.ListConfigurations, ListConfigurationsRequest(page_size=1)),
        (stage.service.audit.ListChanges, ListChangesRequest(page_size=1)),
        (stage.service.operations.ListOperations, ListOperationsRequest(page_size=1)),
    ]
    for method, request in lists:
        while token := (await method(request, metadata=as_(ROOT))).next_page_token:
            request.page_token = token
            stage.answers.append(await method(request, metadata=as_(READER)))
    # The token of another caller's versions names their configuration.
    request = ListConfigurationVersionsRequest(id=stage.foreign.id, page_size=1)
    method = stage.service.configurations.ListConfigurationVersions
    request.page_token = (await method(request, metadata=as_(ROOT))).next_page_token
    assert request.page_token
    with denied():
        await method(request, metadata=as_(READER))
    stage.check()


async def test_a_json_path_is_matched_against_what_is_the_callers_alone(stage: Stage) -> None:
    method = stage.service.configurations.ListConfigurations
    path = f"$.{MARK} == 1 || $.{MARK} == 2"
    now = await head(stage.psql)
    for moment in ({}, {"as_of_revision": now}, {"show_deleted": True}):
        assert len((await method(list_request(json_path=path, **moment), metadata=as_(ROOT))).configurations) == 3
        assert not (await method(list_request(json_path=path, **moment), metadata=as_(READER))).configurations


async def test_deleted_configurations_are_listed_for_those_who_may_read_their_application(stage: Stage) -> None:
    await stage.psql.execute("DELETE FROM configurations WHERE name LIKE '%1'")
    method = stage.service.configurations.ListConfigurations
    for chosen in ({}, {"application": ApplicationRef(name=OWN)}):
        pages = await stage.pages(method, list_request(show_deleted=True, page_size=2, **chosen))
        assert names(pages, "configurations") == OWN_NAMES
    pages = await stage.pages(method, list_request(show_deleted=True, page_size=2), ROOT)
    assert len(names(pages, "configurations")) == 2 * len(OWN_NAMES)
    stage.answers.clear()
    pages = await stage.pages(method, list_request(show_deleted=True))
    stage.check()


async def test_the_audit_trail_shows_the_changes_of_what_the_caller_may_read(stage: Stage) -> None:
    method = stage.service.audit.ListChanges
    everything = await stage.pages(method, ListChangesRequest(page_size=2))
    of_own = await stage.pages(method, ListChangesRequest(application=ApplicationRef(name=OWN)))
    assert [change for page in everything for change in page.changes] == list(of_own[0].changes)
    assert {change.application or change.name for change in of_own[0].changes} == {OWN}
    for resource_id in (stage.foreign.id, stage.foreign.application_id, stage.foreign.role_binding_id):
        for kind in ResourceKind.values():
            (page,) = await stage.pages(method, ListChangesRequest(resource_id=resource_id, kind=kind))
            assert not page.changes
    stage.check()


async def test_role_bindings_are_in_the_audit_trail_with_their_principals_and_roles(stage: Stage) -> None:
    method = stage.service.audit.ListChanges
    (page,) = await stage.pages(method, ListChangesRequest(kind=RESOURCE_KIND_ROLE_BINDING))
    shown = [(change.name, change.role, change.application) for change in page.changes]
    assert shown == [("user:reader", ROLE_VIEWER, OWN), ("user:owner", ROLE_EDITOR, OWN)]
    (page,) = await stage.pages(method, ListChangesRequest(resource_name="user:owner"))
    assert [change.resource_id for change in page.changes] == [stage.own.role_binding_id]
    stage.check()


async def test_schemas_and_roles_for_all_are_in_the_audit_trail_of_admins_for_all_alone(stage: Stage) -> None:
    def without_application(pages: list[Any]) -> set[str]:
        changes: list[Change] = [change for page in pages for change in page.changes]
        return {change.name for change in changes if not change.application} - {OWN, MARK}

    method = stage.service.audit.ListChanges
    of_viewer = await stage.pages(method, ListChangesRequest(), VIEWER_OF_ALL)
    assert len(of_viewer[0].changes) > len((await stage.pages(method, ListChangesRequest()))[0].changes)
    assert without_application(of_viewer) == set()
    assert without_application(await stage.pages(method, ListChangesRequest(), ROOT)) == {"schema", "user:auditor"}


async def test_operations_are_listed_for_who_began_them_and_for_admins_for_all(stage: Stage) -> None:
    method = stage.service.operations.ListOperations
    for person, expected in (
        (READER, []),
        (VIEWER_OF_ALL, []),
        (OWNER, [stage.own]),
        (ROOT, [stage.foreign, stage.own]),
    ):
        pages = await stage.pages(method, ListOperationsRequest(page_size=1), person)
        assert names(pages, "operations") == [f"operations/{target.operation_id}" for target in expected]


async def test_one_foreign_configuration_denies_a_batch(stage: Stage) -> None:
    method = stage.service.configurations.BatchGetConfigurations
    own, foreign = ConfigurationRef(id=stage.own.id), ConfigurationRef(key=key(MARK, f"{MARK}-x"))
    stage.answers.append(await method(BatchGetConfigurationsRequest(refs=[own]), metadata=as_(READER)))
    for refs in ([own, foreign], [own, ConfigurationRef(id=stage.foreign.id)]):
        with denied():
            await method(BatchGetConfigurationsRequest(refs=refs), metadata=as_(READER))
    stage.check()


async def test_a_name_that_a_foreign_application_had_in_the_past_shows_nothing_of_it(stage: Stage) -> None:
    configurations = stage.service.configurations
    await stage.rename(stage.own, "other")
    await stage.rename(stage.foreign, OWN)
    then, time = await head(stage.psql), await stage.psql.fetchval("SELECT now()")
    await stage.psql.execute("UPDATE configurations SET name = 'given-up' WHERE id = $1", stage.foreign.id)
    await stage.rename(stage.foreign, MARK)
    await stage.rename(stage.own, OWN)
    await until_known(stage.service, stage.psql)

    async def refused(name: str) -> set[str]:
        """Return the answers about a configuration of the foreign application by that name, or about one nobody ever
        had.
        """
        at: tuple[dict[str, Any], ...] = (
            {"version": 1},
            {"version": 100},
            {"as_of_revision": then},
            {"as_of_time": timestamp(time)},
            {},
        )
        named: dict[str, Any] = {"key": key(OWN, name)}
        calls: list[tuple[Any, Message]] = [
            *((configurations.GetConfiguration, GetConfigurationRequest(**named, **moment)) for moment in at),
            (configurations.ListConfigurationVersions, ListConfigurationVersionsRequest(**named)),
            (configurations.DiffConfigurationVersions, DiffConfigurationVersionsRequest(**named)),
            (configurations.RollbackConfiguration, RollbackConfigurationRequest(**named, version=1)),
            (configurations.RollbackConfiguration, RollbackConfigurationRequest(**named, version=100)),
        ]
        texts: set[str] = set()
        for method, request in calls:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(request, metadata=as_(OWNER))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND, request
            texts.add((caught.value.details() or "").replace(name, "NAME"))
        return texts

    assert await refused(f"{MARK}-x") == await refused(f"{MARK}0") == await refused("nothing-y")
    chosen: dict[str, Any] = {"application": ApplicationRef(name=OWN), "as_of_revision": then}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await configurations.ListConfigurations(list_request(**chosen), metadata=as_(READER))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stage.export(**chosen)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@asynccontextmanager
async def recorded_by(person: Person, stage: Stage, request: WatchConfigurationsRequest) -> AsyncGenerator[Recorder]:
    recorder = Recorder(stage.service, await with_epoch(stage.service, request, as_(person)), metadata=as_(person))
    try:
        yield recorder
    finally:
        stage.answers += (await recorder.close()).messages


async def test_a_watch_never_sees_the_application_that_takes_over_a_name(stage: Stage) -> None:
    own = watching(selector(OWN))
    async with (
        recorded_by(READER, stage, own) as by_name,
        recorded_by(READER, stage, watching(selector(application_id=stage.own.application_id))) as by_id,
        recorded_by(READER, stage, watching(selector(OWN), after_revision=0)) as resumed,
    ):
        for recorder in (by_name, by_id, resumed):
            await recorder.until_synced()
        await stage.rename(stage.own, "other")
        await stage.rename(stage.foreign, OWN)
        await stage.change(stage.foreign)
        await stage.change(stage.own)
        await stage.rename(stage.foreign, MARK)
        await stage.rename(stage.own, OWN)
        await stage.change(stage.foreign)
        await stage.change(stage.own)
        revision = await head(stage.psql)
        for recorder in (by_name, by_id, resumed):
            recording = await recorder.until(lambda recording: recording.revision >= revision)
            assert {event.configuration.application_id for event in recording.events} == {stage.own.application_id}
            assert len(recording.view()) == len(OWN_NAMES)
        own_events = [event for event in by_name.recording.events if event.configuration.id == stage.own.id]
        assert [event.effect for event in own_events] == [EFFECT_SET, EFFECT_REMOVE, EFFECT_SET, EFFECT_SET]
        assert {event.change for event in own_events[1:]} == {CHANGE_TYPE_UPDATED}
    async with recorded_by(READER, stage, watching(selector(OWN), after_revision=0)) as late:
        await late.until(lambda recording: recording.revision >= revision)
    stage.check()


async def test_what_moves_to_a_foreign_application_leaves_a_watch_without_telling_what_it_became(stage: Stage) -> None:
    async with recorded_by(READER, stage, watching(selector(OWN))) as recorder:
        await recorder.until_synced()
        await stage.psql.execute(
            """UPDATE configurations SET application_id = $2, application = $3, name = $3 || 'moved', comments = $3
            WHERE id = $1""",
            stage.own.id,
            stage.foreign.application_id,
            MARK,
        )
        recording = await recorder.until(lambda recording: recording.revision >= 0 and len(recording.events) > 4)
        assert (recording.events[-1].effect, recording.events[-1].change) == (EFFECT_REMOVE, CHANGE_TYPE_UPDATED)
        assert recording.events[-1].configuration.name == stage.own.name
    await stage.pages(stage.service.audit.ListChanges, ListChangesRequest())
    with denied():
        await stage.service.configurations.GetConfiguration(
            GetConfigurationRequest(id=stage.own.id), metadata=as_(READER)
        )
    stage.check()


async def test_what_moves_in_from_a_foreign_application_does_not_tell_what_it_was(stage: Stage) -> None:
    async with recorded_by(READER, stage, watching(selector(OWN))) as recorder:
        known = len((await recorder.until_synced()).events)
        await stage.psql.execute(
            """UPDATE configurations SET application_id = $2, application = $3, name = 'arrived', comments = '',
            config = '{}' WHERE id = $1""",
            stage.foreign.id,
            stage.own.application_id,
            OWN,
        )
        recording = await recorder.until(lambda recording: len(recording.events) > known)
        event = recording.events[-1]
        assert (event.effect, event.change, event.configuration.name) == (EFFECT_SET, CHANGE_TYPE_UPDATED, "arrived")
        assert not event.HasField("previous_key")
        await stage.psql.execute("UPDATE configurations SET name = 'renamed' WHERE id = $1", stage.foreign.id)
        recording = await recorder.until(lambda recording: len(recording.events) > known + 1)
        assert recording.events[-1].previous_key.name == "arrived"
        messages = [message.SerializeToString() for message in recording.messages]
    assert not [message for message in messages if stage.foreign.application_id.encode() in message]


async def test_a_watch_without_an_application_is_for_who_has_a_role_for_all(stage: Stage) -> None:
    for selectors in ((), (selector(OWN), selector(prefix="n"))):
        async with recorded_by(READER, stage, watching(*selectors)) as recorder:
            assert (await recorder.until_error()).code() is grpc.StatusCode.PERMISSION_DENIED
        async with recorded_by(VIEWER_OF_ALL, stage, watching(*selectors)) as recorder:
            await recorder.until_synced()


async def test_an_application_takes_another_name_by_an_admin_for_all_alone(stage: Stage) -> None:
    # An error for a taken name would reveal that the application exists.
    admin = Person(name="admin", role=Role.ADMIN, application=OWN)
    await bind(stage.psql, admin, stage.own.application_id)
    await until_known(stage.service, stage.psql)
    for name in (MARK, "free"):
        with denied():
            await stage.service.applications.UpdateApplication(
                UpdateApplicationRequest(name=OWN, application=Application(name=name)), metadata=as_(admin)
            )
    kept = UpdateApplicationRequest(name=OWN, application=Application(name=OWN, comments="new"))
    assert (await stage.service.applications.UpdateApplication(kept, metadata=as_(admin))).application.comments == "new"
