"""Quotas of a caller in one process."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.domain.errors import RateLimitedError
from configsvc.limits.quotas import Limits, Quota, Quotas
from configsvc.limits.slots import Slots
from tests.identity.tokens import bearing, oidc_settings
from tests.service import POLL_SECONDS, reason_of, running_service, status_of

LIMITS = Limits(calls_per_second=10, calls_burst=3, calls_at_once=5, watches_per_caller=1, watches_per_process=2)


def one_slot_each() -> Slots:
    return Slots({"reads": 1, "writes": 1, "watches": 1})


class Clock:
    """A clock that the test advances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("configsvc.limits.quotas.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_after_its_burst_a_caller_calls_as_often_as_it_may(clock: Clock) -> None:
    quota = Quota(LIMITS, one_slot_each())
    for _ in range(3):
        quota.take_call()
    with pytest.raises(RateLimitedError) as caught:
        quota.take_call()
    assert caught.value.retry_seconds == pytest.approx(0.1)
    clock.now += 0.1
    quota.take_call()
    with pytest.raises(RateLimitedError):
        quota.take_call()
    clock.now += 3600
    for _ in range(3):
        quota.take_call()
    with pytest.raises(RateLimitedError):
        quota.take_call()


def test_a_caller_has_so_many_calls_under_way_at_once(clock: Clock) -> None:
    quota = Quota(LIMITS, one_slot_each())
    ends: list[Callable[[object], None]] = []
    for _ in range(5):
        quota.begin_call(ends.append)
    with pytest.raises(RateLimitedError):
        quota.take_call()
    ends[0](None)
    quota.take_call()


def test_callers_with_nothing_to_remember_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.limits.quotas.REMEMBERED_QUOTAS", 3)
    quotas = Quotas(LIMITS, one_slot_each)
    busy = quotas.of("user:busy")
    busy.take_call()
    for number in range(100):
        quotas.of(f"user:{number}")
    assert quotas.of("user:busy") is busy
    assert len(quotas._quotas) == 3


async def test_a_caller_that_calls_too_often_learns_when_to_try_again_and_others_are_not_slowed(
    database_url: str, tmp_path: Path
) -> None:
    settings = oidc_settings(tmp_path, admins="user:root,user:polite", calls_per_second=0.001, calls_burst=2)
    request = ListApplicationsRequest()
    async with running_service(database_url, **settings) as service:
        for _ in range(2):
            await service.applications.ListApplications(request, metadata=bearing("root"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.applications.ListApplications(request, metadata=bearing("root"))
        await service.applications.ListApplications(request, metadata=bearing("polite"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "RATE_LIMITED"
    retry = RetryInfo()
    assert any(detail.Unpack(retry) for detail in status_of(caught.value).details)
    assert 0 < retry.retry_delay.seconds <= 1000


async def test_watches_beyond_the_limits_are_refused_and_closed_ones_do_not_count(
    database_url: str, tmp_path: Path
) -> None:
    settings = oidc_settings(tmp_path, admins="user:a,user:b,user:c", watches_per_caller=1, watches_per_process=2)
    async with running_service(database_url, **settings) as service:

        async def opened(user: str) -> Any:
            watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=bearing(user))
            await anext(aiter(watch))
            return watch

        first = await opened("a")
        await opened("b")
        for user in ("a", "c"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await opened(user)
            assert reason_of(caught.value) == "TOO_MANY_WATCHES"
        first.cancel()
        async with asyncio.timeout(5):
            while not await succeeds(opened("c")):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)


async def succeeds(opening: Coroutine[Any, Any, object]) -> bool:
    """Return whether a watch was opened."""
    try:
        await opening
    except grpc.aio.AioRpcError:
        return False
    return True
