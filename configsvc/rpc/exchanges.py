"""Calls of grpcio as exchanges: requests, answers and statuses through the context of a call."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, ClassVar, TypeAlias

import grpc
from google.rpc.status_pb2 import Status

from configsvc.api.exchanges import Handler
from configsvc.api.methods import Write, Writer
from configsvc.domain.credentials import Credentials
from configsvc.domain.models import Origin
from configsvc.rpc.compression import exempt, uncompressed
from configsvc.rpc.credentials import CallReader, Context, trace_id
from configsvc.rpc.failures import Failure, failure_of

# A status waits behind the messages that its client does not read; a failed call gives up after this time.
STATUS_LIMIT_SECONDS = 5.0

Requests = AsyncIterable[bytes]
RpcHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class ContextExchange:
    """One call of grpcio."""

    __slots__ = ("_context", "_read", "_written")

    # grpcio raises it when the client went away while a write waited for it.
    broken: ClassVar[tuple[type[Exception], ...]] = (grpc.aio.InternalError,)

    def __init__(self, context: Context, read: CallReader) -> None:
        self._context = context
        self._read = read
        # True once something may have been sent.
        self._written = False

    @property
    def gone(self) -> bool:
        return self._context.cancelled() or self._context.done()

    def peer(self) -> str:
        return self._read.peer(self._context)

    def connection_address(self) -> str:
        return self._context.peer()

    def trace_id(self) -> str:
        return trace_id(self._context)

    def credentials(self) -> Credentials:
        return self._read.credentials(self._context)

    def origin(self) -> Origin:
        return self._read.origin(self._context)

    def when_done(self, callback: Callable[[Any], None], /) -> None:
        # The stub accepts no function.
        done: Any = callback
        self._context.add_done_callback(done)

    def whole(self) -> bytes | None:
        # Nothing has asked grpcio for the request.
        return None

    async def receive(self) -> bytes | None:
        # grpcio's types do not have the end of the stream.
        data: Any = await self._context.read()
        if data is grpc.aio.EOF:
            if not self._written:
                await self._check_connected()
            return None
        return data

    async def _check_connected(self) -> None:
        """Raise CancelledError if the stream of requests broke off.

        To grpcio, it ends like any other; the difference is that then nothing can be sent any more.
        """
        try:
            await self._context.send_initial_metadata(())
        except grpc.aio.InternalError as error:
            raise asyncio.CancelledError from error
        if self._context.cancelled():
            raise asyncio.CancelledError

    def open(self) -> Awaitable[None]:
        self._written = True
        return self._context.send_initial_metadata(())

    def writer(self) -> Writer:
        # grpcio tells only by waiting that a client can take more.
        return Writer(write=self.patient_writer(), offer=None)

    def patient_writer(self) -> Write:
        self._written = True
        return uncompressed(self._context)


def unary_rpc(handler: Handler, read: CallReader) -> RpcHandler:
    """Return the handler of a method that answers once.

    To gRPC, it takes a stream of requests: so a call begins with its headers. It has no deserializer and no serializer,
    as grpcio answers a request that it cannot parse with UNKNOWN.
    """

    async def handle(_: Requests, context: Context) -> bytes:
        result = await handler(ContextExchange(context, read))
        if isinstance(result, tuple):
            response = b"".join(result)
            exempt(context, response)
            return response
        assert result is not None
        await _fail(result, context)
        raise AssertionError

    return grpc.stream_unary_rpc_method_handler(handle)


def stream_rpc(handler: Handler, read: CallReader) -> RpcHandler:
    """Return the handler of a method that answers with a stream."""

    async def handle(_: Requests, context: Context) -> None:
        result = await handler(ContextExchange(context, read))
        if isinstance(result, Status):
            await _fail(result, context)

    return grpc.stream_stream_rpc_method_handler(handle)


async def _fail(status: Status, context: Context) -> None:
    await abort(context, failure_of(status))


async def abort(context: Context, failure: Failure) -> None:
    """End the call. Raises grpcio's AbortError, or CancelledError if the client is gone or does not read."""
    try:
        async with asyncio.timeout(STATUS_LIMIT_SECONDS):
            await context.abort(failure.code, failure.message, failure.trailing_metadata)
    except TimeoutError as error:
        # grpcio resets the stream of a call that ends like this.
        raise asyncio.CancelledError from error
    except grpc.aio.InternalError as error:
        # grpcio raises it when the client went away in this moment.
        raise asyncio.CancelledError from error
