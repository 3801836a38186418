"""The retry policy in deploy/, in a real channel."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configapi.v1.application_service_pb2_grpc import ApplicationServiceStub
from configsvc.rpc.server import SERVICES
from tests.app.scraping import Metrics, measured_service
from tests.proxy import proxied
from tests.service import LIMIT_SECONDS, POLL_SECONDS, reason_if_any

POLICY = Path(__file__).parents[2] / "deploy" / "service-config.json"
ATTEMPTS = 5


@asynccontextmanager
async def retrying(address: str) -> AsyncGenerator[Any]:
    options = (("grpc.service_config", POLICY.read_text(encoding="utf-8")), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield ApplicationServiceStub(channel)


def test_the_policy_names_every_method_without_a_request_id_and_no_other() -> None:
    (only,) = json.loads(POLICY.read_text(encoding="utf-8"))["methodConfig"]
    assert only["name"] == [
        {"service": service.full_name, "method": method.name}
        for service in SERVICES
        if service.full_name.startswith("configapi.")
        for method in service.methods
        if not (method.client_streaming or method.server_streaming)
        and "request_id" not in method.input_type.fields_by_name
    ]


async def refused(metrics: Metrics, method: str) -> float:
    return await metrics.value("configsvc_calls_total", method=f"ApplicationService/{method}", code="UNAVAILABLE")


async def test_a_read_is_repeated_while_the_service_is_unavailable_and_a_write_is_not(database_url: str) -> None:
    async with (
        proxied(database_url) as (database, url),
        measured_service(url) as (service, metrics),
        retrying(service.address) as applications,
    ):
        await applications.ListApplications(ListApplicationsRequest())
        await database.cut()
        for method, request, attempts in (
            ("ListApplications", ListApplicationsRequest(), ATTEMPTS),
            ("CreateApplication", CreateApplicationRequest(name="shop"), 1),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await getattr(applications, method)(request)
            assert reason_if_any(caught.value) == "DATABASE_UNAVAILABLE"
            assert await refused(metrics, method) == attempts
        listing = asyncio.ensure_future(applications.ListApplications(ListApplicationsRequest()))
        async with asyncio.timeout(LIMIT_SECONDS):
            while await refused(metrics, "ListApplications") == ATTEMPTS:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
        database.restore()
        await listing
