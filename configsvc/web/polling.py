"""Long polling over HTTP: one answer with what a watch sends first, for clients that cannot read a stream."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from configsvc.access.caller import Caller
from configsvc.api.methods import Method
from configsvc.api.polling import PolledPage
from configsvc.web.calls import Handler, Requests, admit, begin, fail
from configsvc.web.events import Frames, resume
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.messages import json_text
from configsvc.web.requests import invalid, parsed_query
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

# The parameters of long polling, which are no fields of the request.
WAIT, PAGE_TOKEN = "wait", "page_token"
MOST_WAIT_SECONDS = 300.0

_HEADERS: Headers = [(b"cache-control", b"no-store")]

PollMethod = Callable[[WatchConfigurationsRequest, Caller, str | None, float], Awaitable[PolledPage]]


class _Wish(NamedTuple):
    """What the parameters of long polling say."""

    wait_seconds: float
    page_token: str | None


def poll_handler(method: Method, requests: Requests, frames: Frames, poll: PollMethod) -> Handler:
    """Return the handler of a watch that is polled."""
    read = requests.origins

    async def handle(exchange: Exchange, route: Route, variables: Variables) -> None:
        call = begin(method, read, exchange)
        try:
            caller = (await admit(method, call, read, exchange))._replace(peer=read.peer(exchange.scope))
            wish = _taken(exchange)
            request = call.request = await requests.read(caller, exchange, route, variables)
            resume(request, exchange)
            async with exchange.cancelled_when_gone():
                with method.revocable(caller) as revocable_caller:
                    page = await poll(request, revocable_caller, wish.page_token, wish.wait_seconds)
                body = await frames.made_of(sum(map(len, page.messages)), partial(_document, page))
            if caller.quota:
                caller.quota.hold_answer(len(body), exchange.when_done)
        except BaseException as error:  # noqa: BLE001  # a cancelled call has a status too
            method.observe(call)
            await fail(error, method, call, exchange)
            return
        method.succeed(call)
        await exchange.answer(200, body, _HEADERS)

    return handle


def is_polled(exchange: Exchange) -> bool:
    """Return whether a watch is asked for by long polling."""
    return any(_name_of(piece) in (WAIT, PAGE_TOKEN) for piece in exchange.scope["query_string"].split(b"&"))


def _taken(exchange: Exchange) -> _Wish:
    """Take the parameters of long polling out of the query. Raises InvalidRequestError."""
    pieces = exchange.scope["query_string"].split(b"&")
    own = {name: [piece for piece in pieces if _name_of(piece) == name] for name in (WAIT, PAGE_TOKEN)}
    for name, found in own.items():
        if len(found) > 1:
            raise invalid(name, "is there more than once")
    exchange.scope["query_string"] = b"&".join(piece for piece in pieces if _name_of(piece) not in own)
    wait, page_token = (parsed_query(found[0])[0][1] if found else None for found in own.values())
    if wait is None:
        raise invalid(WAIT, "is required beside page_token: the time to wait for a change, like 30s")
    return _Wish(wait_seconds=_seconds(wait), page_token=page_token)


def _name_of(piece: bytes) -> str:
    return piece.partition(b"=")[0].decode("latin-1")


def _seconds(text: str) -> float:
    wait = Duration()
    try:
        wait.FromJsonString(text)
    except ValueError as error:
        raise invalid(WAIT, f"is {text[:100]!r}: must be like 30s") from error
    seconds = wait.seconds + wait.nanos / 1e9
    if not 0 <= seconds <= MOST_WAIT_SECONDS:
        raise invalid(WAIT, f"is {seconds:g} s: must be between 0 s and {MOST_WAIT_SECONDS:g} s")
    return seconds


def _document(page: PolledPage) -> bytes:
    messages = ",".join(json_text(WatchConfigurationsResponse.FromString(encoded)) for encoded in page.messages)
    name = "next_page_token" if page.next_page_token else "resume_token"
    token = page.next_page_token or page.resume_token
    return f'{{"messages":[{messages}],"{name}":{json.dumps(token)}}}'.encode()
