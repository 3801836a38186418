"""Many callers in one process, each with one call at a time.

Run as `bench.loads.callers ADDRESS PATH REQUEST CALLERS`, the request in hexadecimal digits.
"""

import asyncio
import sys
import time
from functools import partial
from itertools import count

import uvloop

from bench.loads.http2 import CallFailedError, Connection, connect
from bench.loads.messages import ROWS, numbered
from bench.loads.remote import answer_requests

CALLERS_PER_CONNECTION = 8
ANSWER_LIMIT_SECONDS = 30.0


class Callers:
    """Callers that repeat a request, with other numbers in it each time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._turns = count(1)
        self._until = 0.0
        self._open = 0
        self._failed = 0
        self._connections: list[Connection] = []
        # The connection of each caller.
        self._indexes: list[int] = []
        self._answered = 0
        self._idle = asyncio.Event()

    async def connect(self, address: str, path: str, callers: int) -> None:
        """Open the connections."""
        for caller in range(callers):
            index = caller // CALLERS_PER_CONNECTION
            if index == len(self._connections):
                ended = partial(self._ended, index)
                self._connections.append(await connect(address, path, lambda _stream, _arrived, _size: None, ended))
            self._indexes.append(index)

    async def handle(self, *, seconds: float) -> tuple[int, float]:
        """Call for a number of seconds; return the number of answers and the seconds until the last one."""
        self._answered = 0
        self._idle.clear()
        began = time.monotonic()
        self._until = began + seconds
        for index in self._indexes:
            self._call(index)
        async with asyncio.timeout(seconds + ANSWER_LIMIT_SECONDS):
            await self._idle.wait()
        if self._failed:
            raise CallFailedError(f"{self._failed} calls failed, {self._answered} succeeded")
        return self._answered, time.monotonic() - began

    def _call(self, index: int) -> None:
        turn = next(self._turns)
        self._connections[index].call(numbered(self._request, turn % ROWS, turn))
        self._open += 1

    def _ended(self, index: int, _stream: int, answered: bool) -> None:
        self._open -= 1
        if answered:
            self._answered += 1
        else:
            self._failed += 1
            self._until = 0.0
        if time.monotonic() < self._until:
            self._call(index)
        elif not self._open:
            self._idle.set()


async def main() -> None:
    address, path, request, callers = sys.argv[1:]
    calls = Callers(bytes.fromhex(request))
    await calls.connect(address, path, int(callers))
    await answer_requests(calls.handle)


if __name__ == "__main__":
    uvloop.run(main())
