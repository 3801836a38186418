"""One call, from its bytes to its status, its metrics and, if that is wanted, its line in the log."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from ulid import ULID

from configsvc.domain.errors import ConfigsvcError, InvalidRequestError, Violation
from configsvc.logs import places_of
from configsvc.metrics import InFlight, MethodMetrics
from configsvc.rpc.errors import Failure, failure_of, internal_failure

log = structlog.get_logger()

AnyMessage = TypeVar("AnyMessage", bound=Message)
Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls."""

    actor: str


# Until callers can prove who they are.
ANONYMOUS = Caller(actor="anonymous")

Parse = Callable[[bytes], Any]
UnaryMethod = Callable[[Any, Caller], Awaitable[Message | bytes]]
Write = Callable[[bytes], Awaitable[None]]
StreamMethod = Callable[[Any, Caller, Write], Awaitable[None]]
UploadMethod = Callable[[AsyncIterable[bytes], Caller], Awaitable[Message]]
UnaryHandler = Callable[[bytes, Context], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Context], Awaitable[None]]
UploadHandler = Callable[[AsyncIterable[bytes], Context], Awaitable[bytes]]


class Method:
    """One method of a service, and what its calls leave behind in the log and the metrics: never their contents."""

    def __init__(self, name: str, metrics: MethodMetrics, in_flight: InFlight, *, changes_something: bool) -> None:
        self.metrics = metrics
        self.in_flight = in_flight
        self._name = name
        self._level = logging.INFO if changes_something else logging.DEBUG
        # Asked once: a line that nobody wants costs the calls nothing.
        self.tells_success = log.is_enabled_for(self._level)

    def tell_success(self, started: float, request: object, context: Context) -> None:
        """Logs a call that began at the time of perf_counter and succeeded."""
        self._tell(self._level, "OK", started, request, context, call_id=str(ULID()))

    def tell_end(self, code: str, started: float, request: object, context: Context, **more: str) -> None:
        """Logs a call that failed, or a stream that ended."""
        self.metrics.count(code)
        self._tell(logging.INFO, code, started, request, context, **more)

    def _tell(self, level: int, code: str, started: float, request: object, context: Context, **more: str) -> None:
        log.log(
            level,
            "call",
            method=self._name,
            code=code,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            caller=ANONYMOUS.actor,
            peer=context.peer(),
            request_id=getattr(request, "request_id", "")[:36],
            **more,
        )


def unary_handler(method: Method, parse: Parse, call: UnaryMethod) -> UnaryHandler:
    """Carries a unary method: bytes in, bytes out."""
    in_flight, metrics = method.in_flight, method.metrics

    async def handle(data: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        in_flight.begin()
        request = None
        try:
            request = parse(data)
            answer = await call(request, ANONYMOUS)
            response = answer if isinstance(answer, bytes) else answer.SerializeToString()
        except BaseException as error:
            metrics.observe(time.perf_counter() - started)
            await _fail(error, method, started, request, context)
            raise
        finally:
            in_flight.end()
        metrics.codes["OK"] += 1
        metrics.observe(time.perf_counter() - started)
        if method.tells_success:
            method.tell_success(started, request, context)
        return response

    return handle


def upload_handler(method: Method, call: UploadMethod) -> UploadHandler:
    """Carries a method that takes a stream of requests, which it parses itself, and answers once."""

    async def handle(requests: AsyncIterable[bytes], context: Context) -> bytes:
        started = time.perf_counter()
        method.in_flight.begin()
        try:
            response = (await call(_whole(requests, context), ANONYMOUS)).SerializeToString()
        except BaseException as error:
            method.metrics.observe(time.perf_counter() - started)
            await _fail(error, method, started, None, context)
            raise
        finally:
            method.in_flight.end()
        method.metrics.codes["OK"] += 1
        method.metrics.observe(time.perf_counter() - started)
        if method.tells_success:
            method.tell_success(started, None, context)
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


def stream_handler(method: Method, parse: Parse, call: StreamMethod) -> StreamHandler:
    """Carries a method that answers with a stream of ready messages."""

    async def handle(data: bytes, context: Context) -> None:
        started = time.perf_counter()
        method.in_flight.begin()
        request = None
        try:
            request = parse(data)
            # The headers tell the client that the stream is open, before there is anything to say.
            await context.send_initial_metadata(())
            await call(request, ANONYMOUS, context.write)
        except grpc.aio.InternalError as error:
            # How grpcio says that the client went away while a write waited for it.
            gone = asyncio.CancelledError()
            await _fail(gone, method, started, request, context)
            raise gone from error
        except BaseException as error:
            await _fail(error, method, started, request, context)
            raise
        finally:
            method.in_flight.end()
        method.tell_end("OK", started, request, context)

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


async def _fail(error: BaseException, method: Method, started: float, request: object, context: Context) -> None:
    """Ends the call with the status of the error, or returns if it has none: the caller is gone."""
    call_id = str(ULID())
    if isinstance(error, ConfigsvcError):
        failure = failure_of(error)
        method.tell_end(failure.code.name, started, request, context, call_id=call_id, reason=_cause(error))
        await _abort(context, failure)
    elif isinstance(error, Exception) and not context.cancelled() and not context.done():
        # The text of a database error may quote contents, so only its kind and place are logged.
        method.tell_end("INTERNAL", started, request, context, call_id=call_id, error=type(error).__name__)
        log.error("internal error", call_id=call_id, places=places_of(error))
        await _abort(context, internal_failure(call_id))
    else:
        method.tell_end("CANCELLED", started, request, context, call_id=call_id)


async def _abort(context: Context, failure: Failure) -> None:
    try:
        await context.abort(failure.code, failure.message, failure.trailing_metadata)
    except grpc.aio.InternalError as error:
        # How grpcio says that the client went away in this moment.
        raise asyncio.CancelledError from error


def _cause(error: ConfigsvcError) -> str:
    name = type(error).__name__
    return f"{name} from {type(error.__cause__).__name__}" if error.__cause__ else name
