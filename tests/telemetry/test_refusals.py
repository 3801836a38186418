"""Logs and counts of refused calls."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import ImportConfigurationsRequest, WatchConfigurationsRequest
from configsvc.telemetry import refusals
from configsvc.telemetry.refusals import Kind, Refusals
from tests.app.scraping import Metrics, measured_service
from tests.identity.tokens import bearing, oidc_settings
from tests.service import LIMIT_SECONDS, Service, running_service

CREATE = "ApplicationService/CreateApplication"
WATCH = "ConfigurationService/WatchConfigurations"
IMPORT = "ConfigurationService/ImportConfigurations"


async def attempt(service: Service, metadata: tuple[tuple[str, str], ...]) -> None:
    """Make a stream, a unary call and an upload; each is refused."""
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
    assert calls[0]["denied"].startswith("the call has no bearer token")
    assert calls[4]["denied"] == "the role admin is needed for all applications"


ATTEMPTS = 20


async def refused(call: Awaitable[Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call


def told(lines: list[Any], code: str) -> list[tuple[str, str, int]]:
    """Return the callers whose calls were refused; lines of single calls count as 0 suppressed."""
    calls = [(line["event"], line["caller"], 0) for line in lines if line["event"] == "call" and line["code"] == code]
    suppressed = [
        line for line in lines if line["event"] == "similar refused calls suppressed" and line["code"] == code
    ]
    return calls + [(line["method"], line["who"], line["count"]) for line in suppressed]


async def test_of_refused_calls_alike_the_first_is_logged_and_the_others_are_counted(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "WINDOW_SECONDS", 3600.0)
    settings = oidc_settings(tmp_path, admins="user:root,user:ann", calls_per_second=0.001, calls_burst=ATTEMPTS)
    with capture_logs() as lines:
        async with running_service(database_url, **settings) as service:
            create: Any = service.channel.unary_unary(f"/configapi.v1.{CREATE}")
            await asyncio.gather(*(refused(create(b"")) for _ in range(ATTEMPTS)))
            await asyncio.gather(*(refused(create(b"", metadata=bearing("nobody"))) for _ in range(ATTEMPTS)))
            await asyncio.gather(*(refused(create(b"\xff", metadata=bearing("ann"))) for _ in range(2 * ATTEMPTS)))
            await refused(create(b"\xff", metadata=bearing("root")))
    others = ATTEMPTS - 1
    assert told(lines, "UNAUTHENTICATED") == [("call", "", 0), (CREATE, "ipv4:127.0.0.1", others)]
    assert told(lines, "PERMISSION_DENIED") == [("call", "user:nobody", 0), (CREATE, "user:nobody", others)]
    assert told(lines, "RESOURCE_EXHAUSTED") == [("call", "user:ann", 0), (CREATE, "user:ann", others)]
    assert told(lines, "INVALID_ARGUMENT") == [
        ("call", "user:ann", 0),
        ("call", "user:root", 0),
        (CREATE, "user:ann", others),
    ]
    levels = {line["code"]: line["log_level"] for line in lines if line["event"] == "similar refused calls suppressed"}
    assert (levels["UNAUTHENTICATED"], levels["RESOURCE_EXHAUSTED"]) == ("warning", "info")


def kind(who: int | str, code: str = "UNAUTHENTICATED") -> Kind:
    return Kind(method=CREATE, code=code, reason="", who=str(who))


async def test_no_crowd_of_callers_fills_the_memory_or_the_log_by_being_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "KINDS_LIMIT", 10)
    known = Refusals()
    with capture_logs() as lines:
        assert sum(known.should_log(kind(who)) for who in range(1000)) == 11
        assert len(known._suppressed) == 11
        assert known.should_log(kind(5000, "PERMISSION_DENIED"))
        known.end_window()
    assert [(line["who"], line["count"]) for line in lines] == [("others", 989)]
    # In the next window, a single refusal is logged again.
    assert known.should_log(kind(999))
    known.end_window()


async def test_how_many_refused_calls_were_suppressed_is_reported_at_the_end_of_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "WINDOW_SECONDS", 0.01)
    known = Refusals()
    with capture_logs() as lines:
        assert [known.should_log(kind(1)) for _ in range(3)] == [True, False, False]
        async with asyncio.timeout(LIMIT_SECONDS):
            while not lines:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0.001)
    assert [(line["method"], line["code"], line["who"], line["count"]) for line in lines] == [
        (CREATE, "UNAUTHENTICATED", "1", 2)
    ]
    assert known.should_log(kind(1))
    known.end_window()
