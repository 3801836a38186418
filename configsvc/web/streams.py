"""Methods over HTTP that answer with a stream, or take one."""

from collections.abc import AsyncGenerator

from google.protobuf.message import Message

from configsvc.api.methods import Method, StreamMethod, UploadMethod
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.limits.bodies import Bodies
from configsvc.web.binding import text_of
from configsvc.web.calls import Handler, admit, begin, class_of, fail, read_request
from configsvc.web.events import StreamWriter
from configsvc.web.exchange import Exchange
from configsvc.web.messages import json_text
from configsvc.web.origins import OriginReader
from configsvc.web.requests import RequestReader
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

MAX_LINE_BYTES = 4 * 1024 * 1024


def stream_handler(method: Method, read: OriginReader, bodies: Bodies, answer: StreamMethod) -> Handler:
    """Return the handler of a method that answers with a stream."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = begin(method, read, exchange)
        writer = StreamWriter(exchange, class_of(route.method.output_type))
        try:
            caller = await method.admit(call, read.credentials(exchange))
            request = call.request = await read_request(bodies, caller, read, exchange, route, variables)
            async with exchange.cancelled_when_gone():
                await writer.open()
                with method.revocable(caller) as revocable_caller:
                    await answer(request, revocable_caller, writer.write)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            await fail(error, method, call, exchange, writer)
            return
        method.end_stream(call)
        await writer.end()

    return handle


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
