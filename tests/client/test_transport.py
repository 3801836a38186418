"""Errors as the transport reads them, from servers that are not this service, too."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from configsvc.client import ConfigClient, StoppedError
from tests.client.clients import client_of, until

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


async def test_a_refusal_of_the_service_is_final() -> None:
    async with refused(grpc.StatusCode.PERMISSION_DENIED, details("configsvc", "PERMISSION_DENIED")) as configs:
        assert "PERMISSION_DENIED: no" in configs.status.stopped
        with pytest.raises(StoppedError):
            await anext(configs.changes())
