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

from bench.loads.arrivals import Arrivals
from bench.loads.remote import answer_requests


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


async def main() -> None:
    address, path, greetings = sys.argv[1:]
    host, _, port = address.rpartition(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n".encode()

    async def open_one() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Reader(request, arrivals.received, arrivals.ended), host, int(port))

    arrivals = Arrivals(int(greetings), open_one)
    await answer_requests(arrivals.handle)


if __name__ == "__main__":
    uvloop.run(main())
