"""Methods over HTTP that answer with a stream, or take one."""

from collections.abc import AsyncGenerator
from typing import Any

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.api.methods import Method, StreamMethod, UploadMethod
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.limits.bodies import Bodies
from configsvc.web.binding import text_of
from configsvc.web.calls import Handler, admit, begin, class_of, fail, read_request
from configsvc.web.errors import error_body, error_headers
from configsvc.web.events import Frames, StreamWriter
from configsvc.web.exchange import Exchange
from configsvc.web.messages import json_text
from configsvc.web.origins import OriginReader
from configsvc.web.polling import PollMethod, is_polled, poll_handler
from configsvc.web.requests import RequestReader
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

MAX_LINE_BYTES = 4 * 1024 * 1024


def watch_handler(
    method: Method, read: OriginReader, bodies: Bodies, frames: Frames, answer: StreamMethod, poll: PollMethod
) -> Handler:
    """Return the handler of watches, which answers with a stream, or once if the client asks to wait."""
    stream = stream_handler(method, read, bodies, frames, answer)
    once = poll_handler(method, read, bodies, frames, poll)

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        is_once = is_polled(exchange) and exchange.scope["method"] != "HEAD"
        await (once if is_once else stream)(exchange, route, variables)

    return handle


def stream_handler(method: Method, read: OriginReader, bodies: Bodies, frames: Frames, answer: StreamMethod) -> Handler:
    """Return the handler of a method that answers with a stream."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        if exchange.scope["method"] == "HEAD":
            await _refuse_head(exchange)
            return
        call = begin(method, read, exchange)
        writer = StreamWriter(exchange, frames, class_of(route.method.output_type))
        try:
            caller = (await admit(method, call, read, exchange))._replace(peer=read.peer(exchange.scope))
            request = call.request = await read_request(bodies, caller, read, exchange, route, variables)
            resume(request, exchange)
            async with writer.attended():
                with method.revocable(caller) as revocable_caller:
                    await answer(request, revocable_caller, writer.write)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            await fail(error, method, call, exchange, writer)
            return
        method.end_stream(call)
        await writer.end()

    return handle


async def _refuse_head(exchange: Exchange) -> None:
    """Refuse to open a stream for headers alone, which would be closed again at once."""
    status = Status(code=Code.UNIMPLEMENTED, message="HEAD has no answer here: this path answers GET with a stream")
    await exchange.answer(405, error_body(status), [*error_headers(status), (b"allow", b"GET, POST")])


def resume(request: Any, exchange: Exchange) -> None:
    """Set the start of a watch that a client resumes as the event stream specification says.

    Raises InvalidRequestError if the request has another start.
    """
    token = exchange.header(b"last-event-id")
    if token is None or "resume_token" not in request.DESCRIPTOR.fields_by_name:
        return
    start = request.WhichOneof("start")
    if start is not None and (start != "resume_token" or request.resume_token != token):
        description = f"is another start than the parameter {start}: send one of them"
        raise InvalidRequestError((Violation(field="last-event-id", description=description),))
    request.resume_token = token


def upload_handler(method: Method, read: OriginReader, answer: UploadMethod) -> Handler:
    """Return the handler of a method that takes a stream of JSON lines and answers once."""

    async def handle(exchange: Exchange, route: Route, _variables: Variables) -> None:
        call = begin(method, read, exchange)
        try:
            caller = await admit(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            with method.revocable(caller) as revocable_caller:
                answered = await answer(_uploaded(exchange, route), revocable_caller)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(200, json_text(answered).encode(), [])

    return handle


async def _uploaded(exchange: Exchange, route: Route) -> AsyncGenerator[bytes]:
    """Yield the encoded messages of the lines of a body."""
    async for line in _lines(exchange):
        if line.strip():
            yield _message_of(line, route).SerializeToString()


async def _lines(exchange: Exchange) -> AsyncGenerator[bytes]:
    kept = b""
    async for chunk in exchange.chunks():
        *whole, kept = (kept + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(kept) > MAX_LINE_BYTES:
            raise InvalidRequestError(
                (Violation(field="body", description=f"has a line of more than {MAX_LINE_BYTES} bytes"),)
            )
    yield kept


def _message_of(line: bytes, route: Route) -> Message:
    message = class_of(route.method.input_type)()
    reader = RequestReader(message)
    reader.read_json(text_of(line), "")
    reader.finish()
    return message
