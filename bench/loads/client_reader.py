"""A new program that reads configurations with the client library. Run as `bench.loads.client_reader ADDRESS`."""

import asyncio
import gc
import importlib
import sys
import time

import psutil

from bench.loads import messages
from bench.loads.remote import answer_requests
from configsvc.client import ConfigClient

LIMIT_SECONDS = 120.0
MEBIBYTE = 1024 * 1024


async def read(*, reads: int) -> dict[str, float]:
    """Follow everything; return the time and the memory that it takes, and the processor time of a read."""
    memory = psutil.Process().memory_info
    before, began = memory().rss, time.perf_counter()
    async with ConfigClient(sys.argv[1], application=messages.APPLICATION, start_timeout=LIMIT_SECONDS) as configs:
        started = time.perf_counter() - began
        names = list(configs.snapshot())
        for name in names:
            _ = configs[name]
        gc.collect()
        grown = memory().rss - before
        return {
            "start_ms": started * 1000,
            "memory_mib": grown / MEBIBYTE,
            "read_us": _microseconds(configs, names, reads),
            "configurations": len(names),
        }


def _microseconds(configs: ConfigClient, names: list[str], reads: int) -> float:
    """Return the processor time of a read, which other programs disturb least."""
    rounds = max(1, reads // len(names))
    began = time.thread_time()
    for _ in range(rounds):
        for name in names:
            _ = configs[name]
    return (time.thread_time() - began) / (rounds * len(names)) * 1e6


async def main() -> None:
    # The memory of the libraries is not the client's. It imports them when it starts.
    importlib.import_module("configsvc.client.grpc_transport")
    await answer_requests(read)


if __name__ == "__main__":
    asyncio.run(main())
