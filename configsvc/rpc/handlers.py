"""Calls over gRPC: from bytes to an answer or a status.

To gRPC, each method takes a stream of requests: so a call begins with its headers, and who makes it is known before its
body is received.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from configsvc.api.methods import Call, Method, StreamMethod, UnaryMethod, UploadMethod
from configsvc.domain.errors import InvalidRequestError, RateLimitedError, ResponseTooLargeError, Violation
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.limits.bodies import Bodies
from configsvc.limits.quotas import Quota
from configsvc.rpc.compression import exempt, uncompressed
from configsvc.rpc.credentials import CallReader, Context, trace_id
from configsvc.rpc.failures import Failure, failure_of
from configsvc.telemetry.calls import InFlight

# A status waits behind the messages that its client does not read; a failed call gives up after this time.
STATUS_LIMIT_SECONDS = 5.0
# The client may have to make a message, and its bytes need time: 4 MiB at 70 KB a second.
UPLOAD_MESSAGE_SECONDS = 60.0
# Smaller answers count as calls only, until they are sent.
SMALL_ANSWER_BYTES = 64 * 1024

Parse = Callable[[bytes], Any]
Requests = AsyncIterable[bytes]
AnswerHandler = Callable[[Requests, Context], Awaitable[bytes]]
StreamHandler = Callable[[Requests, Context], Awaitable[None]]


def unary_handler(method: Method, read: CallReader, bodies: Bodies, parse: Parse, answer: UnaryMethod) -> AnswerHandler:
    """Return the handler of a unary method: bytes in, bytes out."""
    # Bound once: every call takes these.
    in_flight, admit, succeed, changes_something = (
        method.in_flight,
        method.admit,
        method.succeed,
        method.changes_something,
    )

    async def handle(_: Requests, context: Context) -> bytes:
        call = Call(partial(read.peer, context), partial(trace_id, context))
        _count(in_flight, context)
        try:
            caller = await admit(call, read.credentials(context))
            if changes_something:
                caller = caller._replace(origin=read.origin(context))
            if caller.quota:
                caller.quota.begin_call(context.add_done_callback)
            request = call.request = parse(await received_body(bodies, caller.quota, context))
            answered = await answer(request, caller)
            response = b"".join(answered) if isinstance(answered, tuple) else answered.SerializeToString()
            if len(response) > SMALL_ANSWER_BYTES:
                _check_size(response, method)
                if caller.quota:
                    caller.quota.hold_answer(len(response), context.add_done_callback)
        except BaseException as error:
            method.observe(call)
            await _fail(error, method, call, context)
            raise
        succeed(call)
        exempt(context, response)
        return response

    return handle


def _check_size(response: bytes, method: Method) -> None:
    """Check that clients will take an answer. What a call has changed cannot be taken back: it checks before."""
    if len(response) > MAX_RESPONSE_BYTES and not method.changes_something:
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)


def upload_handler(method: Method, read: CallReader, answer: UploadMethod) -> AnswerHandler:
    """Return the handler of a method that takes a stream of requests, which it parses itself, and answers once."""

    async def handle(requests: Requests, context: Context) -> bytes:
        call = Call(partial(read.peer, context), partial(trace_id, context))
        _count(method.in_flight, context)
        try:
            caller = await method.admit(call, read.credentials(context))
            caller = caller._replace(origin=read.origin(context))
            if caller.quota:
                caller.quota.begin_call(context.add_done_callback)
            with method.revocable(caller) as revocable_caller:
                response = (await answer(_whole(requests, context), revocable_caller)).SerializeToString()
        except BaseException as error:
            method.observe(call)
            await _fail(error, method, call, context)
            raise
        method.succeed(call)
        exempt(context, response)
        return response

    return handle


def _count(in_flight: InFlight, context: Context) -> None:
    """Count a call until its answer is sent, which is after its handler has returned."""
    in_flight.begin()
    # The stub accepts no function.
    sent: Any = in_flight.end
    context.add_done_callback(sent)


async def _whole(requests: Requests, context: Context) -> AsyncGenerator[bytes]:
    """Yield the requests of a stream. Raises CancelledError if it broke off.

    To grpcio, a stream that breaks off ends like any other; the difference is that then nothing can be sent any more.
    """
    messages = aiter(requests)
    while (request := await _next(messages)) is not None:
        yield request
    await check_connected(context)


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    """Return the next message of an upload; None at its end. Raises RateLimitedError if it does not arrive in time."""
    try:
        async with asyncio.timeout(UPLOAD_MESSAGE_SECONDS):
            return await anext(messages, None)
    except TimeoutError as error:
        text = f"the next message of the upload did not arrive within {UPLOAD_MESSAGE_SECONDS:g} s: upload again"
        raise RateLimitedError(text, retry_seconds=1.0) from error


async def check_connected(context: Context) -> None:
    """Raise CancelledError if the stream of requests broke off."""
    try:
        await context.send_initial_metadata(())
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error
    if context.cancelled():
        raise asyncio.CancelledError


async def received_body(bodies: Bodies, quota: Quota | None, context: Context) -> bytes:
    """Return the only request of a call. Raises RateLimitedError, InvalidRequestError or CancelledError."""
    slots = quota.slots.bodies if quota else None
    # grpcio's types do not have the end of the stream.
    data: Any = await bodies.receive(context.read, context.peer, slots)
    if data is grpc.aio.EOF:
        await check_connected(context)
        raise InvalidRequestError((Violation(field="request", description="is missing: the call has no message"),))
    return data


def stream_handler(
    method: Method, read: CallReader, bodies: Bodies, parse: Parse, answer: StreamMethod
) -> StreamHandler:
    """Return the handler of a method that answers with a stream of encoded messages."""

    async def handle(_: Requests, context: Context) -> None:
        call = Call(partial(read.peer, context), partial(trace_id, context))
        _count(method.in_flight, context)
        try:
            caller = (await method.admit(call, read.credentials(context)))._replace(peer=read.peer(context))
            call.request = parse(await received_body(bodies, caller.quota, context))
            # The headers tell the client that the stream is open, before there is anything to send.
            await context.send_initial_metadata(())
            with method.revocable(caller) as revocable_caller:
                await answer(call.request, revocable_caller, uncompressed(context))
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
