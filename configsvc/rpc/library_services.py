"""Handlers for health and reflection, which clients may call without credentials.

With grpcio's own handlers, malformed bytes end a call with UNKNOWN, an exception text, and a traceback in the log.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from configsvc.api.draining import Drain
from configsvc.api.statuses import status_of
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.peers import host_of
from configsvc.limits.bodies import Bodies
from configsvc.limits.streams import HostStreams
from configsvc.rpc.credentials import Context
from configsvc.rpc.failures import failure_of
from configsvc.rpc.handlers import abort, received_body
from configsvc.wire.parsing import AnyMessage, parsed

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, Message]"
Write = Callable[[Message], Awaitable[None]]

# A client that has not read a message by then loses its place among the streams.
UNREAD_SECONDS = 5.0


def unary_handler(
    behaviour: Callable[[Any, Context], Awaitable[Message]], request_class: type[Message], bodies: Bodies
) -> Handler:
    """Return the handler of a unary method."""

    async def handle(_: AsyncIterable[bytes], context: Context) -> Message:
        answer = await behaviour(await _request(request_class, bodies, context), context)
        context.disable_next_message_compression()
        return answer

    return grpc.stream_unary_rpc_method_handler(handle, response_serializer=_serialized)


class LibraryStreams:
    """The streams of health and reflection: limited for each host, and ended when the server ends."""

    def __init__(self, drain: Drain, bodies: Bodies, peer: Callable[[Context], str]) -> None:
        self._drain = drain
        self._bodies = bodies
        self._peer = peer
        self._hosts = HostStreams()

    def stream_handler(
        self, behaviour: Callable[[Any, Write], Awaitable[None]], request_class: type[Message]
    ) -> Handler:
        """Return the handler of a method that writes its responses."""

        async def handle(_: AsyncIterable[bytes], context: Context) -> None:
            request = await _request(request_class, self._bodies, context)
            async with self._opened(context):
                await behaviour(request, partial(_write, context))

        return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialized)

    def exchange_handler(
        self, behaviour: Callable[[AsyncIterable[Any], Context], AsyncIterable[Message]], request_class: type[Message]
    ) -> Handler:
        """Return the handler of a method that answers each request of a stream."""

        async def requests_of(context: Context) -> AsyncGenerator[Message]:
            # grpcio's types do not have the end of the stream.
            read: Any = context.read
            while (data := await self._bodies.receive(read, context.peer, None)) is not grpc.aio.EOF:
                yield parsed(request_class, data)

        async def handle(_: AsyncIterable[bytes], context: Context) -> None:
            async with self._opened(context):
                async for answer in behaviour(requests_of(context), context):
                    await _write(context, answer)

        return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialized)

    @asynccontextmanager
    async def _opened(self, context: Context) -> AsyncGenerator[None]:
        """Run a stream. Its errors become its status."""
        try:
            with self._hosts.opened(host_of(self._peer(context))):
                async with self._drain.endless():
                    yield
        except ConfigsvcError as error:
            await abort(context, failure_of(status_of(error)))
        except grpc.aio.InternalError as error:
            # grpcio raises it when the client went away while a write waited for it.
            raise asyncio.CancelledError from error


async def _write(context: Context, message: Any) -> None:
    """Write a message. Raises CancelledError if the client does not read it in time."""
    try:
        async with asyncio.timeout(UNREAD_SECONDS):
            context.disable_next_message_compression()
            await context.write(message)
    except TimeoutError as error:
        # Nothing else can be done: grpcio keeps the stream until its client reads or hangs up.
        raise asyncio.CancelledError from error


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


async def _request(request_class: type[AnyMessage], bodies: Bodies, context: Context) -> AnyMessage:
    try:
        return parsed(request_class, await received_body(bodies, None, context))
    except ConfigsvcError as error:
        await abort(context, failure_of(status_of(error)))
        raise
