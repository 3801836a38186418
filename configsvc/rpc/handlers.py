"""One call, from its bytes to its status, its metrics and, if that is wanted, its line in the log."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from ulid import ULID

from configsvc.access.caller import Caller
from configsvc.api.permissions import Needed
from configsvc.app.metrics import InFlight, MethodMetrics
from configsvc.domain.errors import ConfigsvcError, InvalidRequestError, RateLimitedError, Violation
from configsvc.rpc.authentication import Context
from configsvc.rpc.errors import Failure, failure_of, internal_failure
from configsvc.rpc.gate import Gate
from configsvc.rpc.origins import origin_of
from configsvc.telemetry.logs import places_of
from configsvc.telemetry.refusals import DENIALS, Kind, Refusals, level_of

log = structlog.get_logger()

# A status waits behind the messages that its client does not read; a call that has failed does not stay for it.
STATUS_LIMIT_SECONDS = 5.0

AnyMessage = TypeVar("AnyMessage", bound=Message)

Parse = Callable[[bytes], Any]
UnaryMethod = Callable[[Any, Caller], Awaitable[Message | bytes]]
Write = Callable[[bytes], Awaitable[None]]
StreamMethod = Callable[[Any, Caller, Write], Awaitable[None]]
UploadMethod = Callable[[AsyncIterable[bytes], Caller], Awaitable[Message]]
UnaryHandler = Callable[[bytes, Context], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Context], Awaitable[None]]
UploadHandler = Callable[[AsyncIterable[bytes], Context], Awaitable[bytes]]


class Call:
    """One call, as far as it has come."""

    __slots__ = ("actor", "context", "request", "started")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.started = time.perf_counter()
        self.request: object = None
        # Empty until the caller is known.
        self.actor = ""

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.started


class Method:
    """One method of a service: whom it lets in, and what its calls leave behind in the log and the metrics, which is
    never their contents.
    """

    def __init__(
        self,
        name: str,
        gate: Gate,
        needed: Needed,
        metrics: MethodMetrics,
        in_flight: InFlight,
        refusals: Refusals,
        *,
        changes_something: bool,
    ) -> None:
        self.metrics = metrics
        self.in_flight = in_flight
        self._refusals = refusals
        self._name = name
        self.revocable = gate.revocable
        self._gate = gate
        self._needed = needed
        self._changes_something = changes_something
        self._level = logging.INFO if changes_something else logging.DEBUG
        # Asked once: a line that nobody wants costs the calls nothing.
        self.tells_success = log.is_enabled_for(self._level)

    async def let_in(self, call: Call) -> Caller:
        """Who calls.

        Raises UnauthenticatedError, RateLimitedError, PermissionDeniedError, DatabaseUnavailableError or
        InvalidRequestError.
        """
        gate = self._gate
        identity = gate.known(call.context) or await gate.identify(call.context)
        call.actor = identity.principal
        try:
            caller = gate.caller(identity)
        except RateLimitedError:
            await gate.slow_down()
            raise
        self._needed.check(caller)
        if self._changes_something:
            caller = replace(caller, origin=origin_of(call.context))
        return caller

    def tell_success(self, call: Call) -> None:
        """Logs a call that succeeded."""
        self._tell(self._level, "OK", call, call_id=str(ULID()))

    def tell_end(self, code: str, call: Call, **more: str) -> None:
        """Logs a call that was broken off, or a stream that ended."""
        self.metrics.count(code)
        self._tell(logging.INFO, code, call, **more)

    def tell_refusal(self, code: str, call: Call, reason: str = "", **more: str) -> None:
        """Logs a call that was refused, unless one like it was logged a moment ago."""
        self.metrics.count(code)
        who = call.actor or call.context.peer().rpartition(":")[0]
        if self._refusals.is_told(Kind(method=self._name, code=code, reason=reason, who=who)):
            self._tell(level_of(code), code, call, reason=reason, **more)

    def _tell(self, level: int, code: str, call: Call, **more: str) -> None:
        log.log(
            level,
            "call",
            method=self._name,
            code=code,
            duration_ms=round(call.seconds * 1000, 3),
            caller=call.actor,
            peer=call.context.peer(),
            request_id=getattr(call.request, "request_id", "")[:36],
            **more,
        )


# For callers that are not told apart.
_UNCOUNTED = nullcontext()


def unary_handler(method: Method, parse: Parse, answer: UnaryMethod) -> UnaryHandler:
    """Carries a unary method: bytes in, bytes out."""
    in_flight, metrics = method.in_flight, method.metrics

    async def handle(data: bytes, context: Context) -> bytes:
        call = Call(context)
        in_flight.begin()
        try:
            caller = await method.let_in(call)
            with caller.share or _UNCOUNTED:
                request = call.request = parse(data)
                answered = await answer(request, caller)
            response = answered if isinstance(answered, bytes) else answered.SerializeToString()
        except BaseException as error:
            metrics.observe(call.seconds)
            await _fail(error, method, call)
            raise
        finally:
            in_flight.end()
        metrics.codes["OK"] += 1
        metrics.observe(call.seconds)
        if method.tells_success:
            method.tell_success(call)
        return response

    return handle


def revocable(method: Method, answer: UnaryMethod) -> UnaryMethod:
    """The unary method, for calls that may last longer than the roles of their callers."""

    async def answer_while_allowed(request: Any, caller: Caller) -> Message | bytes:
        with method.revocable(caller) as revocable_caller:
            return await answer(request, revocable_caller)

    return answer_while_allowed


def upload_handler(method: Method, answer: UploadMethod) -> UploadHandler:
    """Carries a method that takes a stream of requests, which it parses itself, and answers once."""

    async def handle(requests: AsyncIterable[bytes], context: Context) -> bytes:
        call = Call(context)
        method.in_flight.begin()
        try:
            caller = await method.let_in(call)
            with caller.share or _UNCOUNTED, method.revocable(caller) as revocable_caller:
                response = (await answer(_whole(requests, context), revocable_caller)).SerializeToString()
        except BaseException as error:
            method.metrics.observe(call.seconds)
            await _fail(error, method, call)
            raise
        finally:
            method.in_flight.end()
        method.metrics.codes["OK"] += 1
        method.metrics.observe(call.seconds)
        if method.tells_success:
            method.tell_success(call)
        return response

    return handle


async def _whole(requests: AsyncIterable[bytes], context: Context) -> AsyncGenerator[bytes]:
    """The requests of a stream to its end. For grpcio, a stream that breaks off ends like any other; what tells the two
    apart is that then nothing can be sent any more.
    """
    async for request in requests:
        yield request
    try:
        await context.send_initial_metadata(())
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error
    if context.cancelled():
        raise asyncio.CancelledError


def stream_handler(method: Method, parse: Parse, answer: StreamMethod) -> StreamHandler:
    """Carries a method that answers with a stream of ready messages."""

    async def handle(data: bytes, context: Context) -> None:
        call = Call(context)
        method.in_flight.begin()
        try:
            caller = await method.let_in(call)
            call.request = parse(data)
            # The headers tell the client that the stream is open, before there is anything to say.
            await context.send_initial_metadata(())
            with method.revocable(caller) as revocable_caller:
                await answer(call.request, revocable_caller, context.write)
        except grpc.aio.InternalError as error:
            # How grpcio says that the client went away while a write waited for it.
            gone = asyncio.CancelledError()
            await _fail(gone, method, call)
            raise gone from error
        except BaseException as error:
            await _fail(error, method, call)
            raise
        finally:
            method.in_flight.end()
        method.tell_end("OK", call)

    return handle


def parsed(request_class: type[AnyMessage], data: bytes) -> AnyMessage:
    """The request that the bytes are. Raises InvalidRequestError."""
    try:
        return request_class.FromString(data)
    except DecodeError as error:
        raise malformed(request_class.DESCRIPTOR.full_name) from error


def malformed(message_name: str) -> InvalidRequestError:
    """The error of bytes that are not the message."""
    description = (
        f"is not a {message_name}: its bytes are malformed, a string is not UTF-8, or a google.protobuf.Struct is "
        "nested deeper than 32 levels"
    )
    return InvalidRequestError((Violation(field="request", description=description),))


async def _fail(error: BaseException, method: Method, call: Call) -> None:
    """Ends the call with the status of the error, or returns if it has none: the caller is gone."""
    call_id = str(ULID())
    context = call.context
    if isinstance(error, ConfigsvcError):
        failure = failure_of(error)
        code = failure.code.name
        # The text tells what was asked for, in names of the request alone.
        denied = {"denied": failure.message} if code in DENIALS else {}
        method.tell_refusal(code, call, call_id=call_id, reason=_cause(error), **denied)
        await _abort(context, failure)
    elif isinstance(error, Exception) and not context.cancelled() and not context.done():
        # The text of a database error may quote contents, so only its kind and place are logged.
        method.tell_end("INTERNAL", call, call_id=call_id, error=type(error).__name__)
        log.error("internal error", call_id=call_id, places=places_of(error))
        await _abort(context, internal_failure(call_id))
    elif call.actor:
        method.tell_end("CANCELLED", call, call_id=call_id)
    else:
        # Nobody is known yet: a stranger can do this without end.
        method.tell_refusal("CANCELLED", call, call_id=call_id)


async def _abort(context: Context, failure: Failure) -> None:
    try:
        async with asyncio.timeout(STATUS_LIMIT_SECONDS):
            await context.abort(failure.code, failure.message, failure.trailing_metadata)
    except TimeoutError as error:
        # grpcio resets the stream of a call that ends like this.
        raise asyncio.CancelledError from error
    except grpc.aio.InternalError as error:
        # How grpcio says that the client went away in this moment.
        raise asyncio.CancelledError from error


def _cause(error: ConfigsvcError) -> str:
    name = type(error).__name__
    return f"{name} from {type(error.__cause__).__name__}" if error.__cause__ else name
