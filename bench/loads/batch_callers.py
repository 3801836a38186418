"""Callers with large requests, each with one call at a time.

Run as `bench.loads.batch_callers ADDRESS PATH REQUEST CALLERS`, REQUEST a file with the bytes.
"""

import asyncio
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import grpc
import uvloop

from bench.loads.calls import call_again, method
from bench.loads.messages import numbered
from bench.loads.remote import answer_requests


class BatchCallers:
    """Callers that repeat a request, with another number in it each time."""

    def __init__(self, channel: grpc.aio.Channel, path: str, request: bytes, callers: int) -> None:
        self._call = method(channel, path)
        self._request = request
        self._callers = callers
        # Processes with other numbers of callers begin elsewhere, so names never repeat.
        self._turns = count(callers * 10_000_000)

    async def handle(self, *, seconds: float) -> tuple[int, float]:
        """Call for a number of seconds; return the number of answers and the seconds until the last one.

        Raises the errors of call_again.
        """
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            callers = [tasks.create_task(self._run(began + seconds)) for _ in range(self._callers)]
        return sum(caller.result() for caller in callers), time.monotonic() - began

    async def _run(self, until: float) -> int:
        answered = 0
        while time.monotonic() < until:
            await call_again(partial(self._call, numbered(self._request, 0, next(self._turns))))
            answered += 1
        return answered


async def main(address: str, path: str, request: bytes, callers: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        await answer_requests(BatchCallers(channel, path, request, callers).handle)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes(), int(sys.argv[4])))
