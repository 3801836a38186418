"""What denied attempts leave behind."""

from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import ImportConfigurationsRequest, WatchConfigurationsRequest
from tests.metrics.scraping import Metrics, measured_service
from tests.security.tokens import bearing, oidc_settings
from tests.service import Service

CREATE = "ApplicationService/CreateApplication"
WATCH = "ConfigurationService/WatchConfigurations"
IMPORT = "ConfigurationService/ImportConfigurations"


async def attempt(service: Service, metadata: tuple[tuple[str, str], ...]) -> None:
    """A stream, a unary call and an upload, each refused."""
    watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError):
        await watch.read()
    with pytest.raises(grpc.aio.AioRpcError):
        await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError):
        await service.configurations.ImportConfigurations(iter([ImportConfigurationsRequest()]), metadata=metadata)


async def counted(metrics: Metrics, code: str) -> list[float]:
    return [await metrics.value("configsvc_calls_total", method=name, code=code) for name in (WATCH, CREATE, IMPORT)]


async def test_denied_attempts_are_logged_as_warnings_and_counted(database_url: str, tmp_path: Path) -> None:
    async with measured_service(database_url, **oidc_settings(tmp_path)) as (service, metrics):
        with capture_logs() as lines:
            await attempt(service, ())
            await attempt(service, bearing("nobody"))
        assert await counted(metrics, "UNAUTHENTICATED") == [1, 1, 1]
        assert await counted(metrics, "PERMISSION_DENIED") == [1, 1, 1]
    calls = [line for line in lines if line["event"] == "call"]
    assert [(line["method"], line["code"], line["caller"], line["reason"]) for line in calls] == [
        *((name, "UNAUTHENTICATED", "", "UnauthenticatedError") for name in (WATCH, CREATE, IMPORT)),
        *((name, "PERMISSION_DENIED", "user:nobody", "PermissionDeniedError") for name in (WATCH, CREATE, IMPORT)),
    ]
    assert {line["log_level"] for line in calls} == {"warning"}
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in calls)
    assert calls[0]["denied"].startswith("the call carries no bearer token")
    assert calls[4]["denied"] == "the role admin is needed for all applications"
