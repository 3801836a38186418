"""Many readers of server-sent events in one process, each on a connection of its own.

Run as `bench.loads.event_watchers ADDRESS PATH GREETINGS`. An event ends with an empty line; the bytes are not parsed
further, so that the load takes little of the machine.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

from bench.loads.http2 import CallFailedError
from bench.loads.messages import CONTENT_BYTES
from bench.loads.remote import answer_requests

# Connections to open at once; the next ones follow the greetings of these.
BATCH = 100


class Reader(asyncio.Protocol):
    """One connection with one stream. `received` is called with time.monotonic_ns and the bytes of each event."""

    def __init__(self, request: bytes, received: Callable[[int, int], None], ended: Callable[[], None]) -> None:
        self._request = request
        self._received = received
        self._ended = ended
        self._rest = b""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic_ns()
        self._rest += data
        if not self._in_body:
            head, found, body = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._ended()
                return
            self._in_body, self._rest = True, body
        *whole, self._rest = self._rest.split(b"\n\n")
        for event in whole:
            if b"event:" in event:
                self._received(arrived, len(event))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._ended()


class EventWatchers:
    """Streams of one path, each of which begins with the same number of greetings."""

    def __init__(self, address: str, path: str, greetings: int) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n".encode()
        self._greetings = greetings
        self._count = 0
        self._arrivals: list[int] = []
        self._expected = 0
        self._smallest = CONTENT_BYTES
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self, *, watchers: int | None = None) -> list[int] | int:
        """Open streams up to a number, or wait for an event on each and return time.monotonic_ns of each arrival."""
        if watchers is None:
            arrivals = await self._events(self._count)
            if self._smallest < CONTENT_BYTES:
                raise CallFailedError("an event of a change has no configuration")
            return arrivals
        while self._count < watchers:
            batch = min(BATCH, watchers - self._count)
            for _ in range(batch):
                await self._open()
            await self._events(batch * self._greetings)
            # Greetings may be empty.
            self._smallest = CONTENT_BYTES
        return self._count

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Reader(self._request, self._received, self._ended), self._host, self._port)
        self._count += 1

    async def _events(self, expected: int) -> list[int]:
        self._expected = expected
        self._check()
        await self._complete
        self._complete = asyncio.get_running_loop().create_future()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def _received(self, arrived: int, size: int) -> None:
        self._arrivals.append(arrived)
        self._smallest = min(self._smallest, size)
        self._check()

    def _check(self) -> None:
        if self._expected and len(self._arrivals) >= self._expected and not self._complete.done():
            self._complete.set_result(None)
            self._expected = 0

    def _ended(self) -> None:
        if not self._complete.done():
            self._complete.set_exception(CallFailedError("an event stream ended"))


async def main() -> None:
    address, path, greetings = sys.argv[1:]
    await answer_requests(EventWatchers(address, path, int(greetings)).handle)


if __name__ == "__main__":
    uvloop.run(main())
