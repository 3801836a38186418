"""Limits of HTTP connections: on what a client sends, keeps open and does not read."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configsvc.process import descriptors
from configsvc.web import open_connections
from configsvc.web.heads import MAX_HEADERS, MAX_TARGET_BYTES
from tests.api.calls import create
from tests.process.running import serving
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, running_service
from tests.web.raw_http import Raw, ask, connection, request

APPLICATIONS = "/api/v1/applications"
GET = request("GET", APPLICATIONS)
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def head(*lines: str, target: str = APPLICATIONS, verb: str = "GET", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join((f"{verb} {target} {version}", *lines, "", "")).encode("latin-1")


LOCAL = "Host: localhost"
CHUNKED = "Transfer-Encoding: chunked"
# Of include/net/tcp_states.h.
TCP_CLOSE = 7


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(LOCAL, target="/" + "a" * MAX_TARGET_BYTES), 414),
        (head(LOCAL, *(f"X-{number}: 1" for number in range(MAX_HEADERS))), 431),
        (head(LOCAL, *(f"X-{number}: {'a' * 8000}" for number in range(5))), 431),
        # A header without an end, and a name without one.
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 400_000, 431),
        (b"GET /" + b"a" * 400_000, 414),
        (head(), 400),
        (head(LOCAL, "Host: localhost"), 400),
        (head("Host: localhost", "Host: evil.example"), 400),
        # Programs in front of the service could see another end of the request.
        (head(LOCAL, "Content-Length: 5", CHUNKED, verb="POST") + b"0\r\n\r\n", 400),
        (head(LOCAL, CHUNKED, "Content-Length: 5", verb="POST") + b"0\r\n\r\n", 400),
        (head(LOCAL, "Content-Length: 5", "Content-Length: 6", verb="POST") + b"hello!", 400),
        (head(LOCAL, "Content-Length: +5", verb="POST") + b"hello", 400),
        (head(LOCAL, "Content-Length: 99999999999999999999", verb="POST"), 400),
        (head(LOCAL, "Transfer-Encoding: gzip, chunked", verb="POST") + b"0\r\n\r\n", 501),
        (head(LOCAL, CHUNKED, CHUNKED, verb="POST") + b"0\r\n\r\n", 400),
        (head(LOCAL, CHUNKED, verb="POST", version="HTTP/1.0") + b"0\r\n\r\n", 501),
        (head("Host : localhost"), 400),
        (head(LOCAL, " folded: 1"), 400),
        (head(LOCAL).replace(b"\r\n", b"\n"), 400),
        (head(LOCAL, "X: a\0b"), 400),
        (head(LOCAL, version="HTTP/2.0"), 505),
        (head(LOCAL, version="HTTP/0.9"), 505),
        (head(LOCAL, verb="CONNECT", target="localhost:443"), 501),
        (head(LOCAL, verb="NOTHING"), 400),
        (head(LOCAL, target="/a#b"), 400),
        (head(LOCAL, target="ftp://localhost/"), 400),
        (head(LOCAL, target="http://user@localhost/"), 400),
        (head(LOCAL, target="/\xff"), 400),
        (head(LOCAL, "Expect: miracles"), 417),
        # HTTP/2 without TLS, TLS, and noise.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0" * 100, 400),
    ],
)
async def test_a_request_that_is_ambiguous_or_too_large_is_refused_and_its_connection_ends(
    http: Service, sent: bytes, status: int
) -> None:
    async with connection(http.http_address) as raw:
        raw.send(sent)
        reply = await raw.reply()
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert reply.headers.items() >= SECURITY.items()
        assert set(json.loads(reply.body)) == {"code", "message"}
        assert await raw.ended() == b""
    assert (await ask(http.http_address, "GET", APPLICATIONS)).status == 200


async def test_requests_in_a_row_are_answered_in_their_order(http: Service) -> None:
    async with connection(http.http_address) as raw:
        raw.send(GET, request("GET", "/nothing"), request("GET", "/health/live"), request("HEAD", APPLICATIONS), GET)
        statuses = [(await raw.reply(head=number == 3)).status for number in range(5)]
        assert statuses == [200, 404, 200, 200, 200]


async def test_of_too_many_requests_in_a_row_some_are_answered_and_the_connection_ends(http: Service) -> None:
    async with connection(http.http_address) as raw:
        raw.send(GET * 5000)
        replies = [await raw.reply()]
        while replies[-1].headers.get("connection") != "close":
            replies.append(await raw.reply())
        assert {reply.status for reply in replies} == {200}
        assert 10 < len(replies) < 50
        assert await raw.ended() == b""


async def test_what_is_wrong_behind_a_request_does_not_touch_its_answer(http: Service) -> None:
    async with connection(http.http_address) as raw:
        raw.send(GET, request("GET", APPLICATIONS), b"noise\r\n\r\n")
        assert [(await raw.reply()).status for _ in range(3)] == [200, 200, 400]
        assert await raw.ended() == b""


async def test_trailers_count_as_nothing(http: Service) -> None:
    start = head(LOCAL, CHUNKED, "Trailer: x-change-request", verb="POST")
    async with connection(http.http_address) as raw:
        raw.send(start, b'10\r\n{"name":"trail"}\r\n0\r\nX-Change-Request: FORGED\r\nHost: evil.example\r\n\r\n', GET)
        assert [(await raw.reply()).status for _ in range(2)] == [200, 200]
    changes = (await http.audit.ListChanges(ListChangesRequest())).changes
    assert {change.origin.change_request for change in changes} == {""}


@pytest.mark.parametrize("endless", [b"1;" + b"x" * 1000 + b"\r\na\r\n", b"1\r\na\r\n" * 100, b"1;" + b"x" * 1000])
async def test_chunks_that_are_mostly_framing_are_refused(http: Service, endless: bytes) -> None:
    async with connection(http.http_address) as raw, asyncio.timeout(LIMIT_SECONDS):
        raw.send(head(LOCAL, CHUNKED, verb="POST"))
        sending = asyncio.create_task(_send_endlessly(raw, endless))
        assert (await raw.reply()).status == 400
        sending.cancel()


async def _send_endlessly(raw: Raw, data: bytes) -> None:
    while True:
        raw.send(data * 100)
        await raw.writer.drain()


async def test_an_answer_that_comes_before_the_body_arrives_whole(http: Service) -> None:
    async with connection(http.http_address) as raw, asyncio.timeout(LIMIT_SECONDS):
        raw.send(head(LOCAL, f"Content-Length: {10**9}", verb="POST", target="/nothing"))
        for _ in range(100):
            raw.send(b"a" * 65536)
        reply = await raw.reply()
        assert (reply.status, reply.headers["connection"]) == (404, "close")
        assert await raw.ended() == b""


async def test_a_client_that_waits_before_it_sends_its_body_is_told_to_go_on(http: Service) -> None:
    body = b'{"name":"patient"}'
    async with connection(http.http_address) as raw, asyncio.timeout(LIMIT_SECONDS):
        raw.send(head(LOCAL, "Expect: 100-continue", f"Content-Length: {len(body)}", verb="POST"))
        assert (await raw.start())[0] == 100
        raw.send(body)
        assert (await raw.reply()).status == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_a_request_for_another_protocol_is_answered_in_this_one(http: Service, protocol: str) -> None:
    upgrade = request("GET", APPLICATIONS, Connection="Upgrade", Upgrade=protocol)
    async with connection(http.http_address) as raw:
        raw.send(upgrade, GET, upgrade)
        assert [(await raw.reply()).status for _ in range(3)] == [200] * 3


async def test_http_1_0_gets_answers_that_end_with_the_connection(http: Service) -> None:
    async with connection(http.http_address) as raw:
        raw.send(head(LOCAL, version="HTTP/1.0"))
        reply = await raw.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await raw.ended() == b""
    async with connection(http.http_address) as raw, asyncio.timeout(LIMIT_SECONDS):
        raw.send(head(LOCAL, version="HTTP/1.0", target="/api/v1/configurations:watch"))
        status, headers = await raw.start()
        assert (status, "transfer-encoding" in headers) == (200, False)
        await raw.reader.readuntil(b"event: synced\n")
        http.stop.set()
        assert b"event: error" in await raw.ended()


async def test_connections_that_send_nothing_or_stop_in_the_middle_are_ended(
    http: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        connection(http.http_address) as silent,
        connection(http.http_address) as slow,
        connection(http.http_address) as blank,
        connection(http.http_address) as idle,
    ):
        idle.send(GET)
        assert (await idle.reply()).status == 200
        slow.send(GET[:-2])
        monkeypatch.setattr(open_connections, "HEAD_SECONDS", 0.0)
        assert await silent.ended() == b""
        assert (await slow.reply()).status == 408
        blank.send(b"\r\n" * 1000)
        assert await blank.ended() == b""
        monkeypatch.setattr(open_connections, "IDLE_SECONDS", 0.0)
        assert await idle.ended() == b""


async def test_a_client_that_reads_nothing_loses_its_connection_and_its_answer(
    http: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        await create(http, f"large-{number}", {"text": "x" * 250_000})
    monkeypatch.setattr(open_connections, "UNREAD_SECONDS", 0.0)
    async with connection(http.http_address, limit=1) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(request("GET", "/api/v1/applications/shop/configurations") * 10)
        client = raw.writer.get_extra_info("socket")
        await _until(lambda: client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], TCP_CLOSE)


async def _until(look: Callable[[], object], wanted: object) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while look() != wanted:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def test_a_silent_connection_makes_room_for_another_and_a_busy_one_does_not(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "MAX_CONNECTIONS", 2)
    async with running_service(database_url, http_listen="127.0.0.1:0") as service:
        watch = request("GET", "/api/v1/configurations:watch")
        async with connection(service.http_address) as one, connection(service.http_address) as silent:
            one.send(watch)
            assert (await one.start())[0] == 200
            async with connection(service.http_address) as other:
                other.send(watch)
                assert (await other.start())[0] == 200
                assert await silent.ended() == b""
                async with connection(service.http_address) as refused:
                    refused.send(GET)
                    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                        await refused.reply()


async def test_what_clients_do_wrong_leaves_no_line_in_the_log(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (running, service):
        before = len(running.lines)
        wrong = [b"noise\r\n\r\n", request("GET", "/x", Upgrade="websocket", Connection="Upgrade"), b"", GET[:9], b"\0"]
        for sent in wrong:
            async with connection(service.http_address) as raw:
                raw.send(sent)
                raw.writer.write_eof()
                await raw.ended()
        assert (await ask(service.http_address, "GET", "/health")).status == 200
        assert running.lines[before:] == []
