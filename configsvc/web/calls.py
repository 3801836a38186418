"""Calls over HTTP, as all kinds of methods begin and fail: the same gate, limits, counts and log lines as gRPC."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import Message

from configsvc.access.caller import Caller
from configsvc.api.methods import Call, Method
from configsvc.domain.watching import LARGE_BYTES
from configsvc.limits.bodies import Bodies
from configsvc.offload.threads import LargeAnswers
from configsvc.web.binding import bind_parameters, bound, check_headers, is_parsed
from configsvc.web.errors import HTTP_STATUSES, error_body, error_headers, in_json
from configsvc.web.events import StreamWriter
from configsvc.web.exchange import Exchange
from configsvc.web.origins import OriginReader, trace_id
from configsvc.web.requests import RequestReader
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

# Clients repeat their reads.
CACHED_REQUESTS = 4096
CACHED_QUERY_BYTES = 1024

Handler = Callable[[Exchange, Route, Variables], Awaitable[None]]


def begin(method: Method, read: OriginReader, exchange: Exchange) -> Call:
    method.in_flight.begin()
    exchange.when_done(method.in_flight.end)
    return Call(partial(read.peer, exchange.scope), partial(trace_id, exchange.scope))


async def admit(method: Method, call: Call, read: OriginReader, exchange: Exchange) -> Caller:
    caller = await method.admit(call, read.credentials(exchange))
    return caller._replace(origin=read.origin(exchange)) if method.changes_something else caller


@dataclass(frozen=True, slots=True)
class Requests:
    """Reads the requests of all methods."""

    origins: OriginReader
    bodies: Bodies
    large: LargeAnswers

    async def read(self, caller: Caller, exchange: Exchange, route: Route, variables: Variables) -> Any:
        """Return a request. Raises RateLimitedError, InvalidRequestError, UnsupportedFieldError or CancelledError."""
        check_headers(route, exchange)
        body = await self._body(caller, exchange) if exchange.has_body else b""
        message = class_of(route.method.input_type)()
        bind = partial(bound, route, variables, exchange, body, message)
        if len(body) > LARGE_BYTES and is_parsed(route):
            await self.large.run(bind)
        else:
            bind()
        return message

    async def read_encoded(self, caller: Caller, exchange: Exchange, route: Route, variables: Variables) -> bytes:
        """Return the encoded request of a method that reads, like `read`, or recall it."""
        query = exchange.scope["query_string"]
        if exchange.has_body or exchange.has(b"if-match") or len(query) > CACHED_QUERY_BYTES:
            return (await self.read(caller, exchange, route, variables)).SerializeToString()
        return _encoded(route, tuple(variables.items()), query)

    async def _body(self, caller: Caller, exchange: Exchange) -> bytes:
        slots = caller.quota.slots.bodies if caller.quota else None
        return await self.bodies.receive(exchange.body, partial(self.origins.peer, exchange.scope), slots)


@lru_cache(maxsize=CACHED_REQUESTS)
def _encoded(route: Route, variables: tuple[tuple[str, str], ...], query: bytes) -> bytes:
    message = class_of(route.method.input_type)()
    bind_parameters(RequestReader(message), route, dict(variables), query, message)
    return message.SerializeToString()


@cache
def class_of(descriptor: Any) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)


async def fail(
    error: BaseException, method: Method, call: Call, exchange: Exchange, writer: StreamWriter | None = None
) -> None:
    """End the call with the status of the error. Raises the error if there is nobody to tell."""
    status = method.fail(in_json(error), call, gone=exchange.gone)
    if status is None:
        if exchange.gone:
            return
        raise error
    if exchange.started and writer is not None:
        await writer.fail(status)
    else:
        await exchange.answer(HTTP_STATUSES[status.code], error_body(status), error_headers(status))
