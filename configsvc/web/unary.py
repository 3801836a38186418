"""Methods over HTTP that answer once."""

import json
from contextlib import nullcontext
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from google.protobuf.message import Message

from configsvc.api.methods import Encoded, Method, UnaryMethod
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.errors import ResponseTooLargeError
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.offload.threads import LargeAnswers
from configsvc.web.calls import Handler, Requests, admit, begin, class_of, fail
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.messages import json_text
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

# Smaller answers count as calls only, until they are sent, and are written without a thread.
SMALL_ANSWER_BYTES = 64 * 1024
# JSON of resources that are encoded in the cache of reads.
CACHED_JSON_BYTES = 16 * 1024 * 1024
CACHED_JSON_OVERHEAD = 400
# The newest moment, and those of answers that were read ahead of the feed.
CACHED_MOMENTS = 64

Answer = tuple[bytes, Headers]


def unary_handler(
    method: Method,
    requests: Requests,
    answer: UnaryMethod,
    *,
    takes_bytes: bool,
    lasts: bool,
) -> Handler:
    """Return the handler of a method that answers once."""
    written = AnswerWriter(requests.large)
    read = requests.origins

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = begin(method, read, exchange)
        try:
            caller = await admit(method, call, read, exchange)
            if caller.quota:
                caller.quota.begin_call(exchange.when_done)
            if takes_bytes:
                request = call.request = await requests.read_encoded(caller, exchange, route, variables)
            else:
                request = call.request = await requests.read(caller, exchange, route, variables)
            async with exchange.cancelled_when_gone() if lasts else nullcontext():
                answered = await answer(request, caller)
            body, headers = await written.of(route, answered, is_bounded=not method.changes_something)
            if caller.quota and len(body) > SMALL_ANSWER_BYTES:
                caller.quota.hold_answer(len(body), exchange.when_done)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await fail(error, method, call, exchange)
            return
        method.succeed(call)
        if _is_known(exchange, headers):
            await exchange.answer(HTTPStatus.NOT_MODIFIED, b"", headers)
        else:
            await exchange.answer(HTTPStatus.OK, body, headers)

    return handle


class AnswerWriter:
    """Writes answers as JSON, and keeps those of resources that the cache of reads has encoded."""

    def __init__(self, large: LargeAnswers) -> None:
        self._large = large
        self._cached: BoundedCache[bytes, Answer] = BoundedCache(limit_bytes=CACHED_JSON_BYTES, size_of=_size)

    async def of(self, route: Route, answered: Message | Encoded, *, is_bounded: bool) -> Answer:
        """Return the body of an answer and its headers. Raises ResponseTooLargeError, as over gRPC, if `is_bounded`."""
        if isinstance(answered, tuple):
            resource, rest = answered
            body, headers = self._cached.get(resource) or await self._encoded(route, resource)
            return body, [*headers, *_headers_of_moment(class_of(route.method.output_type), rest)]
        size = answered.ByteSize()
        if is_bounded and size > MAX_RESPONSE_BYTES:
            raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
        return await self._written(route, answered, size)

    async def _encoded(self, route: Route, resource: bytes) -> Answer:
        if len(resource) > MAX_RESPONSE_BYTES:
            raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
        message = class_of(route.method.output_type).FromString(resource)
        written = await self._written(route, message, len(resource))
        self._cached.put(resource, written)
        return written

    async def _written(self, route: Route, message: Message, size: int) -> Answer:
        if size > SMALL_ANSWER_BYTES:
            return await self._large.run(lambda: _written(route, message))
        return _written(route, message)


def _written(route: Route, message: Message) -> Answer:
    if not route.response_body:
        return json_text(message).encode(), [(b"cache-control", b"no-store")]
    resource = getattr(message, route.response_body)
    return json_text(resource).encode(), _headers_of(message, resource)


def _size(encoded: bytes, written: Answer) -> int:
    return len(encoded) + len(written[0]) + CACHED_JSON_OVERHEAD


def _headers_of(message: Any, resource: Any) -> Headers:
    """Return the headers for what a bare resource does not say."""
    headers: Headers = [(b"cache-control", b"no-cache")]
    if message.epoch:
        headers += _moment(message)
    if "changed" in message.DESCRIPTOR.fields_by_name:
        headers.append((b"x-configsvc-changed", json.dumps(message.changed).encode()))
    if getattr(resource, "etag", ""):
        headers.append((b"etag", f'"{resource.etag}"'.encode()))
    return headers


def _moment(message: Any) -> Headers:
    return [
        (b"x-configsvc-revision", b"%d" % message.revision),
        (b"x-configsvc-epoch", message.epoch.encode()),
    ]


@lru_cache(maxsize=CACHED_MOMENTS)
def _headers_of_moment(response_class: type[Message], encoded: bytes) -> Headers:
    return _moment(response_class.FromString(encoded))


def _is_known(exchange: Exchange, headers: Headers) -> bool:
    """Return whether the client has this version of the resource already."""
    if not exchange.has(b"if-none-match") or exchange.scope["method"] not in ("GET", "HEAD"):
        return False
    etag = next((value.decode() for name, value in headers if name == b"etag"), None)
    known = ",".join(exchange.values(b"if-none-match")).split(",")
    return etag is not None and any(tag.strip().removeprefix("W/") in (etag, "*") for tag in known)
