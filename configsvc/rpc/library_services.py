"""Handlers for the health and reflection servicers of grpcio.

With grpcio's own handlers, malformed bytes end a call with UNKNOWN, an exception text, and a traceback in the log.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from configsvc.api.statuses import status_of
from configsvc.domain.errors import ConfigsvcError, FaultyRequestError, RateLimitedError
from configsvc.limits.bodies import Bodies
from configsvc.rpc.credentials import Context
from configsvc.rpc.failures import failure_of
from configsvc.rpc.handlers import abort, received_body
from configsvc.wire.parsing import AnyMessage, parsed

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, Message]"


def unary_handler(
    behaviour: Callable[[Any, Context], Awaitable[Message]], request_class: type[Message], bodies: Bodies
) -> Handler:
    """Return the handler of a unary method."""

    async def handle(_: AsyncIterable[bytes], context: Context) -> Message:
        return await behaviour(await _request(request_class, bodies, context), context)

    return grpc.stream_unary_rpc_method_handler(handle, response_serializer=_serialized)


def stream_handler(
    behaviour: Callable[[Any, Context], Awaitable[None]], request_class: type[Message], bodies: Bodies
) -> Handler:
    """Return the handler of a method that writes its responses to the context."""

    async def handle(_: AsyncIterable[bytes], context: Context) -> None:
        await behaviour(await _request(request_class, bodies, context), context)

    return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialized)


def exchange_handler(
    behaviour: Callable[[AsyncIterable[Any], Context], AsyncIterable[Message]],
    request_class: type[Message],
    bodies: Bodies,
) -> Handler:
    """Return the handler of a method that answers each request of a stream."""

    async def requests_of(context: Context) -> AsyncGenerator[Message]:
        while (data := await _body(bodies, context)) is not grpc.aio.EOF:
            yield await _parsed(request_class, data, context)

    async def handle(_: AsyncIterable[bytes], context: Context) -> AsyncGenerator[Message]:
        async for answer in behaviour(requests_of(context), context):
            yield answer

    return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialized)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


async def _request(request_class: type[AnyMessage], bodies: Bodies, context: Context) -> AnyMessage:
    try:
        return parsed(request_class, await received_body(bodies, None, context))
    except ConfigsvcError as error:
        await abort(context, failure_of(status_of(error)))
        raise


async def _body(bodies: Bodies, context: Context) -> Any:
    try:
        return await bodies.receive(context.read, context.peer, None)
    except RateLimitedError as error:
        await abort(context, failure_of(status_of(error)))
        raise


async def _parsed(request_class: type[AnyMessage], data: bytes, context: Context) -> AnyMessage:
    try:
        return parsed(request_class, data)
    except FaultyRequestError as error:
        await abort(context, failure_of(status_of(error)))
        raise
