"""A new program that reads configurations with the client library. Run as `bench.loads.client_reader ADDRESS`."""

import asyncio
import gc
import importlib
import sys
import time
from contextlib import AsyncExitStack

import psutil

from bench.loads import messages
from bench.loads.remote import answer_requests
from configsvc.client import ConfigClient

LIMIT_SECONDS = 120.0
MEBIBYTE = 1024 * 1024


def _client() -> ConfigClient:
    return ConfigClient(sys.argv[1], application=messages.APPLICATION, start_timeout=LIMIT_SECONDS)


class Reader:
    """The program, which answers one request after the other."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._follows: ConfigClient | None = None

    async def answer(self, *, reads: int = 0, turn: str = "") -> dict[str, float]:
        """Measure a start and reads; or, with a turn, follow until it comes, and return the processor time so far."""
        if reads:
            return await _read(reads)
        if self._follows is None:
            self._follows = await self._stack.enter_async_context(_client())
        changes = self._follows.changes(messages.WATCHED)
        async with asyncio.timeout(LIMIT_SECONDS):
            while turn and self._follows[messages.WATCHED]["turn"] != turn:
                await anext(changes)
        return {"cpu_s": time.process_time()}


async def _read(reads: int) -> dict[str, float]:
    """Follow everything; return the time and the memory that it takes, and the processor time of a read."""
    memory = psutil.Process().memory_info
    before, began, used = memory().rss, time.perf_counter(), time.process_time()
    async with _client() as configs:
        started, start_used = time.perf_counter() - began, time.process_time() - used
        names = list(configs.snapshot())
        for name in names:
            _ = configs[name]
        gc.collect()
        grown = memory().rss - before
        return {
            "start_ms": started * 1000,
            "start_cpu_ms": start_used * 1000,
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
    transport = "http" if sys.argv[1].startswith("http") else "grpc"
    importlib.import_module(f"configsvc.client.{transport}_transport")
    async with AsyncExitStack() as stack:
        await answer_requests(Reader(stack).answer)


if __name__ == "__main__":
    asyncio.run(main())
