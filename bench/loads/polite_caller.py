"""A caller with one call every 10 ms.

Run as `bench.loads.polite_caller ADDRESS PATH REQUEST AUTHORIZATION`, the request in hexadecimal digits.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import grpc
import uvloop

from bench.loads.calls import method
from bench.loads.remote import answer_requests

EVERY_SECONDS = 0.01


async def latencies(call: Callable[[], Awaitable[bytes]], *, seconds: float) -> list[float]:
    """Call for a number of seconds and return the milliseconds that each call took. Raises AioRpcError."""
    until = time.monotonic() + seconds
    taken: list[float] = []
    while (began := time.monotonic()) < until:
        await call()
        taken.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(max(0.0, EVERY_SECONDS - taken[-1] / 1000))
    return taken


async def main(address: str, path: str, request: str, authorization: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = partial(method(channel, path, authorization), bytes.fromhex(request))
        await answer_requests(partial(latencies, call))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
