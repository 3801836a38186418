"""Methods over HTTP that answer once."""

import json
from contextlib import nullcontext
from typing import Any

from google.protobuf.message import Message

from configsvc.api.methods import Method, UnaryMethod
from configsvc.limits.bodies import Bodies
from configsvc.web.calls import Handler, Variables, admit, begin, class_of, fail, read_request
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.messages import json_of_field, json_text
from configsvc.web.origins import OriginReader
from configsvc.web.routes import Route

# Smaller answers count as calls only, until they are sent.
SMALL_ANSWER_BYTES = 64 * 1024


def unary_handler(
    method: Method, read: OriginReader, bodies: Bodies, answer: UnaryMethod, *, takes_bytes: bool, lasts: bool
) -> Handler:
    """Return the handler of a method that answers once."""

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = begin(method, read, exchange)
        try:
            caller = await admit(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            request = call.request = await read_request(bodies, caller, read, exchange, route, variables)
            async with exchange.cancelled_when_gone() if lasts else nullcontext():
                answered = await answer(request.SerializeToString() if takes_bytes else request, caller)
            body, headers = _answer_of(route, answered)
            if caller.quota and len(body) > SMALL_ANSWER_BYTES:
                caller.quota.hold_answer(len(body), exchange.when_done)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(*_status_of(exchange, body, headers))

    return handle


def _answer_of(route: Route, answered: Message | bytes) -> tuple[bytes, Headers]:
    message = class_of(route.method.output_type).FromString(answered) if isinstance(answered, bytes) else answered
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
