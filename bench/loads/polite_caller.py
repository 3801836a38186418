"""A caller that calls now and then, and waits for each answer. Run as `bench.loads.polite_caller ADDRESS PATH REQUEST
AUTHORIZATION`, the request in hexadecimal digits.
"""

import asyncio
import sys
import time
from functools import partial
from typing import Any

import grpc
import uvloop

from bench.loads.remote import answer_requests

EVERY_SECONDS = 0.01


async def latencies(call: Any, request: bytes, metadata: tuple[tuple[str, str], ...], *, seconds: float) -> list[float]:
    """How long its calls took, in milliseconds, in order. Raises grpc.RpcError."""
    until = time.monotonic() + seconds
    taken: list[float] = []
    while (began := time.monotonic()) < until:
        await call(request, metadata=metadata, timeout=30)
        taken.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(max(0.0, EVERY_SECONDS - taken[-1] / 1000))
    return sorted(taken)


async def main(address: str, path: str, request: str, authorization: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        metadata = (("authorization", authorization),)
        await answer_requests(partial(latencies, channel.unary_unary(path), bytes.fromhex(request), metadata))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
