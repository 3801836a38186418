"""Many watchers in one process.

Run as `bench.loads.watchers ADDRESS PATH REQUEST GREETINGS END`, the request in hexadecimal digits; END is False if the
client's side of the stream must stay open.
"""

import asyncio
import sys

import uvloop

from bench.loads.http2 import CallFailedError, Connection, connect
from bench.loads.messages import CONTENT_BYTES
from bench.loads.remote import answer_requests

STREAMS_PER_CONNECTION = 100
# Streams to open at once; the next ones follow the greetings of these. A server refuses some of many more.
BATCH = 100


class Watchers:
    """Streams of one request, each of which begins with the same number of greetings."""

    def __init__(self, address: str, path: str, request: bytes, greetings: int, *, end: bool) -> None:
        self._address = address
        self._path = path
        self._request = request
        self._greetings = greetings
        self._end = end
        self._connections: list[Connection] = []
        self._count = 0
        self._arrivals: list[int] = []
        self._expected = 0
        self._smallest = CONTENT_BYTES
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self, *, watchers: int | None = None) -> list[int] | int:
        """Open streams up to a number, or wait for a message on each and return time.monotonic_ns of each arrival."""
        if watchers is None:
            arrivals = await self._messages(self._count)
            if self._smallest < CONTENT_BYTES:
                raise CallFailedError("a message of a change has no configuration")
            return arrivals
        while self._count < watchers:
            batch = min(BATCH, watchers - self._count)
            for _ in range(batch):
                await self._open()
            await self._messages(batch * self._greetings)
            # Greetings may be empty.
            self._smallest = CONTENT_BYTES
        return self._count

    async def _open(self) -> None:
        if self._count == len(self._connections) * STREAMS_PER_CONNECTION:
            self._connections.append(await connect(self._address, self._path, self._received, self._ended))
        self._connections[-1].call(self._request, end=self._end)
        self._count += 1

    async def _messages(self, expected: int) -> list[int]:
        self._expected = expected
        self._check()
        await self._complete
        self._complete = asyncio.get_running_loop().create_future()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def _received(self, _: int, arrived: int, size: int) -> None:
        self._arrivals.append(arrived)
        self._smallest = min(self._smallest, size)
        self._check()

    def _check(self) -> None:
        if self._expected and len(self._arrivals) >= self._expected and not self._complete.done():
            self._complete.set_result(None)
            self._expected = 0

    def _ended(self, stream: int, _: bool) -> None:
        if not self._complete.done():
            self._complete.set_exception(CallFailedError(f"watch {stream} ended"))


async def main() -> None:
    address, path, request, greetings, end = sys.argv[1:]
    watchers = Watchers(address, path, bytes.fromhex(request), int(greetings), end=end == "True")
    await answer_requests(watchers.handle)


if __name__ == "__main__":
    uvloop.run(main())
