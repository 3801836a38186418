"""Streams over HTTP: server-sent events for watches, and JSON lines for everything else.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from configapi.v1.change_pb2 import CHANGE_TYPE_UNSPECIFIED
from configapi.v1.configuration_service_pb2 import WatchConfigurationsResponse
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.watching import LARGE_BYTES
from configsvc.offload.threads import LargeAnswers
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.messages import json_text
from configsvc.web.requests import invalid

EVENTS = b"text/event-stream"
LINES = b"application/x-ndjson"
RETRY_MILLISECONDS = 1000
# A stream that sends nothing for up to twice as long sends a comment. Proxies give up on it after 50 s or later.
COMMENT_SECONDS = 15.0
# A status waits behind what its client does not read; after this time, the connection is closed without it.
STATUS_LIMIT_SECONDS = 5.0
# Of the frames that alike watches share.
SHARED_FRAMES = 1024
SHARED_BYTES = 16 * 1024 * 1024

_COMMENT = b":\n\n"
_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    # nginx holds answers back otherwise.
    (b"x-accel-buffering", b"no"),
]

Make = Callable[[bytes], bytes]


class Frames:
    """Makes messages into JSON, large ones in a thread, and those of watches once for all that get the same bytes."""

    def __init__(self, large: LargeAnswers) -> None:
        self._large = large
        self._shared: BoundedCache[bytes, bytes] = BoundedCache(
            limit_count=SHARED_FRAMES,
            limit_bytes=SHARED_BYTES,
            size_of=lambda encoded, frame: len(encoded) + len(frame),
        )

    async def shared(self, encoded: bytes, make: Make) -> bytes:
        """Return the frame of a message, which others may get too."""
        known = self._shared.peek
        frame = known(encoded)
        if frame is None:
            frame = await self.made(encoded, make, lambda: known(encoded))
            self._shared.put(encoded, frame)
        return frame

    async def made_of(self, size_bytes: int, make: Callable[[], bytes]) -> bytes:
        """Return what `make` returns without blocking other calls. `size_bytes`: about as much as it is made of."""
        return make() if size_bytes <= LARGE_BYTES else await self._large.run(make)

    async def made(self, encoded: bytes, make: Make, known: Callable[[], bytes | None] = lambda: None) -> bytes:
        """Return the frame of a message without blocking other calls."""
        if len(encoded) <= LARGE_BYTES:
            return make(encoded)
        return await self._large.run(partial(make, encoded), known)


class StreamWriter:
    """Writes the messages of a stream, as its content type has them. The first one opens it."""

    def __init__(self, exchange: Exchange, frames: Frames, response_class: type[Message]) -> None:
        self._exchange = exchange
        self._is_watch = response_class is WatchConfigurationsResponse
        self._make: Make = _event if self._is_watch else partial(_line, response_class)
        self._frame = frames.shared if self._is_watch else frames.made
        self._busy = False
        # True if nothing was sent since the last look.
        self._quiet = False

    @asynccontextmanager
    async def attended(self) -> AsyncGenerator[None]:
        """Cancel the block when the client goes away, and keep the stream from being taken for dead while it lasts."""
        every = self._comment if self._is_watch else self._nothing
        async with self._exchange.cancelled_when_gone(every, COMMENT_SECONDS):
            yield

    async def write(self, encoded: bytes) -> None:
        """Write one message, and wait until the client can take more."""
        frame = await self._frame(encoded, self._make)
        if not self._exchange.started:
            await self._open()
        self._busy = True
        await self._exchange.write(frame, more=True)
        self._busy = self._quiet = False

    async def fail(self, status: Status) -> None:
        """End the stream with an error, as the status line was sent already."""
        try:
            async with asyncio.timeout(STATUS_LIMIT_SECONDS):
                await self._exchange.write(_failed_event(status) if self._is_watch else _failed_line(status), more=True)
                await self.end()
        except TimeoutError:
            self._exchange.reset()

    async def end(self) -> None:
        """End the stream."""
        await self._exchange.write(b"", more=False)

    async def _open(self) -> None:
        content_type = EVENTS if self._is_watch else LINES
        await self._exchange.start(200, [(b"content-type", content_type), *_HEADERS])
        if self._is_watch:
            await self._exchange.write(f"retry: {_jittered(RETRY_MILLISECONDS)}\n\n".encode(), more=True)

    async def _comment(self) -> None:
        if self._quiet and self._exchange.started and not self._busy:
            await self._exchange.write(_COMMENT, more=True)
        self._quiet = True

    async def _nothing(self) -> None:
        pass


def _line(response_class: type[Message], encoded: bytes) -> bytes:
    return f"{json_text(response_class.FromString(encoded))}\n".encode()


def _failed_line(status: Status) -> bytes:
    return f'{{"error":{json_text(status)}}}\n'.encode()


def _event(encoded: bytes) -> bytes:
    message = WatchConfigurationsResponse.FromString(encoded)
    token = f"id: {message.resume_token}\n" if message.resume_token else ""
    return f"{token}event: {event_name(message)}\ndata: {json_text(message)}\n\n".encode()


def event_name(message: WatchConfigurationsResponse) -> str:
    """Return the name of the event that carries a message of a watch."""
    if message.HasField("opened"):
        return "opened"
    if message.synced:
        return "synced"
    if message.events and message.events[0].change == CHANGE_TYPE_UNSPECIFIED:
        return "snapshot"
    return "change" if message.events or message.more else "bookmark"


def _failed_event(status: Status) -> bytes:
    retry = RetryInfo()
    later = ""
    if any(detail.Unpack(retry) for detail in status.details):
        later = f"retry: {_jittered(RETRY_MILLISECONDS * max(1, retry.retry_delay.seconds))}\n"
    return f"{later}event: error\ndata: {json_text(status)}\n\n".encode()


def _jittered(milliseconds: int) -> int:
    # So that clients do not come back all at once.
    return round(milliseconds * random.uniform(1, 1.5))  # noqa: S311  # nobody gains by guessing it


def resume(request: Any, exchange: Exchange) -> None:
    """Set the start of a watch that a client resumes as the event stream specification says.

    Raises InvalidRequestError if the request has another start.
    """
    token = exchange.header(b"last-event-id")
    if token is None or "resume_token" not in request.DESCRIPTOR.fields_by_name:
        return
    start = request.WhichOneof("start")
    if start is not None and (start != "resume_token" or request.resume_token != token):
        raise invalid("last-event-id", f"is another start than the parameter {start}: send one of them")
    request.resume_token = token
