"""One request and its answer over ASGI."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from configsvc.aio import running
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.web.security_headers import SECURITY_HEADERS

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 4 * 1024 * 1024
# Smaller answers do not get shorter by more than their headers.
COMPRESSED_BYTES = 1024
# Larger pieces are in memory until the client has read most of them.
UNSENT_BYTES = 16 * 1024
# In the state of a connection: the function that closes it at once.
RESET = "reset"
JSON = b"application/json"


async def _nothing() -> None:
    """Do nothing."""


class Exchange:
    """One request and its answer. `gone` is true once the client has closed the connection."""

    __slots__ = ("_when_done", "always", "gone", "headers", "receive", "scope", "send", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        # Headers of the answer, whatever it is.
        self.always: Headers = []
        self.gone = False
        # True once the status line was sent.
        self.started = False
        self._when_done: list[Callable[[Any], None]] = []

    def header(self, name: bytes) -> str | None:
        """Return the value of a header; None if there is none. Raises InvalidRequestError if there are several."""
        values = [value for key, value in self.headers if key == name]
        if not values:
            return None
        if len(values) > 1:
            raise InvalidRequestError((Violation(field=name.decode(), description="occurs more than once"),))
        return values[0].decode("latin-1")

    def when_done(self, callback: Callable[[Any], None]) -> None:
        """Call back once the answer was sent, or the client is gone."""
        self._when_done.append(callback)

    def finish(self) -> None:
        """Call back those that wait for the end."""
        for callback in self._when_done:
            callback(self)

    async def body(self) -> bytes:
        """Return the body. Raises InvalidRequestError if it is too large, CancelledError if the client went away."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise InvalidRequestError(
                    (Violation(field="body", description=f"has more than {MAX_BODY_BYTES} bytes"),)
                )
            chunks.append(chunk)
        return b"".join(chunks)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the pieces of the body. Raises CancelledError if the client went away."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise asyncio.CancelledError
            yield message.get("body", b"")
            if not message.get("more_body"):
                return

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        self.started = True
        await self.send(
            {"type": "http.response.start", "status": status, "headers": [*SECURITY_HEADERS, *self.always, *headers]}
        )

    async def write(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the body, and wait until the client can take more."""
        if len(data) < UNSENT_BYTES:
            await self.send({"type": "http.response.body", "body": data, "more_body": more})
            return
        # The server waits before it sends, so the second call waits until the client has read most of the first.
        await self.send({"type": "http.response.body", "body": data, "more_body": True})
        await self.send({"type": "http.response.body", "body": b"", "more_body": more})

    def reset(self) -> None:
        """Close the connection at once, with whatever the client has not read."""
        self.scope["state"][RESET]()

    async def answer(self, status: int, body: bytes, headers: Headers, *, content_type: bytes = JSON) -> None:
        """Send a whole answer, compressed if the client offers that and it is worth it."""
        if len(body) >= COMPRESSED_BYTES and self._takes_gzip():
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers = [*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        length = str(len(body)).encode()
        await self.start(status, [(b"content-type", content_type), (b"content-length", length), *headers])
        await self.write(b"" if self.scope["method"] == "HEAD" else body, more=False)

    def _takes_gzip(self) -> bool:
        offers = (value for key, value in self.headers if key == b"accept-encoding")
        return any(_offers_gzip(offer) for value in offers for offer in value.split(b","))

    @asynccontextmanager
    async def cancelled_when_gone(
        self, every: Callable[[], Awaitable[None]] = _nothing, seconds: float | None = None
    ) -> AsyncGenerator[None]:
        """Cancel the block when the client goes away, and call `every` so often. Nothing else may read the request."""
        task = asyncio.current_task()
        assert task is not None
        async with running(self._attend(task, every, seconds)):
            yield

    async def _attend(
        self, task: asyncio.Task[Any], every: Callable[[], Awaitable[None]], seconds: float | None
    ) -> None:
        while not self.gone:
            try:
                async with asyncio.timeout(seconds):
                    self.gone = (await self.receive())["type"] == "http.disconnect"
            except TimeoutError:
                await every()
        task.cancel()


def _offers_gzip(offer: bytes) -> bool:
    coding, *parameters = (part.strip() for part in offer.split(b";"))
    return coding in (b"gzip", b"*") and not any(part.replace(b" ", b"") in (b"q=0", b"q=0.0") for part in parameters)
