"""Calls over gRPC, whatever carries them: from encoded requests to encoded answers or a status.

A call begins with its headers: so who makes it is known before its body is received.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, ClassVar, Protocol

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.status_pb2 import Status

from configsvc.api.methods import (
    Call,
    Method,
    Methods,
    StreamMethod,
    UnaryMethod,
    UploadMethod,
    Write,
    Writer,
    revocable,
)
from configsvc.api.pages import has_pages, paged
from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import InvalidRequestError, RateLimitedError, ResponseTooLargeError, Violation
from configsvc.domain.models import Origin
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.limits.bodies import Bodies
from configsvc.limits.quotas import Quota
from configsvc.wire.parsing import parsed

# The client may have to make a message, and its bytes need time: 4 MiB at 70 KB a second.
UPLOAD_MESSAGE_SECONDS = 60.0
# Smaller answers count as calls only, until they are sent.
SMALL_ANSWER_BYTES = 64 * 1024

Parse = Callable[[bytes], Any]
# An encoded answer, in the pieces that it consists of.
Answer = tuple[bytes, ...]


class Exchange(Protocol):
    """One call, as its transport has it."""

    # The errors with which the transport reports, from a write, that the client is gone.
    broken: ClassVar[tuple[type[Exception], ...]]

    @property
    def gone(self) -> bool:
        """True once the client has cancelled the call, or is gone."""
        ...

    def peer(self) -> str:
        """Return the client's address."""
        ...

    def connection_address(self) -> str:
        """Return the address of the other end of the connection, which may be a proxy's."""
        ...

    def trace_id(self) -> str:
        """Return the ID of the trace that the call belongs to; empty if there is none."""
        ...

    def credentials(self) -> Credentials:
        """Return what the authenticator verifies. Raises UnauthenticatedError."""
        ...

    def origin(self) -> Origin:
        """Return the client's address and the change request. Raises InvalidRequestError."""
        ...

    def when_done(self, callback: Callable[[Any], None], /) -> None:
        """Call back once the answer was sent, or the client is gone and all that the call began has ended."""
        ...

    def whole(self) -> bytes | None:
        """Return the request if it has arrived already."""
        ...

    async def receive(self) -> bytes | None:
        """Return the next request; None after the last. Raises CancelledError if the stream of requests broke off."""
        ...

    def open(self) -> Awaitable[None]:
        """Send the headers, which tell the client that the stream is open, before there is anything to send."""
        ...

    def writer(self) -> Writer:
        """Return the functions that send a message on the stream."""
        ...

    def patient_writer(self) -> Write:
        """Return the function that writes a message, and waits until the client can take it, however small it is."""
        ...


# Returns the answer, None after a stream of answers, or the status of a call that failed. Raises the error if there is
# nobody to tell.
Handler = Callable[[Exchange], Awaitable[Answer | Status | None]]


def handler_of(descriptor: MethodDescriptor, methods: Methods, servicer: object, bodies: Bodies) -> Handler:
    """Return the handler of one method of a servicer."""
    method, implementation = methods.of(descriptor), getattr(servicer, descriptor.name)
    if descriptor.client_streaming:
        return upload_handler(method, implementation)
    takes_bytes = descriptor.name in getattr(servicer, "TAKES_BYTES", ())
    parse = bytes if takes_bytes else partial(parsed, message_factory.GetMessageClass(descriptor.input_type))
    if descriptor.server_streaming:
        return stream_handler(method, bodies, parse, implementation)
    if has_pages(descriptor):
        implementation = paged(implementation, methods.epoch_for)
    lasts = descriptor.name in getattr(servicer, "LASTS", ())
    answer = revocable(method, implementation) if lasts else implementation
    return unary_handler(method, bodies, parse, answer)


def unary_handler(method: Method, bodies: Bodies, parse: Parse, answer: UnaryMethod) -> Handler:
    """Return the handler of a unary method."""
    # Bound once: every call takes these.
    in_flight, admit, succeed, changes_something = (
        method.in_flight,
        method.admit,
        method.succeed,
        method.changes_something,
    )

    async def handle(exchange: Exchange) -> Answer | Status:
        call = Call(exchange.peer, exchange.trace_id)
        in_flight.begin()
        exchange.when_done(in_flight.end)
        try:
            caller = await admit(call, exchange.credentials())
            if changes_something:
                caller = caller._replace(origin=exchange.origin())
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            body = exchange.whole()
            request = call.request = parse(
                await received_body(bodies, caller.quota, exchange) if body is None else body
            )
            answered = await answer(request, caller)
            pieces = answered if isinstance(answered, tuple) else (answered.SerializeToString(),)
            size = sum(map(len, pieces))
            if size > SMALL_ANSWER_BYTES:
                _check_size(size, method)
                if caller.quota:
                    caller.quota.hold_answer(size, exchange.when_done)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has an end too
            method.observe(call)
            return _failed(error, method, call, exchange)
        succeed(call)
        return pieces

    return handle


def _check_size(size: int, method: Method) -> None:
    """Check that clients will take an answer. What a call has changed cannot be taken back: it checks before."""
    if size > MAX_RESPONSE_BYTES and not method.changes_something:
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)


def upload_handler(method: Method, answer: UploadMethod) -> Handler:
    """Return the handler of a method that takes a stream of requests, which it parses itself, and answers once."""

    async def handle(exchange: Exchange) -> Answer | Status:
        call = Call(exchange.peer, exchange.trace_id)
        method.in_flight.begin()
        exchange.when_done(method.in_flight.end)
        try:
            caller = await method.admit(call, exchange.credentials())
            caller = caller._replace(origin=exchange.origin())
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            with method.revocable(caller) as revocable_caller:
                answered = (await answer(_requests(exchange), revocable_caller)).SerializeToString()
        except BaseException as error:  # noqa: BLE001  # a cancelled call has an end too
            method.observe(call)
            return _failed(error, method, call, exchange)
        method.succeed(call)
        return (answered,)

    return handle


async def _requests(exchange: Exchange) -> AsyncGenerator[bytes]:
    """Yield the requests of a stream. Raises CancelledError if it broke off."""
    while (request := await _next(exchange)) is not None:
        yield request


async def _next(exchange: Exchange) -> bytes | None:
    """Return the next message of an upload; None at its end. Raises RateLimitedError if it does not arrive in time."""
    try:
        async with asyncio.timeout(UPLOAD_MESSAGE_SECONDS):
            return await exchange.receive()
    except TimeoutError as error:
        text = f"the next message of the upload did not arrive within {UPLOAD_MESSAGE_SECONDS:g} s: upload again"
        raise RateLimitedError(text, retry_seconds=1.0) from error


async def received_body(bodies: Bodies, quota: Quota | None, exchange: Exchange) -> bytes:
    """Return the only request of a call. Raises RateLimitedError, InvalidRequestError or CancelledError."""
    slots = quota.slots.bodies if quota else None
    data = await bodies.receive(exchange.receive, exchange.connection_address, slots)
    if data is None:
        raise InvalidRequestError((Violation(field="request", description="is missing: the call has no message"),))
    return data


def stream_handler(method: Method, bodies: Bodies, parse: Parse, answer: StreamMethod) -> Handler:
    """Return the handler of a method that answers with a stream of encoded messages."""

    async def handle(exchange: Exchange) -> Status | None:
        call = Call(exchange.peer, exchange.trace_id)
        method.in_flight.begin()
        exchange.when_done(method.in_flight.end)
        try:
            caller = (await method.admit(call, exchange.credentials()))._replace(peer=exchange.peer())
            body = exchange.whole()
            call.request = parse(await received_body(bodies, caller.quota, exchange) if body is None else body)
            await exchange.open()
            with method.revocable(caller) as revocable_caller:
                await answer(call.request, revocable_caller, exchange.writer())
        except BaseException as error:  # noqa: BLE001  # see above
            return _failed(error, method, call, exchange)
        method.end_stream(call)
        return None

    return handle


def _failed(error: BaseException, method: Method, call: Call, exchange: Exchange) -> Status:
    """Return the status of a call that failed. Raises the error, or CancelledError, if there is nobody to tell."""
    if isinstance(error, exchange.broken):
        gone = asyncio.CancelledError()
        _failed(gone, method, call, exchange)
        raise gone from error
    status = method.fail(error, call, gone=exchange.gone)
    if status is None:
        raise error
    return status
