"""Connections of the fast transport over sockets: what is not HTTP/2, errors, keepalive, age, the end."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import pytest_asyncio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from configsvc.http2 import floods, keepalive, open_sockets
from tests.postgres import cloned_database
from tests.rpc.raw_http2 import DATA, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, Connection, call, frame
from tests.rpc.raw_http2 import connection as raw_connection
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REQUEST = HealthCheckRequest(service="").SerializeToString()
SERVING = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
WINDOW = 65_535
NO_ERROR, PROTOCOL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR, CALM = 0, 1, 6, 9, 11
MANY = 20_000
# A state of TCP in the kernel, which nobody tells a client that does not read.
ESTABLISHED = 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(postgres_server: str, template_database: str) -> AsyncGenerator[Service]:
    """Yield a service on the fast transport."""
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, transport="ngh2") as one,
    ):
        yield one


@asynccontextmanager
async def opened(service: Service) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection that has sent nothing."""
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_to(service: Service, data: bytes) -> bytes:
    """Return all that the server sends, until it closes the connection, to a client that sends this."""
    async with opened(service) as (reader, writer), asyncio.timeout(LIMIT_SECONDS):
        with suppress(ConnectionError):
            writer.write(data)
            return await reader.read(-1)
    return b""


def frames_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return frames as kind, stream and payload."""
    found: list[tuple[int, int, bytes]] = []
    while data:
        end = 9 + int.from_bytes(data[:3])
        found.append((data[3], int.from_bytes(data[5:9]), data[9:end]))
        data = data[end:]
    return found


def goaway_code(payload: bytes) -> int:
    return int.from_bytes(payload[4:8])


async def end_of(client: Connection) -> tuple[int, bytes]:
    """Return the code and the text of the GOAWAY with which the server closes a connection."""
    async with asyncio.timeout(LIMIT_SECONDS):
        await client.until_closed()
    payload = [payload for kind, _, payload in client.frames if kind == GOAWAY][-1]
    return goaway_code(payload), payload[8:]


async def check(service: Service) -> None:
    """Check that the service still answers others."""
    assert (await service.health.Check(HealthCheckRequest(service=""))).status == HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"POST /a HTTP/1.0\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n"]
)
async def test_http_1_is_answered_and_closed(service: Service, line: bytes) -> None:
    answer = await answer_to(service, line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"gRPC" in answer
    await check(service)


@pytest.mark.parametrize("data", [b"\0" * 24, b"\x16\x03\x01" * 20, b"hello", PREFACE[:20] + b"xxxx", b"SSH-2.0-x\r\n"])
async def test_garbage_is_answered_with_goaway_and_closed(service: Service, data: bytes) -> None:
    ((kind, stream, payload),) = frames_of(await answer_to(service, data))
    assert (kind, stream, goaway_code(payload)) == (GOAWAY, 0, PROTOCOL_ERROR)
    await check(service)


async def test_a_preface_in_pieces_is_a_preface(service: Service) -> None:
    async with opened(service) as (reader, writer):
        for one in PREFACE + frame(SETTINGS, 0, 0, b"") + call(1, CHECK, REQUEST):
            writer.write(bytes((one,)))
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT_SECONDS):
            await reader.readuntil(SERVING)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"\xff" * 60, {PROTOCOL_ERROR, FRAME_SIZE_ERROR}),
        (frame(SETTINGS, 0, 0, b"x"), {FRAME_SIZE_ERROR, PROTOCOL_ERROR}),
        (frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 4, 1, b"\xff\xff\xff\xff"), {COMPRESSION_ERROR}),
        (frame(SETTINGS, 0, 0, b"") + frame(DATA, 0, 1, b"x"), {PROTOCOL_ERROR, 5}),
        (frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 4, 2, b"\x82"), {PROTOCOL_ERROR}),
        (frame(SETTINGS, 0, 0, b"") + frame(PING, 0, 0, b"x"), {FRAME_SIZE_ERROR}),
        (frame(SETTINGS, 0, 0, b"") + frame(9, 0, 1, b""), {PROTOCOL_ERROR}),
    ],
)
async def test_a_violation_of_the_protocol_ends_the_connection_with_its_code(
    service: Service, data: bytes, codes: set[int]
) -> None:
    frames = frames_of(await answer_to(service, PREFACE + data))
    assert goaway_code(next(payload for kind, _, payload in reversed(frames) if kind == GOAWAY)) in codes
    await check(service)


def reset_call(number: int) -> bytes:
    """Return a call that its client resets at once."""
    return call(number, WATCH, REQUEST) + frame(RST_STREAM, 0, number, (8).to_bytes(4))


def call_without_end(number: int) -> bytes:
    """Return a call whose request does not arrive."""
    message = b"\0" + len(REQUEST).to_bytes(4) + REQUEST
    return call(number, CHECK, REQUEST).removesuffix(frame(DATA, 1, number, message))


FLOODS: dict[str, tuple[Callable[[], bytes], int]] = {
    "pings": (lambda: frame(PING, 0, 0, bytes(8)) * 10, CALM),
    "settings": (lambda: frame(SETTINGS, 0, 0, b"") * 2 * floods.SETTINGS_BURST, CALM),
    "resets": (lambda: b"".join(map(reset_call, range(1, 2 * MANY, 2))), CALM),
    "continuations": (lambda: frame(HEADERS, 0, 1, b"") + frame(9, 0, 1, b"") * 1000, CALM),
    "empty data": (lambda: call_without_end(1) + frame(DATA, 0, 1, b"") * 2 * floods.EMPTY_DATA_BURST, CALM),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_its_connection_and_no_other(service: Service, flood: str) -> None:
    make, code = FLOODS[flood]
    answer = await answer_to(service, PREFACE + frame(SETTINGS, 0, 0, b"") + make())
    ends = [goaway_code(payload) for kind, _, payload in frames_of(answer) if kind == GOAWAY]
    assert ends[-1] == code
    await check(service)


async def test_as_many_resets_as_deadlines_cause_are_no_flood(service: Service) -> None:
    async with raw_connection(service.address, window=WINDOW) as client:
        for one in range(5_000):
            client.send(reset_call(2 * one + 1))
        client.send(call(10_001, CHECK, REQUEST))
        async with asyncio.timeout(LIMIT_SECONDS):
            assert SERVING in await client.until(DATA, 10_001)


async def test_a_peer_that_does_not_answer_a_ping_is_gone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "KEEPALIVE_SECONDS", 0.1)
    monkeypatch.setattr(keepalive, "PING_SECONDS", 0.1)
    async with opened(service) as (reader, writer), asyncio.timeout(LIMIT_SECONDS):
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + call(1, WATCH, REQUEST))
        with suppress(ConnectionError):
            assert PING in [kind for kind, _, _ in frames_of(await reader.read(-1))]


async def test_a_peer_that_answers_pings_stays(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "KEEPALIVE_SECONDS", 0.0)
    async with raw_connection(service.address, window=WINDOW) as client, asyncio.timeout(LIMIT_SECONDS):
        client.send(call(1, WATCH, REQUEST))
        while sum(kind == PING for kind, _, _ in client.frames) < 3:
            await client._receive()
        client.send(call(3, CHECK, REQUEST))
        assert SERVING in await client.until(DATA, 3)


async def test_a_silent_connection_ends_before_its_handshake(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "HANDSHAKE_SECONDS", 0.1)
    assert await answer_to(service, PREFACE[:5]) == b""


async def test_an_idle_connection_is_told_to_leave_in_two_steps(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "IDLE_SECONDS", 0.1)
    async with raw_connection(service.address, window=WINDOW) as client:
        client.send(call(1, CHECK, REQUEST))
        code, _ = await end_of(client)
    last = [int.from_bytes(payload[:4]) for kind, _, payload in client.frames if kind == GOAWAY]
    assert (code, last) == (NO_ERROR, [2**31 - 1, 1])


async def test_a_call_that_is_on_its_way_while_a_connection_is_left_is_answered(
    postgres_server: str, template_database: str
) -> None:
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, transport="ngh2", connection_age_seconds=0.5) as service,
        raw_connection(service.address, window=WINDOW) as client,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        client.send(call(1, WATCH, REQUEST))
        await client.until(GOAWAY, 0)
        client.send(call(3, CHECK, REQUEST))
        assert SERVING in await client.until(DATA, 3)


async def test_a_connection_ends_when_its_client_reads_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_sockets, "UNREAD_SECONDS", 0.2)
    async with opened(service) as (_, writer), asyncio.timeout(LIMIT_SECONDS):
        cast("asyncio.Transport", writer.transport).pause_reading()
        writer.write(PREFACE + frame(SETTINGS, 0, 0, (4).to_bytes(2) + (2**31 - 1).to_bytes(4)))
        writer.write(frame(8, 0, 0, (2**30).to_bytes(4)))
        name = b"configapi.v1.ConfigurationService"
        for number in range(1, 600, 2):
            writer.write(call(number, REFLECTION, bytes((0x22, len(name))) + name))
        await writer.drain()
        one: Any = writer.get_extra_info("socket")
        while one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
