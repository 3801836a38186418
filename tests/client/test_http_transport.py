"""Answers as the HTTP transport reads them, from servers that are not this service, too."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from configsvc.client import ConfigClient, NotReadyError, StoppedError, Tls
from configsvc.client.grpc_transport import _OPTIONS
from configsvc.client.http_transport import _connect
from tests.client.clients import client_of, run_program, until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
OPENED = b'event: opened\ndata: {"revision":"1","epoch":"e","opened":{"progress_interval":"10s"}}\n\n'
SYNCED = (
    b'id: e:1\nevent: synced\ndata: {"resume_token":"e:1","revision":"1","epoch":"e","events":[{"effect":"EFFECT_SET",'
    b'"configuration":{"id":"a","name":"limits","config":{"n":1.0}}}],"synced":true}\n\n'
)


def refusal(domain: str, status: str = "403 Forbidden", **more: Any) -> bytes:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": domain, "reason": "PERMISSION_DENIED"}
    body = json.dumps({"code": 7, "message": "no", "details": [detail]} | more).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def page(status: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{headers}\r\n<html>".encode()


class Server:
    """A server that gives each connection the next of some answers, and then nothing, until it is told to end."""

    def __init__(self, answers: list[bytes], *, ends: bool) -> None:
        self._answers = answers
        self._ends = ends
        self._over = asyncio.Event()
        self.requests: list[bytes] = []
        self.tasks: list[asyncio.Task[None] | None] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
            self.requests.append(head + await reader.readexactly(length))
            writer.write(self._answers[min(len(self.requests), len(self._answers)) - 1])
            await writer.drain()
            if not self._ends:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes, ends: bool = True) -> AsyncGenerator[tuple[Server, str]]:
    served = Server(list(answers), ends=ends)
    server = await asyncio.start_server(served.answer, "127.0.0.1", 0)
    try:
        yield served, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*(task for task in served.tasks if task), return_exceptions=True)


@asynccontextmanager
async def starting(address: str, **options: Any) -> AsyncGenerator[ConfigClient]:
    """Start a client that need not get anything."""
    configs = client_of(address, start_timeout=30.0, **options)
    task = asyncio.create_task(configs.start())
    try:
        yield configs
    finally:
        await configs.close()
        await asyncio.wait((task,))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.client.engine.MOST_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal("proxy.example"), "PERMISSION_DENIED: no"),
        (page("403 Forbidden"), "HTTP 403"),
        (page("502 Bad Gateway"), "HTTP 502"),
        (page("200 OK"), "text/html"),
        (page("307 Temporary Redirect", "Location: http://127.0.0.1:9/\r\n"), "redirect"),
        (page("301 Moved", "Location: /elsewhere\r\n"), "redirect"),
        (b"", "UNAVAILABLE"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "UNAVAILABLE"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "UNAVAILABLE"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "UNAVAILABLE"),
        (OK + b"data: {\n\n", "cannot be read"),
        (OK + b"data: \xff\n\n", "cannot be read"),
        (OK + b'data: {"events": 5}\n\n', "cannot be read"),
        (OK + b'data: {"events": [{"effect": "EFFECT_SET"}]}\n\n', "no message of a watch"),
        (OK + OPENED + SYNCED[:-5], "ended the watch"),
        (OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"fff\r\n" + OPENED, "UNAVAILABLE"),
    ],
)
async def test_an_end_that_is_not_of_the_service_is_tried_again(answer: bytes, said: str) -> None:
    async with serving(answer) as (server, address), starting(address) as configs:
        await until(lambda: len(server.requests) >= 2)
        assert said in configs.status.last_error
        assert (configs.status.stopped, configs.status.is_ready) == ("", False)
    assert {request.split(b" ")[1] for request in server.requests} == {b"/api/v1/configurations:watch"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"\x1f\x8b\x08\n", "compressed (gzip)"),
        (OK + b"data: secret \xff\n\n", "not UTF-8"),
        (OK + b'data: {"revision": "secret"}\n\n', "cannot be read"),
        (refusal("proxy.example", message="no\nERROR " + "x" * 100_000), "PERMISSION_DENIED: no ERROR xxx"),
        (b"HTTP/1.1 x\r\n" + b"x" * 10_000 + b"\r\n", "UNAVAILABLE"),
        (b"x" * 60_000 + b"\r\n", "UNAVAILABLE"),
    ],
)
async def test_an_error_is_one_short_line_without_contents(answer: bytes, said: str) -> None:
    async with serving(answer) as (server, address), starting(address) as configs:
        await until(lambda: len(server.requests) >= 2)
        assert said in configs.status.last_error
        assert len(configs.status.last_error) <= 500
        assert "\n" not in configs.status.last_error
        assert "secret" not in configs.status.last_error


async def test_a_file_for_tls_that_is_missing_is_named(tmp_path: Path) -> None:
    tls = Tls(authority=tmp_path / "missing.pem")
    async with serving(OK) as (_, address), starting(address.replace("http:", "https:"), tls=tls) as configs:
        await until(lambda: "missing.pem" in configs.status.last_error)


async def test_a_refusal_of_the_service_is_final() -> None:
    async with serving(refusal("configsvc")) as (_, address), starting(address) as configs:
        with pytest.raises(StoppedError, match="PERMISSION_DENIED: no"):
            await anext(configs.changes())


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_error_whose_end_never_comes_is_tried_again_soon(
    monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", 1000.0)
    monkeypatch.setattr("configsvc.client.http_transport.ERROR_SECONDS", 0.1)
    answer = page("502 Bad Gateway", "Transfer-Encoding: chunked\r\n" if chunked else "")
    answer = answer.replace(b"<html>", b"6\r\n<html>\r\n") if chunked else answer
    async with serving(answer, ends=False) as (server, address), starting(address) as configs:
        await until(lambda: len(server.requests) >= 2)
        assert "the answer is HTTP 502, not of the service" in configs.status.last_error


async def test_a_refusal_of_the_service_is_final_although_its_end_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", 1000.0)
    monkeypatch.setattr("configsvc.client.http_transport.ERROR_SECONDS", 0.1)
    head, _, body = refusal("configsvc").partition(b"\r\n\r\n")
    answer = head.partition(b"\r\n")[0] + b"\r\n\r\n" + body
    async with serving(answer, ends=False) as (_, address), starting(address) as configs:
        with pytest.raises(StoppedError, match="PERMISSION_DENIED: no"):
            await anext(configs.changes())


async def test_a_watch_resumes_from_its_token_behind_the_path_of_a_proxy_and_half_an_event_is_nothing() -> None:
    half = b'event: change\ndata: {"resume_token":"e:2","revision":"2","events":[]}\n'
    async with (
        serving(OK + OPENED + SYNCED + half, OK + OPENED) as (server, address),
        starting(f"{address}/configs/", names=["limits"], token="a.b") as configs,
    ):
        await until(lambda: len(server.requests) >= 2)
        assert (configs["limits"], configs.status.revision) == ({"n": 1.0}, 1)
    first, second = (
        (head, json.loads(body)) for head, _, body in (one.partition(b"\r\n\r\n") for one in server.requests[:2])
    )
    for head, request in (first, second):
        assert head.startswith(b"POST /configs/api/v1/configurations:watch HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Bearer a.b" in head
        assert b"\r\nAccept-Encoding: identity" in head
        assert request["selectors"] == [{"application": {"name": "shop"}, "names": ["limits"]}]
    assert ("resume_token" in first[1], second[1]["resume_token"]) == (False, "e:1")


@pytest.mark.parametrize("silence", [b"", OK, OK + OPENED, OK + OPENED + b":\n\n" * 5])
async def test_a_proxy_that_holds_the_stream_back_is_noticed(silence: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", 0.2)
    answers = (silence.replace(b'"10s"', b'"0.050s"'), OK + OPENED + SYNCED)
    async with serving(*answers, ends=False) as (_, address), starting(address) as configs:
        await until(lambda: configs.status.is_ready)


async def test_a_token_with_other_characters_is_not_sent_and_not_shown() -> None:
    async with serving(OK) as (server, address), starting(address, token=lambda: "secret\r\nX: y") as configs:
        await until(lambda: "no token" in configs.status.last_error)
        assert "secret" not in configs.status.last_error
    assert server.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_close_ends_everything_while_the_other_side_says_nothing(scheme: str) -> None:
    """At any time: in a handshake of TLS, before the answer."""
    threads = set(threading.enumerate())
    accepted = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await released.wait()
        writer.close()

    released = asyncio.Event()
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    configs = client_of(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", start_timeout=30.0)
    task = asyncio.create_task(configs.start())
    await accepted.wait()
    await until(lambda: any(one.name == "configsvc-stream" for one in threading.enumerate()))
    await configs.close()
    await asyncio.wait((task,))
    assert set(threading.enumerate()) <= threads
    released.set()
    server.close()


def hanging(release: threading.Event) -> Callable[..., Any]:
    """Return a look-up of names that hangs."""
    found = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        if host == "hangs.example":
            if more.get("flags"):
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            release.wait()
        return found("127.0.0.1", *arguments, **more)

    return look_up


async def test_a_name_service_that_hangs_holds_up_nobody_and_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", hanging(release))
    monkeypatch.setattr("configsvc.client.http_transport.CONNECT_SECONDS", 0.1)
    async with serving(OK + OPENED + SYNCED, ends=False) as (_, address):
        port = address.rpartition(":")[2]
        began = time.monotonic()
        with pytest.raises(NotReadyError, match="name hangs"):
            await client_of(f"http://hangs.example:{port}", start_timeout=1.0).start()
        assert time.monotonic() - began < 20
        assert sum(thread.name == "configsvc-names" for thread in threading.enumerate()) == 1
        release.set()
        async with client_of(f"http://hangs.example:{port}") as configs:
            assert configs["limits"] == {"n": 1.0}
    await until(lambda: not any(thread.name == "configsvc-names" for thread in threading.enumerate()))


async def test_an_address_that_does_not_answer_leaves_the_others_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full, socket.socket() as waiting:
        # Its queue is full, so that it swallows every further attempt.
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting.connect(full.getsockname())
        found = socket.getaddrinfo
        two = [*found("127.0.0.2", port, type=socket.SOCK_STREAM), *found("127.0.0.1", port, type=socket.SOCK_STREAM)]
        monkeypatch.setattr("configsvc.client.http_transport.CONNECT_SECONDS", 0.4)
        monkeypatch.setattr("configsvc.client.http_transport.Names._found", lambda *_: two)
        served = Server([OK + OPENED + SYNCED], ends=False)
        server = await asyncio.start_server(served.answer, "127.0.0.1", port)
        async with client_of(f"http://two.example:{port}") as configs:
            assert configs["limits"] == {"n": 1.0}
        server.close()
        await asyncio.gather(*(task for task in served.tasks if task))


async def test_connections_have_keepalive_as_those_of_grpc() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (found,) = socket.getaddrinfo(*server.getsockname(), type=socket.SOCK_STREAM)
        with await _connect(found) as connection:
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            shown = [connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
            idle, interval, count, user_timeout_ms = shown
    grpc = dict(_OPTIONS)
    assert idle * 1000 == grpc["grpc.keepalive_time_ms"]
    assert interval * count * 1000 <= grpc["grpc.keepalive_timeout_ms"]
    assert user_timeout_ms == grpc["grpc.keepalive_time_ms"] + grpc["grpc.keepalive_timeout_ms"]


async def test_nothing_of_grpc_is_imported_by_a_program_that_uses_http() -> None:
    program = """
import sys
from configsvc.client.blocking import ConfigClient
with ConfigClient(sys.argv[1], application="shop") as configs:
    print(configs["limits"], *(name for name in ("grpc", "google", "configapi") if name in sys.modules))
"""
    async with serving(OK + OPENED + SYNCED, ends=False) as (_, address):
        assert await run_program(program, address) == "{'n': 1.0}\n"
