"""Streams that end when the access they need is lost: on every process, whatever the client does."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import WaitOperationRequest
from google.protobuf.duration_pb2 import Duration
from ulid import ULID

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    ConfigurationItem,
    ExportConfigurationsRequest,
    ImportConfigurationsRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.access import Role
from tests.access.people import (
    ROOT,
    Person,
    Target,
    as_,
    bind,
    create,
    make,
    unbind,
    until_known,
)
from tests.api.calls import export_request
from tests.app.scraping import measured_service
from tests.feed.pausing import paused_feed
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import item
from tests.service import LIMIT_SECONDS, Service, end_of, running_service
from tests.storage.reading import Session, head
from tests.watch.changing import fill, selector, watching, with_epoch
from tests.watch.recording import Recorder

OWN, FOREIGN = "shop", "bank"
OWNER = Person(name="owner", role=Role.EDITOR, application=OWN)
READER = Person(name="reader", role=Role.VIEWER, application=OWN)
NEIGHBOUR = Person(name="neighbour", role=Role.EDITOR, application=FOREIGN)
AUDITOR = Person(name="auditor", role=Role.VIEWER)
DENIED, UNAUTHENTICATED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    service: Service
    psql: Session
    own: Target
    foreign: Target


@pytest.fixture
async def stage(database_url: str, psql: Session, tmp_path: Path) -> AsyncGenerator[Stage]:
    async with running_service(database_url, **oidc_settings(tmp_path, oidc_leeway_seconds=0)) as service:
        own = await make(service, psql, OWN, OWNER)
        foreign = await make(service, psql, FOREIGN, NEIGHBOUR)
        await bind(psql, READER, own.application_id)
        await bind(psql, AUDITOR, None)
        await until_known(service, psql)
        yield Stage(service=service, psql=psql, own=own, foreign=foreign)


@asynccontextmanager
async def recorded_by(
    person: Person, service: Service, request: WatchConfigurationsRequest | None = None
) -> AsyncGenerator[Recorder]:
    """Record a watch that is up to date; of the own application, unless told otherwise."""
    recorder = Recorder(service, request or watching(selector(OWN)), metadata=as_(person))
    try:
        await recorder.until_synced()
        yield recorder
    finally:
        await recorder.close()


async def fill_up(psql: Session) -> None:
    """Give the own application more than a client takes without reading."""
    await fill(psql, 80, application=OWN, size=250_000)


async def stalled_export(service: Service, person: Person, **fields: Any) -> Any:
    """Begin an export of more than its client takes for now."""
    call = service.configurations.ExportConfigurations(export_request(**fields), metadata=as_(person))
    assert await call.read() is not grpc.aio.EOF
    return call


async def test_who_loses_a_role_loses_its_streams_on_every_process(
    stage: Stage, database_url: str, tmp_path: Path
) -> None:
    await fill_up(stage.psql)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(running_service(database_url, **oidc_settings(tmp_path)))
        await until_known(other, stage.psql)
        small = watching(selector(OWN, prefix=OWN))
        watches = [await stack.enter_async_context(recorded_by(READER, one, small)) for one in (stage.service, other)]
        of_one: dict[str, Any] = {"application": ApplicationRef(name=OWN)}
        exports = [
            await stalled_export(service, READER, **fields)
            for service in (stage.service, other)
            for fields in ({}, of_one)
        ]
        owners = await stack.enter_async_context(recorded_by(OWNER, other, small))
        await unbind(stage.psql, READER)
        for watch in watches:
            assert (await watch.until_error()).code() is DENIED
        for export in exports:
            assert await end_of(export) is DENIED
        assert owners.open


async def test_an_upload_ends_with_the_role_of_who_sends_it(stage: Stage) -> None:
    async def messages() -> AsyncGenerator[ImportConfigurationsRequest]:
        yield ImportConfigurationsRequest(items=[item("a")])
        await asyncio.Event().wait()

    call = stage.service.configurations.ImportConfigurations(messages(), metadata=as_(OWNER))
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await stage.psql.fetchval("SELECT count(*) FROM operation_items"):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)
        await unbind(stage.psql, OWNER)
        assert await call.code() is DENIED


async def test_a_foreign_item_ends_an_upload_before_anything_of_its_message_is_staged(stage: Stage) -> None:
    messages = [
        ImportConfigurationsRequest(items=[item("a")]),
        ImportConfigurationsRequest(items=[item("b"), item("c", application=FOREIGN)]),
    ]
    call = stage.service.configurations.ImportConfigurations(iter(messages), metadata=as_(OWNER))
    assert await call.code() is DENIED
    assert [row["name"] for row in await stage.psql.fetch("SELECT name FROM operation_items")] == ["a"]
    for foreign in (ApplicationRef(id=stage.foreign.application_id), ApplicationRef(id=str(ULID()))):
        by_id = ConfigurationItem(application=foreign, name="d", config_json="{}")
        stream = iter([ImportConfigurationsRequest(items=[by_id])])
        call = stage.service.configurations.ImportConfigurations(stream, metadata=as_(OWNER))
        assert await call.code() is DENIED
    creating = iter([ImportConfigurationsRequest(create_applications=True)])
    call = stage.service.configurations.ImportConfigurations(creating, metadata=as_(OWNER))
    assert await call.code() is DENIED


async def test_who_waits_for_an_operation_of_another_loses_that_with_the_role(stage: Stage) -> None:
    admin = Person(name="admin", role=Role.ADMIN)
    await bind(stage.psql, admin, None)
    await until_known(stage.service, stage.psql)
    request = WaitOperationRequest(
        name=f"operations/{stage.own.operation_id}", timeout=Duration(seconds=int(LIMIT_SECONDS))
    )
    call = stage.service.operations.WaitOperation(request, metadata=as_(admin))
    # Another call on the same connection, which comes after it.
    await stage.service.server.GetServerStatus(GetServerStatusRequest(), metadata=as_(ROOT))
    await unbind(stage.psql, admin)
    async with asyncio.timeout(LIMIT_SECONDS / 2):
        assert await call.code() is DENIED


async def test_streams_end_with_the_token_that_opened_them(stage: Stage) -> None:
    await fill_up(stage.psql)
    short = bearing(READER.name, exp=int(time.time()) + 3)
    recorder = Recorder(stage.service, watching(selector(OWN, prefix=OWN)), metadata=short)
    export = stage.service.configurations.ExportConfigurations(ExportConfigurationsRequest(), metadata=short)
    assert await export.read() is not grpc.aio.EOF
    await recorder.until_synced()
    assert (await recorder.until_error()).code() is UNAUTHENTICATED
    assert await end_of(export) is UNAUTHENTICATED


async def test_a_revoked_client_that_does_not_read_holds_nothing(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    async with measured_service(database_url, **oidc_settings(tmp_path)) as (service, metrics):
        own = await make(service, psql, OWN, OWNER)
        await fill_up(psql)
        await bind(psql, READER, own.application_id)
        await until_known(service, psql)
        watch = service.configurations.WatchConfigurations(watching(selector(OWN)), metadata=as_(READER))
        assert await watch.read() is not grpc.aio.EOF
        export = await stalled_export(service, READER)
        await metrics.until("configsvc_watches", 1, state="blocked")
        await metrics.until("configsvc_calls_in_flight", 2)
        await unbind(psql, READER)
        await metrics.until("configsvc_calls_in_flight", 0)
        await metrics.until("configsvc_watches", 0, state="blocked")
        for call in (watch, export):
            assert await end_of(call) is DENIED


async def test_watchers_of_an_application_that_is_deleted_see_its_deletion_and_stay(stage: Stage) -> None:
    async with recorded_by(READER, stage.service) as recorder:
        await stage.service.applications.DeleteApplication(
            DeleteApplicationRequest(name=OWN, force=True), metadata=as_(ROOT)
        )
        recording = await recorder.until(lambda recording: len(recording.events) == 2)
        assert recording.events[-1].effect == EFFECT_REMOVE
        await stage.psql.execute("DELETE FROM role_bindings WHERE principal = 'user:auditor'")
        await create(stage.service, FOREIGN, "new", {})
        await until_known(stage.service, stage.psql)
        assert recorder.open


async def test_what_is_written_between_the_loss_of_a_role_and_the_end_of_the_application_is_never_delivered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        recorded_by(READER, stage.service) as revoked,
        recorded_by(OWNER, stage.service) as told,
    ):
        async with paused_feed(monkeypatch):
            before = await unbind(stage.psql, READER)
            await stage.psql.execute(
                "INSERT INTO configurations (application, name, config) VALUES ($1, 'late', '{}')", OWN
            )
            async with stage.psql.transaction():
                await stage.psql.execute("DELETE FROM configurations WHERE application = $1", OWN)
                await stage.psql.execute("DELETE FROM applications WHERE name = $1", OWN)
        assert (await revoked.until_error()).code() is DENIED
        assert revoked.recording.revision <= before
        recording = await told.until_revision(await head(stage.psql))
        assert sorted(event.configuration.name for event in recording.events[1:]) == ["late", "late", "shop-x"]
        # The same holds when the role bindings are read again.
        await unbind(stage.psql, NEIGHBOUR)
        await until_known(stage.service, stage.psql)
        assert told.open


async def test_roles_that_change_elsewhere_disturb_no_stream(stage: Stage) -> None:
    async with (
        recorded_by(READER, stage.service) as recorder,
        recorded_by(AUDITOR, stage.service, watching()) as of_all,
    ):
        await unbind(stage.psql, NEIGHBOUR)
        await bind(stage.psql, NEIGHBOUR, stage.foreign.application_id)
        await bind(stage.psql, Person(name=READER.name, role=Role.ADMIN), stage.own.application_id)
        await stage.psql.execute("DELETE FROM role_bindings WHERE principal = 'user:reader' AND role = 'VIEWER'")
        await create(stage.service, OWN, "new", {})
        for open_one in (recorder, of_all):
            recording = await open_one.until_revision(await head(stage.psql))
            assert recording.events[-1].configuration.name == "new"


async def test_what_is_committed_after_the_loss_of_a_role_is_never_delivered(stage: Stage) -> None:
    async with recorded_by(AUDITOR, stage.service, watching()) as recorder:
        behind = stage.service.configurations.WatchConfigurations(
            await with_epoch(stage.service, watching(after_revision=0), as_(AUDITOR)), metadata=as_(AUDITOR)
        )
        revoked = await unbind(stage.psql, AUDITOR)
        for number in range(20):
            await stage.psql.execute(
                "INSERT INTO configurations (application, name, config) VALUES ($1, $2, '{}')", FOREIGN, f"late{number}"
            )
        assert (await recorder.until_error()).code() is DENIED
        assert recorder.recording.revision <= revoked
        assert not [event for event in recorder.recording.events if event.configuration.name.startswith("late")]
        assert await end_of(behind) is DENIED
