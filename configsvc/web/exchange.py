"""One request and its answer over ASGI."""

import asyncio
import gzip
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeAlias

from configsvc.aio import running
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.web.security_headers import SECURITY_HEADERS, SecurityHeaders

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 4 * 1024 * 1024
# As over gRPC: TCP sends a smaller answer at once, and a larger one would hold up the event loop.
LEAST_COMPRESSED_BYTES = 16 * 1024
MOST_COMPRESSED_BYTES = 256 * 1024
# Larger pieces are in memory until the client has read most of them.
UNSENT_BYTES = 16 * 1024
# In the state of a connection: the function that closes it at once.
RESET = "reset"
JSON = b"application/json"
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_WEIGHT = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)")


async def _nothing() -> None:
    """Do nothing."""


class Exchange:
    """One request and its answer. `gone` is true once the client has closed the connection."""

    __slots__ = (
        "_values",
        "_when_done",
        "always",
        "gone",
        "headers",
        "receive",
        "scope",
        "security",
        "send",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        # Headers of the answer, whatever it is.
        self.always: Headers = []
        self.security: SecurityHeaders = SECURITY_HEADERS
        self.gone = False
        # True once the status line was sent.
        self.started = False
        self._when_done: list[Callable[[Any], None]] = []
        # Of headers that occur more than once, the last.
        self._values = dict(self.headers)

    def has(self, name: bytes) -> bool:
        """Return whether there is a header."""
        return name in self._values

    def header(self, name: bytes) -> str | None:
        """Return the value of a header; None if there is none. Raises InvalidRequestError if there are several."""
        value = self._values.get(name)
        if value is None:
            return None
        if len(self._values) < len(self.headers) and len(self.values(name)) > 1:
            raise InvalidRequestError((Violation(field=name.decode(), description="occurs more than once"),))
        return value.decode("latin-1")

    def values(self, name: bytes) -> list[str]:
        """Return the values of a header that can occur more than once."""
        if name not in self._values:
            return []
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    @property
    def has_body(self) -> bool:
        """Whether the request may have a body."""
        return b"transfer-encoding" in self._values or self._values.get(b"content-length", b"0") != b"0"

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
            {"type": "http.response.start", "status": status, "headers": [*self.security, *self.always, *headers]}
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
        if LEAST_COMPRESSED_BYTES <= len(body) <= MOST_COMPRESSED_BYTES:
            headers = [*headers, (b"vary", b"accept-encoding")]
            if self.takes_gzip():
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers.append((b"content-encoding", b"gzip"))
        if status not in _WITHOUT_BODY:
            headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
        await self.start(status, headers)
        await self.write(b"" if self.scope["method"] == "HEAD" else body, more=False)

    def takes_gzip(self) -> bool:
        """Return whether the client takes answers that are compressed."""
        offers = ",".join(self.values(b"accept-encoding"))
        weights = dict(_offer(offer) for offer in offers.lower().split(","))
        return weights.get("gzip", weights.get("*", 0.0)) > 0

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


def _offer(text: str) -> tuple[str, float]:
    """Return a content coding and its weight."""
    coding, _, parameters = text.partition(";")
    found = _WEIGHT.fullmatch(parameters.strip() or "q=1")
    return coding.strip(), float(found[1]) if found else 0.0
