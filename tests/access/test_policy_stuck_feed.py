"""Access while the feed hears of no changes although everything else works."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import WaitOperationRequest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckResponse

from configapi.v1.configuration_service_pb2 import ExportConfigurationsRequest, ImportConfigurationsRequest
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.access import Role
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.storage.listener import Listener
from tests.access.people import ROOT, Person, Target, as_, make, unbind, until_known
from tests.identity.tokens import oidc_settings
from tests.operations.operating import item
from tests.rpc.handshakes import next_message
from tests.service import LIMIT_SECONDS, Service, end_of, running_service, wait_for_health
from tests.storage.reading import Session
from tests.watch.changing import fill, selector, watching, with_epoch
from tests.watch.recording import Recorder

OWN = "shop"
OWNER = Person(name="owner", role=Role.EDITOR, application=OWN)
UNAVAILABLE, DENIED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED


@asynccontextmanager
async def refused(_: str) -> AsyncGenerator[Listener]:
    """Refuse database connections to the feed alone."""
    raise DatabaseUnavailableError
    yield


async def stick(feed_is: pytest.MonkeyPatch, service: Service, psql: Session) -> None:
    """Cut off the feed for good, and let so much time pass that the access of all callers is stale."""
    feed_is.setattr("configsvc.feed.feed.open_listener", refused)
    await psql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'configsvc feed'"
    )
    await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
    feed_is.setattr("configsvc.access.policy.STALENESS_LIMIT_SECONDS", -1.0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.server.GetServerStatus(GetServerStatusRequest(), metadata=as_(ROOT))
    assert caught.value.code() is UNAVAILABLE


async def staged(psql: Session) -> list[str]:
    return [row["name"] for row in await psql.fetch("SELECT name FROM operation_items ORDER BY name")]


async def begun(service: Service, own: Target, psql: Session, more: asyncio.Event) -> tuple[Any, list[Any], list[Any]]:
    """Begin an export and watches whose client has read a first part, an upload that goes on when there is more,
    and a wait.
    """

    async def messages() -> AsyncGenerator[ImportConfigurationsRequest]:
        yield ImportConfigurationsRequest(items=[item("a")])
        await more.wait()
        yield ImportConfigurationsRequest(items=[item("b")])
        await asyncio.Event().wait()

    metadata = as_(OWNER)
    requests = [
        watching(selector(OWN)),
        await with_epoch(service, watching(selector(OWN), after_revision=0), metadata),
    ]
    export: Any = service.configurations.ExportConfigurations(ExportConfigurationsRequest(), metadata=metadata)
    assert await export.read() is not grpc.aio.EOF
    watches: list[Any] = [service.configurations.WatchConfigurations(one, metadata=metadata) for one in requests]
    for watch in watches:
        assert (await next_message(watch)).events
    upload = service.configurations.ImportConfigurations(messages(), metadata=metadata)
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await staged(psql):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)
    name, timeout = f"operations/{own.operation_id}", Duration(seconds=int(LIMIT_SECONDS))
    wait = service.operations.WaitOperation(WaitOperationRequest(name=name, timeout=timeout), metadata=metadata)
    return export, watches, [upload, wait]


async def test_calls_that_last_are_shown_nothing_more_while_roles_may_change_unnoticed(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A watch that is behind reads the table.
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 1)
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        own = await make(service, psql, OWN, OWNER)
        await fill(psql, 50, application=OWN, size=250_000)
        await until_known(service, psql)
        quiet = Recorder(service, watching(selector(OWN, prefix=OWN)), metadata=as_(OWNER))
        await quiet.until_synced()
        more = asyncio.Event()
        export, behind, others = await begun(service, own, psql, more)
        with monkeypatch.context() as feed_is:
            await stick(feed_is, service, psql)
            await unbind(psql, OWNER)
            await psql.execute("UPDATE configurations SET config = '{}' WHERE name = 'shop-x'")
            more.set()
            assert await end_of(export) is UNAVAILABLE
            async with asyncio.timeout(LIMIT_SECONDS / 2):
                assert [await call.code() for call in others] == [UNAVAILABLE] * len(others)
            assert await staged(psql) == ["a"]
            assert quiet.open
        # Watches outlive the outage. The feed then hears first that the role is gone.
        assert [await end_of(stream) for stream in behind] == [DENIED] * len(behind)
        assert (await quiet.until_error()).code() is DENIED
        assert not [event for event in quiet.recording.events if event.previous_version]
        await quiet.close()


async def test_without_authentication_nobody_has_a_role_to_lose(
    database_url: str, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(database_url) as service:
        monkeypatch.setattr("configsvc.access.policy.STALENESS_LIMIT_SECONDS", -1.0)
        await psql.execute("INSERT INTO applications (name) VALUES ($1)", OWN)
        await fill(psql, 3, application=OWN)
        call = service.configurations.ExportConfigurations(ExportConfigurationsRequest())
        assert len([one async for message in call for one in message.items]) == 3
