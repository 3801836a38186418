"""Health over HTTP: the same as over gRPC at each moment."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from configsvc.app.run import run_service
from tests.identity.tokens import oidc_settings
from tests.proxy import far_service
from tests.service import LIMIT_SECONDS, Service, connected, running_service, settings_of, wait_for_health
from tests.web.raw_http import ask

STATUSES = {HealthCheckResponse.SERVING: 200, HealthCheckResponse.NOT_SERVING: 503}


async def http_states(address: str) -> list[int]:
    """Return the status of each page."""
    return [(await ask(address, "GET", f"/health{page}")).status for page in ("", "/ready", "/live")]


async def rpc_state(service: Service) -> int:
    return STATUSES[(await service.health.Check(HealthCheckRequest())).status]


async def test_health_says_how_the_service_is(http: Service) -> None:
    reply = await ask(http.http_address, "GET", "/health")
    state = json.loads(reply.body)
    assert (reply.status, state["status"]) == (200, "SERVING")
    assert state["version"]
    assert state["database"] == {"reachable": True}
    assert set(state["pools"]) == {"reads", "merges", "writes", "watches", "operations"}
    assert state["feed"]["live"]
    assert state["feed"]["lag_seconds"] >= 0


async def test_probes_need_no_credentials_and_get_nothing_secret(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = oidc_settings(tmp_path) | {"http_listen": "127.0.0.1:0"}
    async with running_service(database_url, **settings) as service:
        for page in ("/health", "/health/", "/health/live", "/health/ready", "/health/ready?a=b"):
            for method in ("GET", "HEAD"):
                # Load balancers send any name, or none that is a host's.
                reply = await ask(service.http_address, method, page, Host="10.1.2.3:80")
                assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
                assert bool(reply.body) == (method == "GET")
                assert not any(secret in reply.body.decode() for secret in ("postgres", "epoch", "127.0.0.1", "user"))
        assert (await ask(service.http_address, "POST", "/health", b"{}")).status == 405
        assert (await ask(service.http_address, "GET", "/healthy")).status == 404


@pytest.mark.parametrize("delay", [3600.0])
async def test_health_is_that_of_grpc_at_the_start_and_in_the_drain_delay(database_url: str, delay: float) -> None:
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    seen: list[bool] = []
    settings = settings_of(http_listen="127.0.0.1:0", drain_delay_seconds=delay)
    serving = asyncio.create_task(
        run_service(
            settings,
            database_url,
            stop=stop,
            started=lambda servers: seen.append(servers.http is not None and servers.http.health.serving),
            ready=bound.set_result,
        )
    )
    try:
        servers = await bound
        assert (seen, servers.http.health.serving) == ([False], True)
        address = f"127.0.0.1:{servers.http.port}"
        async with connected(f"127.0.0.1:{servers.rpc.port}", stop) as service:
            assert (await rpc_state(service), await http_states(address)) == (200, [200, 200, 200])
            stop.set()
            await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
            assert (await rpc_state(service), await http_states(address)) == (503, [503, 503, 200])
            # Everything is still served.
            reply = await ask(address, "GET", "/api/v1/applications")
            assert (reply.status, "connection" in reply.headers) == (200, False)
    finally:
        serving.cancel()
        await asyncio.wait([serving], timeout=LIMIT_SECONDS)


async def test_health_is_that_of_grpc_while_the_database_is_away(database_url: str) -> None:
    async with far_service(database_url, http_listen="127.0.0.1:0") as (service, cable):
        await cable.cut()
        await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
        assert (await rpc_state(service), await http_states(service.http_address)) == (503, [503, 503, 200])
        state = json.loads((await ask(service.http_address, "GET", "/health")).body)
        assert (state["status"], state["database"]) == ("NOT_SERVING", {"reachable": False})
        cable.restore()
        await wait_for_health(service, HealthCheckResponse.SERVING)
        assert (await rpc_state(service), await http_states(service.http_address)) == (200, [200, 200, 200])
