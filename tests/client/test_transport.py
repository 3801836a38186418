"""Errors as the transport reads them, from servers that are not this service, too."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from configsvc.client import ConfigClient, NotReadyError, StoppedError, grpc_transport
from configsvc.client.grpc_transport import GrpcTransport
from configsvc.client.settings import Settings
from tests.client.clients import LIMIT_SECONDS, client_of, proxied, put, until
from tests.docs.test_guide import document
from tests.service import Service
from tests.storage.reading import Session

WATCH = "/configapi.v1.ConfigurationService/WatchConfigurations"


def details(domain: str, reason: str) -> bytes:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(domain=domain, reason=reason))
    return Status(details=[detail]).SerializeToString()


@asynccontextmanager
async def refused(code: grpc.StatusCode, trailers: bytes | None) -> AsyncGenerator[ConfigClient]:
    """Start a client of a server that ends each watch so."""

    async def end(request: bytes, context: Any) -> AsyncGenerator[bytes]:
        metadata = (("grpc-status-details-bin", trailers),) if trailers is not None else ()
        await context.abort(code, "no", trailing_metadata=metadata)
        yield b""

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(end)
    service, method = WATCH.strip("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    configs = client_of(f"127.0.0.1:{port}", start_timeout=30.0)
    starting = asyncio.create_task(configs.start())
    try:
        await until(lambda: configs.status.last_error or starting.done())
        yield configs
    finally:
        starting.cancel()
        await asyncio.wait((starting,))
        await server.stop(0)


@pytest.mark.parametrize("trailers", [None, b"", b"\xff\xff", details("proxy.example", "PERMISSION_DENIED")])
async def test_a_refusal_that_is_not_of_the_service_is_tried_again(trailers: bytes | None) -> None:
    async with refused(grpc.StatusCode.PERMISSION_DENIED, trailers) as configs:
        assert configs.status.last_error == "PERMISSION_DENIED: no"
        assert configs.status.stopped == ""


@pytest.mark.parametrize("kind", ["insecure_channel", "secure_channel"])
def test_channels_have_the_keepalive_of_the_guide(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = (line for line in document("docs/guide/clients.md").splitlines() if line.startswith("| Python and C++ |"))
    _, _, names, values, _ = row.split("|")
    numbers = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", values))
    promised = dict(zip(re.findall(r"`(.+?)`", names), numbers, strict=True))
    made, given = getattr(grpc, kind), list[tuple[str, int]]()

    def note(address: str, *arguments: Any) -> grpc.Channel:
        given.extend(arguments[-1])
        return made(address, *arguments)

    monkeypatch.setattr(grpc, kind, note)
    tls = kind == "secure_channel"
    GrpcTransport(Settings(address="localhost:1", application="shop", tls=tls))._channel().close()
    assert len(promised) == 4
    assert promised.items() <= dict(given).items()


async def test_a_connection_that_swallows_everything_is_noticed_by_keepalive_alone(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", 1000.0)
    sooner = {"grpc.keepalive_time_ms": 1000, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    options = tuple((dict(grpc_transport._OPTIONS) | sooner).items())
    monkeypatch.setattr(grpc_transport, "_OPTIONS", options)
    async with proxied(service.address) as (network, behind), client_of(behind) as configs:
        network.swallow()
        await put(psql, "limits", "{}")
        await until(lambda: "limits" in configs)


async def test_a_start_is_bounded_and_leaves_no_thread_while_the_name_server_does_not_answer() -> None:
    threads = set(threading.enumerate())
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        configs = client_of(f"dns://127.0.0.1:{silent.getsockname()[1]}/config.example:50051", start_timeout=0.5)
        async with asyncio.timeout(LIMIT_SECONDS):
            with pytest.raises(NotReadyError, match=r"nothing has arrived within 0\.5 s: no answer"):
                await configs.start()
        assert b"config" in silent.recv(512)
    assert set(threading.enumerate()) <= threads


async def test_a_refusal_of_the_service_is_final() -> None:
    async with refused(grpc.StatusCode.PERMISSION_DENIED, details("configsvc", "PERMISSION_DENIED")) as configs:
        assert "PERMISSION_DENIED: no" in configs.status.stopped
        with pytest.raises(StoppedError):
            await anext(configs.changes())
