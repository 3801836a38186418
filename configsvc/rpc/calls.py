"""One call, from its bytes to its status and its line in the log."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from ulid import ULID

from configsvc.domain.errors import ConfigsvcError, InvalidRequestError, Violation
from configsvc.rpc.errors import Failure, failure_of, internal_failure

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[bytes, bytes]

# Until callers can prove who they are.
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls."""

    actor: str


UnaryMethod = Callable[[Any, Caller], Awaitable[Message]]
Write = Callable[[bytes], Awaitable[None]]
StreamMethod = Callable[[Any, Caller, Write], Awaitable[None]]
UnaryHandler = Callable[[bytes, Context], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Context], Awaitable[None]]


class InFlight:
    """Counts the calls under way."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def __call__(self) -> Generator[None]:
        self._count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when no call is under way."""
        await self._idle.wait()


class _Record:
    """What the log says of one call: never its contents."""

    def __init__(self, method: str, context: Context) -> None:
        self.call_id = str(ULID())
        self._method = method
        self._context = context
        self._started = time.perf_counter()
        self.caller = Caller(actor=ANONYMOUS)
        self.request_id = ""

    def end(self, code: str, **more: str | int) -> None:
        log.info(
            "call",
            method=self._method,
            code=code,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 3),
            caller=self.caller.actor,
            peer=self._context.peer(),
            request_id=self.request_id,
            call_id=self.call_id,
            **more,
        )


def unary_handler(method: str, request_class: type[Message], call: UnaryMethod, in_flight: InFlight) -> UnaryHandler:
    """Carries a unary method: bytes in, bytes out."""

    async def handle(data: bytes, context: Context) -> bytes:
        with in_flight():
            record = _Record(method, context)
            try:
                request = _parsed(request_class, data, record)
                response = (await call(request, record.caller)).SerializeToString()
            except BaseException as error:
                await _fail(error, record, context)
                raise
            record.end("OK")
            return response

    return handle


def stream_handler(method: str, request_class: type[Message], call: StreamMethod, in_flight: InFlight) -> StreamHandler:
    """Carries a method that answers with a stream of ready messages."""

    async def handle(data: bytes, context: Context) -> None:
        with in_flight():
            record = _Record(method, context)
            try:
                request = _parsed(request_class, data, record)
                # The headers tell the client that the stream is open, before there is anything to say.
                await context.send_initial_metadata(())
                await call(request, record.caller, context.write)
            except grpc.aio.InternalError as error:
                # How grpcio says that the client went away while a write waited for it.
                record.end("CANCELLED")
                raise asyncio.CancelledError from error
            except BaseException as error:
                await _fail(error, record, context)
                raise
            record.end("OK")

    return handle


def _parsed(request_class: type[Message], data: bytes, record: _Record) -> Message:
    try:
        request = request_class.FromString(data)
    except DecodeError as error:
        description = (
            f"is not a {request_class.DESCRIPTOR.full_name}: its bytes are malformed, a string is not UTF-8, or a "
            "google.protobuf.Struct is nested deeper than 32 levels"
        )
        raise InvalidRequestError((Violation(field="request", description=description),)) from error
    record.request_id = getattr(request, "request_id", "")[:36]
    return request


async def _fail(error: BaseException, record: _Record, context: Context) -> None:
    """Ends the call with the status of the error, or returns if it has none: the caller is gone."""
    if isinstance(error, ConfigsvcError):
        failure = failure_of(error)
        record.end(failure.code.name, reason=_cause(error))
        await _abort(context, failure)
    elif isinstance(error, Exception) and not context.cancelled() and not context.done():
        # The text of a database error may quote contents, so only its kind and place are logged.
        record.end("INTERNAL", error=type(error).__name__)
        log.error("internal error", call_id=record.call_id, places=_places(error))
        await _abort(context, internal_failure(record.call_id))
    else:
        record.end("CANCELLED")


async def _abort(context: Context, failure: Failure) -> None:
    await context.abort(failure.code, failure.message, failure.trailing_metadata)


def _cause(error: ConfigsvcError) -> str:
    name = type(error).__name__
    return f"{name} from {type(error.__cause__).__name__}" if error.__cause__ else name


def _places(error: BaseException) -> list[str]:
    places: list[str] = []
    current: BaseException | None = error
    while current is not None:
        places.append(type(current).__name__)
        trace = current.__traceback__
        while trace is not None:
            places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno} {trace.tb_frame.f_code.co_name}")
            trace = trace.tb_next
        current = current.__cause__ or current.__context__
    return places
