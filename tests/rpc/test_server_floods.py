"""Floods of streams, bodies and connections: what a client can hold without being known, or without going on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import ListOperationsRequest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import ImportConfigurationsRequest, WatchConfigurationsRequest
from configsvc.http2 import session
from configsvc.process import descriptors
from configsvc.rpc import server as module
from tests.api.calls import create, create_application, failing
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import imported, item
from tests.rpc.frames import INITIAL_WINDOW, MAX_STREAMS, frames, incomplete
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, connected, running_service

CREATE = "/configapi.v1.ConfigurationService/CreateConfiguration"
WATCH = "/configapi.v1.ConfigurationService/WatchConfigurations"
IMPORT = "/configapi.v1.ConfigurationService/ImportConfigurations"
LIST = "/configapi.v1.ApplicationService/ListApplications"
CHECK = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
WINDOW_BYTES = 64 * 1024
LARGE_BYTES = 4_000_000


async def nothing() -> AsyncIterator[bytes]:
    """Send no message, and do not end either."""
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize("path", [CREATE, WATCH, IMPORT])
async def test_a_stranger_is_refused_before_its_body_is_received(database_url: str, tmp_path: Path, path: str) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service, frames(service.address) as client:
        streams = [client.begin(path) for _ in range(150)]
        await asyncio.gather(*(client.send(stream, incomplete(LARGE_BYTES)) for stream in streams))
        await client.until(lambda: client.ended >= set(streams))
    assert max(client.sent.values()) <= WINDOW_BYTES


async def test_a_connection_carries_a_bounded_number_of_streams_with_small_windows(service: Service) -> None:
    async with frames(service.address) as client:
        assert client.settings[MAX_STREAMS] == 1000
        assert client.settings[INITIAL_WINDOW] <= WINDOW_BYTES


async def test_only_a_few_bodies_of_a_caller_are_received_at_a_time(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.limits.slots.ARRIVING_BODIES", 2)
    async with running_service(database_url, **oidc_settings(tmp_path)) as service, frames(service.address) as client:
        streams = [client.begin(CREATE, *bearing("root")) for _ in range(4)]
        async with asyncio.TaskGroup() as tasks:
            for stream in streams:
                tasks.create_task(client.send(stream, incomplete(LARGE_BYTES)))
            await client.until(lambda: sum(sent == LARGE_BYTES - 1 for sent in client.sent.values()) == 2)
            waiting = [sent for sent in client.sent.values() if sent < LARGE_BYTES - 1]
            assert max(waiting) <= WINDOW_BYTES
            # The last bytes of the first two make room for the others.
            for stream in [stream for stream in streams if client.sent[stream] == LARGE_BYTES - 1]:
                await client.send(stream, b"\0")
            await client.until(lambda: all(sent >= LARGE_BYTES - 1 for sent in client.sent.values()))


@pytest.mark.parametrize("path", [CREATE, WATCH, CHECK, REFLECTION])
async def test_a_body_that_does_not_arrive_in_time_ends_its_call(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        monkeypatch.setattr("configsvc.limits.bodies.BODY_SECONDS", 0.0)
        monkeypatch.setattr("configsvc.limits.bodies.CHECK_SECONDS", 0.05)
        call = service.channel.stream_stream(path)(nothing(), metadata=bearing("root"), timeout=LIMIT_SECONDS)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(call))
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert "did not arrive within" in str(caught.value.details())


async def first_and_no_more() -> AsyncIterator[ImportConfigurationsRequest]:
    """Send the first message of an import, and neither another one nor an end."""
    yield ImportConfigurationsRequest(items=[item("web")])
    await asyncio.Event().wait()


async def test_an_upload_ends_when_its_next_message_does_not_arrive(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.api.exchanges.UPLOAD_MESSAGE_SECONDS", 0.2)
    for messages in (first_and_no_more(), nothing_to_import()):
        with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as caught:
            await shop.configurations.ImportConfigurations(messages, timeout=LIMIT_SECONDS)
        assert "the next message of the upload did not arrive within 0.2 s" in str(caught.value.details())
    # Nothing of it is left to run.
    assert not (await shop.operations.ListOperations(ListOperationsRequest())).operations


async def nothing_to_import() -> AsyncIterator[ImportConfigurationsRequest]:
    """Send no message, and do not end either."""
    await asyncio.Event().wait()
    yield ImportConfigurationsRequest()


async def test_a_message_of_an_upload_without_its_last_byte_ends_it(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.api.exchanges.UPLOAD_MESSAGE_SECONDS", 0.2)
    async with frames(shop.address) as client:
        streams = [client.begin(IMPORT) for _ in range(3)]
        await asyncio.gather(*(client.send(stream, incomplete(LARGE_BYTES)) for stream in streams))
        await client.until(lambda: client.ended >= set(streams))


async def test_uploads_of_callers_that_are_not_told_apart_are_few(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.api.uploads.SHARED_UPLOADS", 2)
    kept = [asyncio.create_task(upload(shop)) for _ in range(3)]
    done, waiting = await asyncio.wait(kept, timeout=LIMIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as caught:
        await done.pop()
    assert "share 2 uploads" in str(caught.value.details())
    assert len(waiting) == 2
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    async with asyncio.timeout(LIMIT_SECONDS):
        # The server hears of their end a moment later.
        while not await is_taken(shop):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def is_taken(service: Service) -> bool:
    """Return whether the service takes an upload."""
    try:
        return (await imported(service, item("web"))).done
    except grpc.aio.AioRpcError as error:
        if error.code() is not StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False


async def upload(service: Service) -> None:
    await service.configurations.ImportConfigurations(first_and_no_more(), timeout=LIMIT_SECONDS)


async def test_a_call_without_a_message_is_refused(service: Service) -> None:
    for path in (CREATE, WATCH, CHECK):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(service.channel.stream_stream(path)(iter(()), timeout=LIMIT_SECONDS)))
        assert caught.value.code() is StatusCode.INVALID_ARGUMENT


async def test_strangers_who_withhold_bodies_from_health_end_their_own_calls_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.limits.bodies.LIBRARY_BODIES", 3)
    monkeypatch.setattr("configsvc.limits.bodies.CHECK_SECONDS", 0.1)
    async with (
        running_service(database_url) as service,
        frames(service.address) as slow,
        frames(service.address) as stranger,
    ):
        kept = slow.begin(CHECK)
        streams = [stranger.begin(CHECK) for _ in range(20)]
        await stranger.until(lambda: len(stranger.ended) >= len(streams) - 2)
        assert (await service.health.Check(HealthCheckRequest(service=""))).status
        assert kept not in slow.ended


async def test_a_burst_of_calls_on_one_connection_is_answered_whole(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.limits.bodies.SHARED_BODIES", 2)
    async with running_service(database_url) as service:
        requests = (service.applications.ListApplications(ListApplicationsRequest()) for _ in range(200))
        assert len(await asyncio.gather(*requests)) == 200


async def test_a_full_connection_lets_further_calls_wait_and_others_go_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dict(module.OPTIONS) | {"grpc.max_concurrent_streams": 3}
    monkeypatch.setattr(module, "OPTIONS", tuple(few.items()))
    monkeypatch.setitem(cast("Any", session.SETTINGS), MAX_STREAMS, 3)
    async with (
        running_service(database_url) as running,
        connected(running.address, asyncio.Event()) as service,
        connected(running.address, asyncio.Event()) as other,
    ):
        watches = [service.configurations.WatchConfigurations(WatchConfigurationsRequest()) for _ in range(3)]
        for watch in watches:
            await synced(watch)
        waiting = asyncio.create_task(synced(service.configurations.WatchConfigurations(WatchConfigurationsRequest())))
        await other.applications.ListApplications(ListApplicationsRequest())
        assert not waiting.done()
        watches[0].cancel()
        await waiting


async def test_a_thousand_watches_share_two_connections(database_url: str) -> None:
    async with running_service(database_url) as first, connected(first.address, asyncio.Event()) as second:
        await create_application(first)
        watches = [
            service.configurations.WatchConfigurations(WatchConfigurationsRequest())
            for service in (first, second)
            for _ in range(500)
        ]
        await asyncio.gather(*map(synced, watches))
        created = await create(first, "web")
        async with asyncio.timeout(LIMIT_SECONDS):
            revisions = await asyncio.gather(*map(next_revision, watches))
    assert set(revisions) == {created.revision}


async def test_connections_beyond_the_limit_are_closed_and_closed_ones_make_room(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "MAX_CONNECTIONS", 3)
    async with running_service(database_url) as service, frames(service.address):
        async with frames(service.address):
            with pytest.raises((AssertionError, ConnectionError)):
                async with frames(service.address):
                    pass
            await service.applications.ListApplications(ListApplicationsRequest())
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await accepted(service):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0.01)


async def accepted(service: Service) -> bool:
    """Return whether the service accepts another connection."""
    try:
        async with frames(service.address):
            return True
    except (AssertionError, ConnectionError):
        return False


def test_connections_leave_descriptors_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, connections in ((1024, 824), (256, 128), (1_000_000, 20_000)):
        monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _, soft=limit: (soft, soft))
        assert descriptors.connection_limit(doors=1) == connections
        assert 2 * descriptors.connection_limit(doors=2) <= max(connections, 2 * descriptors.MAX_CONNECTIONS)


async def synced(watch: Any) -> None:
    """Read a watch of nothing until its snapshot is complete."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (await watch.read()).synced:
            pass


async def next_revision(watch: Any) -> int:
    return (await watch.read()).revision


async def test_calls_whose_answers_are_not_read_count_until_they_are(database_url: str, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path, calls_at_once=3)
    request = b"\0" + (0).to_bytes(4)
    async with running_service(database_url, **settings) as service, frames(service.address, window=0) as client:
        streams = [
            client.begin("/configapi.v1.ApplicationService/ListApplications", *bearing("root")) for _ in range(3)
        ]
        for stream in streams:
            await client.send(stream, request)
        await client.until(lambda: client.answered >= set(streams))
        with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
            await service.applications.ListApplications(ListApplicationsRequest(), metadata=bearing("root"))
        client.open_window()
        await client.until(lambda: client.ended >= set(streams))
        await service.applications.ListApplications(ListApplicationsRequest(), metadata=bearing("root"))
