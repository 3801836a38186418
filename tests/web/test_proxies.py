"""HTTP behind real proxies, configured as in deploy/."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configapi.v1.audit_service_pb2 import ListChangesRequest
from tests.identity.authorities import Authority
from tests.identity.tokens import bearing, oidc_settings
from tests.rpc.real_proxies import KINDS, installed, running_proxy
from tests.service import LIMIT_SECONDS, Service, running_service
from tests.web.raw_http import ask, connection, request
from tests.web.test_tls import client

OVER_HTTP = {
    "nginx": replace(KINDS["nginx"], file="nginx-http.conf"),
    "envoy": replace(KINDS["envoy"], file="envoy-http.yaml"),
}
ROOT: dict[str, Any] = {"Authorization": bearing("root")[0][1]}
APPLICATIONS = "/api/v1/applications"


@pytest.fixture(params=OVER_HTTP)
async def proxied(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncGenerator[tuple[Service, str, Any]]:
    """Yield a service, the address of a proxy in front of it, and the TLS of a client."""
    kind, authority = installed(OVER_HTTP[request.param]), Authority()
    settings: dict[str, Any] = oidc_settings(tmp_path) | {"http_listen": "127.0.0.1:0", "trusted_proxies": "127.0.0.1"}
    async with (
        running_service(database_url, **settings) as service,
        running_proxy(kind, tmp_path, service.http_address, authority) as proxy,
    ):
        tls = client(authority, tmp_path)
        async with asyncio.timeout(LIMIT_SECONDS):
            # Envoy sends requests to servers that it has found healthy.
            while (await ask(proxy.address, "GET", "/health/ready", tls=tls)).status != 200:
                pass
        yield service, proxy.address, tls


async def test_http_works_through_real_proxies(proxied: tuple[Service, str, Any]) -> None:
    service, address, tls = proxied
    own = ROOT | {"Host": "configsvc.example.com", "Origin": "https://configsvc.example.com"}
    created = await ask(address, "POST", APPLICATIONS, b'{"name":"shop"}', tls, **own)
    assert created.status == 200
    assert (await ask(address, "POST", APPLICATIONS, b"{}", tls, **ROOT, Origin="https://evil.example")).status == 403
    assert (await ask(address, "GET", APPLICATIONS, tls=tls)).status == 401
    body = json.dumps({"name": "a/b", "config": {"text": "x" * 200_000}}).encode()
    configurations = f"{APPLICATIONS}/shop/configurations"
    assert (await ask(address, "POST", configurations, body, tls, **ROOT)).status == 200
    for name in ("a/b", "a%2Fb"):
        reply = await ask(address, "GET", f"{configurations}/{name}", tls=tls, **ROOT)
        assert (reply.status, json.loads(reply.body)["name"]) == (200, "a/b")
    listed = await service.audit.ListChanges(ListChangesRequest(), metadata=bearing("root"))
    # From the header: an address without a port.
    assert {change.peer.count(":") for change in listed.changes} == {1}


async def test_a_watch_arrives_event_by_event_through_real_proxies(proxied: tuple[Service, str, Any]) -> None:
    _, address, tls = proxied
    assert (await ask(address, "POST", APPLICATIONS, b'{"name":"shop"}', tls, **ROOT)).status == 200
    async with connection(address, tls) as raw, asyncio.timeout(LIMIT_SECONDS):
        raw.send(request("GET", "/api/v1/configurations:watch", **ROOT))
        await raw.reader.readuntil(b"event: synced\n")
        for number in range(3):
            body = json.dumps({"name": f"web-{number}", "config": {}}).encode()
            await ask(address, "POST", f"{APPLICATIONS}/shop/configurations", body, tls, **ROOT)
            await raw.reader.readuntil(f"web-{number}".encode())
