"""Methods over HTTP that answer with a stream, or take one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.api.methods import Method, StreamMethod, UploadMethod, Writer
from configsvc.domain.errors import FaultyRequestError, RateLimitedError
from configsvc.web.binding import bound, check_headers, text_of
from configsvc.web.calls import Handler, Requests, admit, begin, class_of, fail
from configsvc.web.errors import error_body, error_headers
from configsvc.web.events import Frames, StreamWriter, resume
from configsvc.web.exchange import Exchange
from configsvc.web.messages import json_text
from configsvc.web.origins import OriginReader
from configsvc.web.polling import PollMethod, is_polled, poll_handler
from configsvc.web.requests import RequestReader, invalid
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

# Of an upload: what a message over gRPC may have, and the time that a client has to send it.
MAX_LINE_BYTES = 4 * 1024 * 1024
UPLOAD_LINE_SECONDS = 60.0


def watch_handler(
    method: Method, requests: Requests, frames: Frames, answer: StreamMethod, poll: PollMethod
) -> Handler:
    """Return the handler of watches, which answers with a stream, or once if the client asks to wait."""
    stream = stream_handler(method, requests, frames, answer)
    once = poll_handler(method, requests, frames, poll)

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        is_once = is_polled(exchange) and exchange.scope["method"] != "HEAD"
        await (once if is_once else stream)(exchange, route, variables)

    return handle


def stream_handler(method: Method, requests: Requests, frames: Frames, answer: StreamMethod) -> Handler:
    """Return the handler of a method that answers with a stream."""
    read = requests.origins

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        if exchange.scope["method"] == "HEAD":
            await _refuse_head(exchange)
            return
        call = begin(method, read, exchange)
        writer = StreamWriter(exchange, frames, class_of(route.method.output_type))
        try:
            caller = (await admit(method, call, read, exchange))._replace(peer=read.peer(exchange.scope))
            request = call.request = await requests.read(caller, exchange, route, variables)
            resume(request, exchange)
            async with writer.attended():
                with method.revocable(caller) as revocable_caller:
                    await answer(request, revocable_caller, Writer(write=writer.write, offer=None))
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


def upload_handler(method: Method, read: OriginReader, frames: Frames, answer: UploadMethod) -> Handler:
    """Return the handler of a method that takes a stream of JSON lines and answers once."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = begin(method, read, exchange)
        try:
            caller = await admit(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            check_headers(route, exchange)
            with method.revocable(caller) as revocable_caller:
                answered = await answer(_uploaded(exchange, route, variables, frames), revocable_caller)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(200, json_text(answered).encode(), [])

    return handle


async def _uploaded(exchange: Exchange, route: Route, variables: Variables, frames: Frames) -> AsyncGenerator[bytes]:
    """Yield the encoded messages of the lines of a body. The first one has what parameters and headers say."""
    lines = _lines(exchange)
    is_first = True
    while (found := await _next(lines)) is not None:
        number, line = found
        make = partial(_first_message, line, route, variables, exchange) if is_first else partial(_message, line, route)
        with _at_line(number):
            encoded = await frames.made_of(len(line), make)
        yield encoded
        is_first = False


async def _next(lines: AsyncIterator[tuple[int, bytes]]) -> tuple[int, bytes] | None:
    """Return the next line of an upload; None at its end. Raises RateLimitedError if it does not arrive in time."""
    try:
        async with asyncio.timeout(UPLOAD_LINE_SECONDS):
            return await anext(lines, None)
    except TimeoutError as error:
        text = f"the next line of the upload did not arrive within {UPLOAD_LINE_SECONDS:g} s: upload again"
        raise RateLimitedError(text, retry_seconds=1.0) from error


async def _lines(exchange: Exchange) -> AsyncGenerator[tuple[int, bytes]]:
    """Yield the lines of a body that are not empty, with their numbers, from 1 on."""
    number, line = 1, bytearray()
    async for chunk in exchange.chunks():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line += end
            _check_size(number, line)
            if line.strip():
                yield number, bytes(line)
            number, line = number + 1, bytearray()
        line += rest
        _check_size(number, line)
    if line.strip():
        yield number, bytes(line)


def _check_size(number: int, line: bytearray) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise invalid(f"line {number}", f"has more than {MAX_LINE_BYTES} bytes: spread its items over several lines")


@contextmanager
def _at_line(number: int) -> Generator[None]:
    """Name the line in the faults that are found in it."""
    try:
        yield
    except FaultyRequestError as error:
        named = (replace(one, field=f"line {number}: {one.field}") for one in error.violations)
        raise type(error)(tuple(named), error.omitted) from error


def _first_message(line: bytes, route: Route, variables: Variables, exchange: Exchange) -> bytes:
    message = class_of(route.method.input_type)()
    bound(route, variables, exchange, line, message)
    return message.SerializeToString()


def _message(line: bytes, route: Route) -> bytes:
    message = class_of(route.method.input_type)()
    reader = RequestReader(message)
    reader.read_json(text_of(line), "")
    reader.finish()
    return message.SerializeToString()
