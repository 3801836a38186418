"""Health: true for everybody, whatever a single watcher does."""

import asyncio

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest

from configsvc.limits.streams import STREAMS_PER_HOST
from tests.proxy import far_service
from tests.rpc import raw_http2 as frames
from tests.rpc.served import OURS
from tests.service import LIMIT_SECONDS, Service, reason_of, running_service, wait_for_health

WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


async def test_a_watcher_that_does_not_read_keeps_no_health_from_the_others(database_url: str) -> None:
    async with (
        far_service(database_url) as (service, cable),
        frames.connection(service.address, window=0) as stranger,
    ):
        stranger.send(frames.call(1, WATCH, b""))
        async with asyncio.timeout(LIMIT_SECONDS):
            await stranger.until(frames.HEADERS, 1)
        await cable.cut()
        await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
        assert (await service.health.Check(HealthCheckRequest())).status == HealthCheckResponse.NOT_SERVING
        cable.restore()
        await wait_for_health(service, HealthCheckResponse.SERVING)
        assert (await service.health.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING


async def test_a_list_tells_the_health_of_every_service(service: Service) -> None:
    listed = await service.health.List(HealthListRequest())
    assert dict(listed.statuses) == {
        name: HealthCheckResponse(status=HealthCheckResponse.SERVING) for name in ("", *OURS)
    }


async def test_a_watch_of_an_unknown_service_says_so_and_stays_open(database_url: str) -> None:
    async with running_service(database_url) as service:
        watch = service.health.Watch(HealthCheckRequest(service="nowhere"))
        assert (await watch.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
        service.stop.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() == StatusCode.UNAVAILABLE
        assert reason_of(caught.value) == "SHUTTING_DOWN"


async def test_a_stop_ends_the_streams_of_health_and_of_reflection_with_a_status_of_ours(database_url: str) -> None:
    async with running_service(database_url, grace_seconds=LIMIT_SECONDS) as service:
        watch = service.health.Watch(HealthCheckRequest())
        assert (await watch.read()).status == HealthCheckResponse.SERVING
        reflecting = service.channel.stream_stream(REFLECT)()
        await reflecting.write(b"\x3a\x00")
        assert await reflecting.read()
        service.stop.set()
        assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
        for stream in (watch, reflecting):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() == StatusCode.UNAVAILABLE
            assert reason_of(caught.value) == "SHUTTING_DOWN"


async def test_one_host_has_a_limit_of_streams_and_those_that_it_does_not_read_soon_make_room(
    database_url: str,
) -> None:
    async with (
        running_service(database_url) as service,
        frames.connection(service.address, window=0) as stranger,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        streams = range(1, 2 * STREAMS_PER_HOST + 1, 2)
        stranger.send(*(frames.call(stream, WATCH, b"") for stream in streams))
        await stranger.until(frames.HEADERS, streams[-1])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.health.Watch(HealthCheckRequest()).read()
        assert caught.value.code() == StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(caught.value) == "TOO_MANY_WATCHES"
        assert (await service.health.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
        await wait_for_room(service)


async def wait_for_room(service: Service) -> None:
    """Wait until a health watch is accepted."""
    while True:
        try:
            await wait_for_health(service, HealthCheckResponse.SERVING)
        except grpc.aio.AioRpcError as error:
            assert error.code() == StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017
        else:
            return
        await asyncio.sleep(0.05)
