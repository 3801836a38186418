"""Processes that each follow one configuration with the client library.

Run as `bench.loads.client_crowd ADDRESS COUNT`. They are forked from one that has imported everything and started
nothing, so that they share the memory of the code, as the workers of a preloaded server do.
"""

import asyncio
import importlib
import os
import sys
import time
from statistics import median

import psutil

from bench.loads import messages
from bench.loads.remote import answer_requests
from configsvc.client import ConfigClient

LIMIT_SECONDS = 120.0
MEBIBYTE = 1024 * 1024


class Crowd:
    """The processes, and what they have told: each time one has another view, its turn, and when that was."""

    def __init__(self, address: str, count: int) -> None:
        told, tell = os.pipe()
        # Its end tells the children to end.
        alive, self._held = os.pipe()
        self._told = told
        self._children = [_forked(address, tell, alive, (told, self._held)) for _ in range(count)]
        os.close(tell)
        self._arrivals: dict[str, list[int]] = {}

    async def listen(self) -> None:
        """Collect what the children tell, and answer requests."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._told, "rb")
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        collecting = asyncio.create_task(self._collect(reader))
        await answer_requests(self.answer)
        collecting.cancel()

    async def _collect(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            turn, at = line.decode().split()
            self._arrivals.setdefault(turn, []).append(int(at))

    async def answer(self, *, turn: str) -> dict[str, float]:
        """Wait until every child has the turn; empty: until it has started. Return when the last had it, and the memory
        of a child that is its own.
        """
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self._arrivals.get(turn or "started", [])) < len(self._children):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        own = [psutil.Process(child).memory_full_info().uss / MEBIBYTE for child in self._children]
        return {"last_ns": max(self._arrivals[turn or "started"]), "own_mib": median(own)}


def _forked(address: str, tell: int, alive: int, of_parent: tuple[int, ...]) -> int:
    child = os.fork()
    if child:
        return child
    for descriptor in (*of_parent, 0, 1):
        os.close(descriptor)
    try:
        asyncio.run(_follow(address, tell, alive))
    finally:
        os._exit(1)


async def _follow(address: str, tell: int, alive: int) -> None:
    asyncio.get_running_loop().add_reader(alive, os._exit, 0)
    client = ConfigClient(
        address, application=messages.APPLICATION, names=[messages.WATCHED], start_timeout=LIMIT_SECONDS
    )
    async with client as configs:
        changes = configs.changes()
        _tell(tell, "started")
        async for _ in changes:
            _tell(tell, configs[messages.WATCHED]["turn"])


def _tell(tell: int, turn: str) -> None:
    os.write(tell, f"{turn} {time.monotonic_ns()}\n".encode())


def main() -> None:
    address = sys.argv[1]
    # As the client does when it starts.
    transport = "http" if address.startswith("http") else "grpc"
    importlib.import_module(f"configsvc.client.{transport}_transport")
    asyncio.run(Crowd(address, int(sys.argv[2])).listen())


if __name__ == "__main__":
    main()
