"""Calls over HTTP: the same gate, limits, counts and log lines as over gRPC."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import Message

from configsvc.access.caller import Caller
from configsvc.api.methods import Call, Method, StreamMethod, UnaryMethod, UploadMethod
from configsvc.domain.errors import InvalidRequestError, Violation, Violations
from configsvc.limits.bodies import Bodies
from configsvc.web.binding import bound
from configsvc.web.errors import HTTP_STATUSES, error_body, error_headers
from configsvc.web.events import StreamWriter
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.json_fill import fill, is_object
from configsvc.web.messages import json_of_field, json_text
from configsvc.web.origins import OriginReader
from configsvc.web.requests import parsed_body
from configsvc.web.routes import Route

# Smaller answers count as calls only, until they are sent.
SMALL_ANSWER_BYTES = 64 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024

Variables = Mapping[str, str]
Handler = Callable[[Exchange, Route, Variables], Awaitable[None]]


def unary_handler(
    method: Method, read: OriginReader, bodies: Bodies, answer: UnaryMethod, *, takes_bytes: bool, lasts: bool
) -> Handler:
    """Return the handler of a method that answers once."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = _begun(method, read, exchange)
        try:
            caller = await _admitted(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            request = call.request = await _request(bodies, caller, read, exchange, route, variables)
            async with exchange.cancelled_when_gone() if lasts else nullcontext():
                answered = await answer(request.SerializeToString() if takes_bytes else request, caller)
            body, headers = _answer_of(route, answered)
            if caller.quota and len(body) > SMALL_ANSWER_BYTES:
                caller.quota.hold_answer(len(body), exchange.when_done)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await _fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(*_status_of(exchange, body, headers))

    return handle


def stream_handler(method: Method, read: OriginReader, bodies: Bodies, answer: StreamMethod) -> Handler:
    """Return the handler of a method that answers with a stream."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = _begun(method, read, exchange)
        writer = StreamWriter(exchange, _class_of(route.method.output_type))
        try:
            caller = await method.admit(call, read.credentials(exchange))
            request = call.request = await _request(bodies, caller, read, exchange, route, variables)
            async with exchange.cancelled_when_gone():
                await writer.open()
                with method.revocable(caller) as revocable_caller:
                    await answer(request, revocable_caller, writer.write)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            await _fail(error, method, call, exchange, writer)
            return
        method.end_stream(call)
        await writer.end()

    return handle


def upload_handler(method: Method, read: OriginReader, answer: UploadMethod) -> Handler:
    """Return the handler of a method that takes a stream of JSON lines and answers once."""

    async def handle(exchange: Exchange, route: Route, _variables: Variables) -> None:
        call = _begun(method, read, exchange)
        try:
            caller = await _admitted(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            with method.revocable(caller) as revocable_caller:
                answered = await answer(_uploaded(exchange, route), revocable_caller)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await _fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(200, json_text(answered).encode(), [])

    return handle


async def _uploaded(exchange: Exchange, route: Route) -> AsyncGenerator[bytes]:
    """Yield the encoded messages of the lines of a body."""
    number = 0
    async for line in _lines(exchange):
        if line.strip():
            yield _message_of(line, route, number).SerializeToString()
            number += 1


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


def _message_of(line: bytes, route: Route, number: int) -> Message:
    message = _class_of(route.method.input_type)()
    value = parsed_body(line)
    if not is_object(value):
        raise InvalidRequestError((Violation(field=f"line {number}", description="must be a JSON object"),))
    with Violations() as violations:
        fill(message, value, violations)
    return message


def _begun(method: Method, read: OriginReader, exchange: Exchange) -> Call:
    method.in_flight.begin()
    exchange.when_done(method.in_flight.end)
    return Call(partial(read.peer, exchange.scope))


async def _admitted(method: Method, call: Call, read: OriginReader, exchange: Exchange) -> Caller:
    caller = await method.admit(call, read.credentials(exchange))
    return caller._replace(origin=read.origin(exchange)) if method.changes_something else caller


async def _request(
    bodies: Bodies, caller: Caller, read: OriginReader, exchange: Exchange, route: Route, variables: Variables
) -> Any:
    slots = caller.quota.slots.bodies if caller.quota else None
    body = await bodies.receive(exchange.body, partial(read.peer, exchange.scope), slots)
    message = _class_of(route.method.input_type)()
    bound(route, variables, exchange, body, message)
    return message


def _class_of(descriptor: Any) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)


def _answer_of(route: Route, answered: Message | bytes) -> tuple[bytes, Headers]:
    message = _class_of(route.method.output_type).FromString(answered) if isinstance(answered, bytes) else answered
    headers = _headers_of(message, route)
    text = json_of_field(message, route.response_body) if route.response_body else json_text(message)
    return text.encode(), headers


def _headers_of(message: Any, route: Route) -> Headers:
    """Return the headers for what a bare resource does not say."""
    if not route.response_body:
        return [(b"cache-control", b"no-store")]
    headers: Headers = [(b"cache-control", b"no-cache")]
    fields = message.DESCRIPTOR.fields_by_name
    if "epoch" in fields and message.epoch:
        headers += [
            (b"x-configsvc-revision", str(message.revision).encode()),
            (b"x-configsvc-epoch", message.epoch.encode()),
        ]
    if "changed" in fields:
        headers.append((b"x-configsvc-changed", json.dumps(message.changed).encode()))
    resource = getattr(message, route.response_body)
    if getattr(resource, "etag", ""):
        headers.append((b"etag", f'"{resource.etag}"'.encode()))
    return headers


def _status_of(exchange: Exchange, body: bytes, headers: Headers) -> tuple[int, bytes, Headers]:
    """Return the answer: 304 without a body if the client has this version already."""
    etag = next((value for name, value in headers if name == b"etag"), None)
    known = exchange.header(b"if-none-match") if etag and exchange.scope["method"] in ("GET", "HEAD") else None
    if known and etag and any(tag.strip().removeprefix("W/") in (etag.decode(), "*") for tag in known.split(",")):
        return 304, b"", headers
    return 200, body, headers


async def _fail(
    error: BaseException, method: Method, call: Call, exchange: Exchange, writer: StreamWriter | None = None
) -> None:
    """End the call with the status of the error. Raises the error if there is nobody to tell."""
    status = method.fail(error, call, gone=exchange.gone)
    if status is None:
        if exchange.gone:
            return
        raise error
    if exchange.started and writer is not None:
        await writer.fail(status)
    else:
        await exchange.answer(HTTP_STATUSES[status.code], error_body(status), error_headers(status))
