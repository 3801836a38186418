"""Calls over gRPC: from bytes to an answer or a status."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import grpc

from configsvc.api.methods import Call, Method, StreamMethod, UnaryMethod, UploadMethod
from configsvc.rpc.credentials import Context, ReadCredentials, origin_of
from configsvc.rpc.failures import Failure, failure_of
from configsvc.telemetry.calls import InFlight

# A status waits behind the messages that its client does not read; a failed call gives up after this time.
STATUS_LIMIT_SECONDS = 5.0

Parse = Callable[[bytes], Any]
UnaryHandler = Callable[[bytes, Context], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Context], Awaitable[None]]
UploadHandler = Callable[[AsyncIterable[bytes], Context], Awaitable[bytes]]

# For callers without a quota.
_UNCOUNTED = nullcontext()


def unary_handler(method: Method, read: ReadCredentials, parse: Parse, answer: UnaryMethod) -> UnaryHandler:
    """Return the handler of a unary method: bytes in, bytes out."""
    # Bound once: every call takes these.
    in_flight, admit, succeed, changes_something = (
        method.in_flight,
        method.admit,
        method.succeed,
        method.changes_something,
    )

    async def handle(data: bytes, context: Context) -> bytes:
        call = Call(context.peer)
        _count(in_flight, context)
        try:
            caller = await admit(call, read(context))
            if changes_something:
                caller = caller._replace(origin=origin_of(context))
            with caller.quota or _UNCOUNTED:
                request = call.request = parse(data)
                answered = await answer(request, caller)
            response = answered if isinstance(answered, bytes) else answered.SerializeToString()
        except BaseException as error:
            method.observe(call)
            await _fail(error, method, call, context)
            raise
        succeed(call)
        return response

    return handle


def upload_handler(method: Method, read: ReadCredentials, answer: UploadMethod) -> UploadHandler:
    """Return the handler of a method that takes a stream of requests, which it parses itself, and answers once."""

    async def handle(requests: AsyncIterable[bytes], context: Context) -> bytes:
        call = Call(context.peer)
        _count(method.in_flight, context)
        try:
            caller = await method.admit(call, read(context))
            caller = caller._replace(origin=origin_of(context))
            with caller.quota or _UNCOUNTED, method.revocable(caller) as revocable_caller:
                response = (await answer(_whole(requests, context), revocable_caller)).SerializeToString()
        except BaseException as error:
            method.observe(call)
            await _fail(error, method, call, context)
            raise
        method.succeed(call)
        return response

    return handle


def _count(in_flight: InFlight, context: Context) -> None:
    """Count a call until its answer is sent, which is after its handler has returned."""
    in_flight.begin()
    # The stub accepts no function.
    sent: Any = in_flight.end
    context.add_done_callback(sent)


async def _whole(requests: AsyncIterable[bytes], context: Context) -> AsyncGenerator[bytes]:
    """Yield the requests of a stream. Raises CancelledError if it broke off.

    To grpcio, a stream that breaks off ends like any other; the difference is that then nothing can be sent any more.
    """
    async for request in requests:
        yield request
    try:
        await context.send_initial_metadata(())
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error
    if context.cancelled():
        raise asyncio.CancelledError


def stream_handler(method: Method, read: ReadCredentials, parse: Parse, answer: StreamMethod) -> StreamHandler:
    """Return the handler of a method that answers with a stream of encoded messages."""

    async def handle(data: bytes, context: Context) -> None:
        call = Call(context.peer)
        _count(method.in_flight, context)
        try:
            caller = await method.admit(call, read(context))
            call.request = parse(data)
            # The headers tell the client that the stream is open, before there is anything to send.
            await context.send_initial_metadata(())
            with method.revocable(caller) as revocable_caller:
                await answer(call.request, revocable_caller, context.write)
        except grpc.aio.InternalError as error:
            # grpcio raises it when the client went away while a write waited for it.
            gone = asyncio.CancelledError()
            await _fail(gone, method, call, context)
            raise gone from error
        except BaseException as error:
            await _fail(error, method, call, context)
            raise
        method.end_stream(call)

    return handle


async def _fail(error: BaseException, method: Method, call: Call, context: Context) -> None:
    """End the call with the status of the error; return if it has none, because the caller is gone."""
    status = method.fail(error, call, gone=context.cancelled() or context.done())
    if status is not None:
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
