"""Calls in bytes by a gRPC client that raises errors: for single calls, and to check an answer once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from bench.loads.messages import Call
from bench.peers.provider import HEADER

LIMIT_SECONDS = 30.0
RETRYABLE = (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE)


def method(channel: grpc.aio.Channel, path: str, authorization: str = "") -> Callable[[bytes], Awaitable[bytes]]:
    """Return a unary method, with an authorization unless it is empty. The method raises AioRpcError."""
    send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    metadata = ((HEADER, authorization),) if authorization else None
    return lambda request: send(request, metadata=metadata, timeout=LIMIT_SECONDS)


async def call_again(call: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return the answer to a call, after retries as long as its error has RetryInfo.

    Raises AioRpcError for any other error, and TimeoutError.
    """
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                pause_seconds = _pause_seconds(error)
                if pause_seconds is None:
                    raise
            await asyncio.sleep(pause_seconds)


def _pause_seconds(error: grpc.aio.AioRpcError) -> float | None:
    """Return the seconds to wait before a retry; None if the error permits no retry."""
    if error.code() not in RETRYABLE:
        return None
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    retry = RetryInfo()
    asked = any(detail.Unpack(retry) for detail in Status.FromString(details).details)
    return retry.retry_delay.ToTimedelta().total_seconds() if asked else None


async def call_once(address: str, call: Call, authorization: str = "") -> bytes:
    """Return the answer to one call. Raises AioRpcError."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await method(channel, call.path, authorization)(call.request)


@asynccontextmanager
async def stream(address: str, call: Call) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Yield the messages of a server-streaming call."""
    async with grpc.aio.insecure_channel(address) as channel:
        open_stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(call.path)
        messages = open_stream(call.request, timeout=LIMIT_SECONDS)
        yield aiter(messages)
        messages.cancel()
