"""The service behind real proxies, configured as in deploy/."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_service_pb2 import ExportConfigurationsRequest, WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.api.status_sizes import MAX_WIRE_BYTES, wire_bytes
from tests.api.calls import create, create_application, failing, get
from tests.identity.authorities import Authority
from tests.operations.operating import PER_ITEM, ended, item, messages
from tests.proxy import proxied_address
from tests.rpc.handshakes import next_message
from tests.rpc.real_proxies import KINDS, SHORT_TIMEOUTS, RealProxy, required, running_proxy
from tests.service import LIMIT_SECONDS, Service, connected, reason_if_any, running_service, status_of
from tests.writes.batches import creation, write

CLIENT = "127.0.0.9"
LARGE = "x" * 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Stubs that reach the service through a proxy, from the address CLIENT, and stubs that reach it directly."""

    proxy: RealProxy
    through: Service
    direct: Service


@asynccontextmanager
async def behind(
    name: str, database_url: str, folder: Path, *changes: tuple[str, str], **settings: Any
) -> AsyncGenerator[Behind]:
    kind, authority = required(name), Authority()
    settings = {"trusted_proxies": "127.0.0.1"} | settings
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(running_service(database_url, **settings))
        proxy = await stack.enter_async_context(running_proxy(kind, folder, direct.address, authority, *changes))
        _, address = await stack.enter_async_context(proxied_address(proxy.address, own_host=CLIENT))
        through = await stack.enter_async_context(connected(address, direct.stop, authority.trusting()))
        async with asyncio.timeout(LIMIT_SECONDS):
            # Envoy sends calls to servers that it has found healthy.
            await through.applications.ListApplications(ListApplicationsRequest(), wait_for_ready=True)
        yield Behind(proxy=proxy, through=through, direct=direct)


@pytest.fixture(params=KINDS)
async def proxied(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncGenerator[Behind]:
    async with behind(request.param, database_url, tmp_path) as found:
        yield found


async def peers(service: Service) -> set[str]:
    changes = (await service.audit.ListChanges(ListChangesRequest(page_size=1000))).changes
    return {change.peer for change in changes}


async def test_the_audit_trail_names_the_client_and_not_the_proxy(proxied: Behind) -> None:
    await create_application(proxied.through)
    forged = (("x-forwarded-for", "10.9.9.9"), ("x-forwarded-for", "127.0.0.1, 10.8.8.8"))
    await proxied.through.applications.CreateApplication(CreateApplicationRequest(name="store"), metadata=forged)
    await proxied.through.configurations.ImportConfigurations(messages([item("web")], mode=PER_ITEM))
    assert await peers(proxied.through) == {f"ipv4:{CLIENT}"}


@pytest.mark.parametrize("name", KINDS)
async def test_a_proxy_that_is_not_trusted_names_nobody(name: str, database_url: str, tmp_path: Path) -> None:
    async with behind(name, database_url, tmp_path, trusted_proxies="10.0.0.0/8") as proxied:
        await create_application(proxied.through)
        (peer,) = await peers(proxied.through)
        assert peer.startswith("ipv4:127.0.0.1:")


async def test_large_contents_pass(proxied: Behind) -> None:
    await create_application(proxied.through)
    await create(proxied.through, "one", {"text": LARGE})
    assert (await get(proxied.through, "one")).config["text"] == LARGE
    await write(proxied.through, *(creation(f"c{number}", {"text": LARGE}) for number in range(15)))
    stream = messages([item(f"i{number}", {"text": LARGE}) for number in range(40)], size=10, mode=PER_ITEM)
    await ended(proxied.through, await proxied.through.configurations.ImportConfigurations(stream))
    export = proxied.through.configurations.ExportConfigurations(ExportConfigurationsRequest())
    exported = [one.name async for message in export for one in message.items]
    assert len(exported) == 56


async def test_the_headers_of_a_large_token_pass(proxied: Behind) -> None:
    token = (("authorization", "Bearer " + "x" * 16_000),)
    await proxied.through.applications.ListApplications(ListApplicationsRequest(), metadata=token)


async def test_the_largest_errors_pass_and_the_next_call_too(proxied: Behind) -> None:
    await create_application(proxied.through)
    bad = [creation(f"c{index}", {"ключ" * 40: math.nan if index % 2 else 1.0}) for index in range(300)]
    taken = [creation(name, {"a": 1}) for name in ("x" * 200 + f"{index}" for index in range(300)) for _ in range(2)]
    for writes, reason in ((bad, "INVALID_REQUEST"), (taken, "BATCH_FAILED")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await write(proxied.through, *writes)
        assert reason_if_any(caught.value) == reason
        assert MAX_WIRE_BYTES * 0.8 < wire_bytes(status_of(caught.value)) <= MAX_WIRE_BYTES
        await get_applications(proxied)
    selectors = [ConfigurationSelector(application=ApplicationRef(name="ä" * 50)) for _ in range(100)]
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await anext(
            aiter(proxied.through.configurations.WatchConfigurations(WatchConfigurationsRequest(selectors=selectors)))
        )
    await get_applications(proxied)


async def get_applications(proxied: Behind) -> None:
    await proxied.through.applications.ListApplications(ListApplicationsRequest())


def watching(nanos: int, seconds: int = 0) -> WatchConfigurationsRequest:
    return WatchConfigurationsRequest(progress_interval=Duration(seconds=seconds, nanos=nanos))


@pytest.mark.parametrize("name", KINDS)
async def test_bookmarks_keep_a_watch_beyond_the_proxys_time_outs(name: str, database_url: str, tmp_path: Path) -> None:
    async with behind(name, database_url, tmp_path, *SHORT_TIMEOUTS[name]) as proxied:
        kept = proxied.through.configurations.WatchConfigurations(watching(200_000_000))
        quiet = proxied.through.configurations.WatchConfigurations(watching(0, seconds=3600))
        assert (await next_message(quiet)).synced
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await next_message(quiet)
        # The proxy ended it, so that no reason of the service is in its end.
        assert reason_if_any(caught.value) == ""
        for _ in range(10):
            assert not (await next_message(kept)).events
        await create_application(proxied.direct)
        await create(proxied.direct, "web")
        while not (message := await next_message(kept)).events:
            pass
        assert message.events[0].configuration.name == "web"
        kept.cancel()
