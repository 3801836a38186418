"""The status that a service reports of its feed."""

import asyncio
from collections.abc import Callable

from configapi.v1.server_service_pb2 import GetServerStatusRequest, GetServerStatusResponse
from tests.service import Service

LIMIT_SECONDS = 30.0


async def status(service: Service) -> GetServerStatusResponse:
    return await service.server.GetServerStatus(GetServerStatusRequest())


async def until(condition: Callable[[GetServerStatusResponse], bool], service: Service) -> None:
    """Wait until the status meets the condition."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition(await status(service)):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


async def until_away(service: Service) -> None:
    """Wait until the service knows that the database is away, and its earlier messages have long arrived."""
    await until(lambda answer: not answer.live, service)
    await until_lag(service, 0.3)


async def until_live(service: Service) -> None:
    """Wait until the service hears of new commits."""
    await until(lambda answer: answer.live, service)


async def until_lag(service: Service, more_seconds: float) -> None:
    """Wait until the feed's lag has grown by that much."""
    wanted = lag(await status(service)) + more_seconds
    await until(lambda answer: lag(answer) >= wanted, service)


def lag(answer: GetServerStatusResponse) -> float:
    return answer.feed_lag.ToTimedelta().total_seconds()
