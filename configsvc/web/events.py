"""Streams over HTTP: server-sent events for watches, and JSON lines for everything else.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from configapi.v1.configuration_service_pb2 import WatchConfigurationsResponse
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.messages import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = b"text/event-stream"
LINES = b"application/x-ndjson"
RETRY_MILLISECONDS = 1000

_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    # nginx holds answers back otherwise.
    (b"x-accel-buffering", b"no"),
]


class StreamWriter:
    """Writes the messages of a stream, as its content type has them."""

    def __init__(self, exchange: Exchange, response_class: type[Message]) -> None:
        self._exchange = exchange
        self._response_class = response_class
        self._is_watch = response_class is WatchConfigurationsResponse
        self._frame: Callable[[Any], str] = _event if self._is_watch else _line

    async def open(self) -> None:
        """Send the headers, so that the client knows that the stream is open."""
        content_type = EVENTS if self._is_watch else LINES
        await self._exchange.start(200, [(b"content-type", content_type), *_HEADERS])
        if self._is_watch:
            await self._exchange.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode(), more=True)

    async def write(self, encoded: bytes) -> None:
        """Write one message, and wait until the client can take more."""
        message = self._response_class.FromString(encoded)
        await self._exchange.write(self._frame(message).encode(), more=True)

    async def fail(self, status: Status) -> None:
        """End the stream with an error, as the status line was sent already."""
        text = json_text(status)
        frame = f"event: error\ndata: {text}\n\n" if self._is_watch else f'{{"error":{text}}}\n'
        await self._exchange.write(frame.encode(), more=False)

    async def end(self) -> None:
        """End the stream."""
        await self._exchange.write(b"", more=False)


def _line(message: Message) -> str:
    return json_text(message) + "\n"


def _event(message: WatchConfigurationsResponse) -> str:
    token = f"id: {message.resume_token}\n" if message.resume_token else ""
    return f"{token}event: {_name(message)}\ndata: {json_text(message)}\n\n"


def _name(message: WatchConfigurationsResponse) -> str:
    if message.HasField("opened"):
        return "opened"
    if message.synced:
        return "synced"
    return "change" if message.events or message.more else "bookmark"
