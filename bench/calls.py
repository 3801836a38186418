"""Calls by a client that knows errors, in bytes: for what is done once, to see that it is answered as it should be."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from bench.messages import Call

LIMIT_SECONDS = 30.0


def method(channel: grpc.aio.Channel, path: str) -> Callable[[bytes], Awaitable[bytes]]:
    """A unary method. It raises AioRpcError."""
    send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return lambda request: send(request, timeout=LIMIT_SECONDS)


async def call_once(address: str, call: Call) -> bytes:
    """The answer to one call. Raises AioRpcError."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await method(channel, call.path)(call.request)


@asynccontextmanager
async def stream(address: str, call: Call) -> AsyncGenerator[AsyncIterator[bytes]]:
    """The messages of a call that answers with a stream."""
    async with grpc.aio.insecure_channel(address) as channel:
        open_stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(call.path)
        messages = open_stream(call.request, timeout=LIMIT_SECONDS)
        yield aiter(messages)
        messages.cancel()


async def serving(address: str) -> None:
    """Returns when the server's health is SERVING."""
    call = Call(path="/grpc.health.v1.Health/Watch", request=HealthCheckRequest().SerializeToString())
    async with asyncio.timeout(LIMIT_SECONDS), stream(address, call) as responses:
        async for response in responses:
            if HealthCheckResponse.FromString(response).status == HealthCheckResponse.SERVING:
                return
