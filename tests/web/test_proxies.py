"""Streams over HTTP behind real proxies, configured as in deploy/."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configsvc.web import events
from tests.identity.authorities import Authority
from tests.rpc.real_proxies import KINDS, required, running_proxy
from tests.service import POLL_SECONDS, Service, running_service
from tests.storage.reading import Session, application, head
from tests.watch.changing import create, fill
from tests.web.event_streams import Answer, BrokenError, answer, connection, requested
from tests.web.event_streams import head as request_head
from tests.web.test_events import QUIET, until_watches
from tests.web.test_lines import IMPORT, LINES, item, line_of, until_names
from tests.web.test_polling import names
from tests.web.watching import LIMIT_SECONDS, WATCH, end_of, path_of

SHORT_TIMEOUTS = {
    "nginx": ((r"proxy_read_timeout 330s", "proxy_read_timeout 1s"),),
    "haproxy": ((r"timeout client 120s", "timeout client 1s"), (r"timeout server 330s", "timeout server 1s")),
    "envoy": ((r" idle_timeout: 330s", " idle_timeout: 1s"), (r"stream_idle_timeout: 120s", "stream_idle_timeout: 1s")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A service, and the address of a proxy in front of it."""

    service: Service
    address: str
    tls: ssl.SSLContext

    def requested(self, path: str, **more: Any) -> Any:
        return requested(self.address, path, tls=self.tls, **more)


@asynccontextmanager
async def behind(name: str, database_url: str, folder: Path, *changes: tuple[str, str]) -> AsyncGenerator[Behind]:
    kind, authority = required(name), Authority()
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", trusted_proxies="127.0.0.1") as service,
        running_proxy(kind, folder, service.address, authority, *changes, http_upstream=service.http_address) as proxy,
    ):
        tls = ssl.create_default_context(cadata=authority.pem.decode())
        tls.set_alpn_protocols(["http/1.1"])
        found = Behind(service=service, address=proxy.address, tls=tls)
        await until_healthy(found)
        yield found


async def until_healthy(proxied: Behind) -> None:
    """Wait until the proxy has found the service healthy."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                async with proxied.requested("/health/ready") as ready:
                    if ready.status == 200:
                        return
            except BrokenError:
                pass
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture(params=KINDS)
async def proxied(
    request: pytest.FixtureRequest, psql: Session, database_url: str, tmp_path: Path
) -> AsyncGenerator[Behind]:
    await application(psql)
    async with behind(request.param, database_url, tmp_path) as found:
        yield found


async def read_until(watch: Answer, revision: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        async for event in watch.events():
            if event.id.endswith(f":{revision}"):
                return
    raise AssertionError("the stream ended")


async def test_events_pass_a_proxy_as_they_come(proxied: Behind, psql: Session) -> None:
    async with proxied.requested(QUIET) as watch:
        await watch.until("synced")
        for number in range(3):
            # The next one is sent when this one has arrived.
            await create(proxied.service, f"web{number}")
            (change,) = await watch.until("change")
            assert change.json["events"][0]["configuration"]["name"] == f"web{number}"
        await fill(psql, 20, size=250_000)
        await read_until(watch, await head(psql))
        watch.leave()
        # The proxy tells the service.
        await until_watches(proxied.service, 0)


async def test_a_watch_resumes_through_a_proxy(proxied: Behind) -> None:
    async with proxied.requested(WATCH) as watch:
        (*_, synced) = await watch.until("synced")
    await create(proxied.service, "web")
    async with proxied.requested(WATCH, headers={"last-event-id": synced.id}) as watch:
        _, change, _ = await watch.until("synced")
        assert change.name == "change"


async def test_the_end_of_a_server_passes_a_proxy(proxied: Behind) -> None:
    async with proxied.requested(WATCH) as watch:
        await watch.until("synced")
        proxied.service.stop.set()
        *_, last = await watch.rest()
    assert end_of(last.json)[1] == "SHUTTING_DOWN"


@pytest.mark.parametrize("name", KINDS)
async def test_comments_keep_a_quiet_watch_beyond_the_proxys_time_outs(
    name: str, psql: Session, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.2)
    await application(psql)
    async with (
        behind(name, database_url, tmp_path, *SHORT_TIMEOUTS[name]) as proxied,
        proxied.requested(QUIET) as watch,
    ):
        await watch.until("synced")
        async with asyncio.timeout(LIMIT_SECONDS):
            async for chunk in watch.chunks():
                assert not list(watch.parser.feed(chunk.decode()))
                if watch.parser.comments == 10:
                    break
        await create(proxied.service, "web")
        await watch.until("change")


async def test_a_poll_waits_behind_a_proxy(proxied: Behind) -> None:
    async with proxied.requested(path_of(wait="0s")) as polled:
        token = (await polled.json())["resume_token"]

    async def poll() -> list[str]:
        async with proxied.requested(path_of(wait="60s", resume_token=token)) as polled:
            return names(await polled.json())

    waiting = asyncio.create_task(poll())
    await until_watches(proxied.service, 1)
    await create(proxied.service, "web")
    assert await waiting == ["web"]


async def test_the_lines_of_an_import_pass_a_proxy_as_they_come(proxied: Behind, psql: Session) -> None:
    async with connection(proxied.address, tls=proxied.tls) as (reader, writer):
        writer.write(request_head("POST", IMPORT, LINES | {"transfer-encoding": "chunked"}))
        for name in ("a", "b"):
            line = line_of(item(name))
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            async with asyncio.timeout(LIMIT_SECONDS):
                while not await psql.fetchval("SELECT count(*) FROM operation_items WHERE name = $1", name):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        writer.write(b"0\r\n\r\n")
        assert (await answer(reader, writer)).status == 200
    await until_names(proxied.service, "a", "b")


async def test_names_with_slashes_and_the_clients_address_pass_a_proxy(proxied: Behind) -> None:
    await create(proxied.service, "a/b")
    for name in ("a/b", "a%2Fb"):
        path = f"/api/v1/applications/shop/configurations/{name}"
        async with proxied.requested(path, method="PUT", body=b'{"over": "a proxy"}') as reply:
            assert reply.status == 200
            assert (await reply.json())["name"] == "a/b"
    listed = await proxied.service.audit.ListChanges(ListChangesRequest())
    # From the header: an address without a port.
    assert listed.changes[0].peer.count(":") == 1
