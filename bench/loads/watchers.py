"""Many watchers in one process.

Run as `bench.loads.watchers ADDRESS PATH REQUEST GREETINGS END`, the request in hexadecimal digits; END is False if the
client's side of the stream must stay open.
"""

import sys

import uvloop

from bench.loads.arrivals import Arrivals
from bench.loads.http2 import Connection, connect
from bench.loads.remote import answer_requests

STREAMS_PER_CONNECTION = 100


class Watchers:
    """Streams of one request."""

    def __init__(self, address: str, path: str, request: bytes, greetings: int, *, end: bool) -> None:
        self._address = address
        self._path = path
        self._request = request
        self._end = end
        self._connections: list[Connection] = []
        self._on_last = STREAMS_PER_CONNECTION
        self.arrivals = Arrivals(greetings, self._open)

    async def _open(self) -> None:
        if self._on_last == STREAMS_PER_CONNECTION:
            self._connections.append(await connect(self._address, self._path, self._received, self._ended))
            self._on_last = 0
        self._connections[-1].call(self._request, end=self._end)
        self._on_last += 1

    def _received(self, _stream: int, arrived: int, size: int) -> None:
        self.arrivals.received(arrived, size)

    def _ended(self, _stream: int, _answered: bool) -> None:
        self.arrivals.ended()


async def main() -> None:
    address, path, request, greetings, end = sys.argv[1:]
    watchers = Watchers(address, path, bytes.fromhex(request), int(greetings), end=end == "True")
    await answer_requests(watchers.arrivals.handle)


if __name__ == "__main__":
    uvloop.run(main())
