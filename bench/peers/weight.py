"""What a service holds in memory while something is done."""

import asyncio

import psutil

from bench.peers.processes import Running

WEIGH_SECONDS = 0.5


async def weigh(server: Running, stop: asyncio.Event) -> float:
    """The most that the server and its processes held until stop was set, in KiB."""
    most = 0.0
    while not stop.is_set():
        family = [server.process, *server.process.children(recursive=True)]
        held = 0
        for process in family:
            try:
                held += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        most = max(most, held / 1024)
        await asyncio.sleep(WEIGH_SECONDS)
    return most
