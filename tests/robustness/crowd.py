"""A program that opens many watches at once and reports on them to its parent in JSON lines.

It reads lines: `until REVISION` is answered when every watch has reached the revision or one has ended; `ends` when
every watch has ended.
"""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import grpc

from configapi.v1.configuration_service_pb2 import WatchConfigurationsResponse
from tests.robustness.clients import watch_of
from tests.service import Service, connected, reason_if_any
from tests.watch.changing import with_epoch

CHANNELS = 10
BUSY = "UNAVAILABLE DATABASE_BUSY"
PROGRESS_SECONDS = 5


class Watch:
    """One watch: its revision, a digest of all its events, and its end."""

    def __init__(self) -> None:
        self.revision = -1
        self.token = ""
        self.synced = False
        self.end = ""
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    async def run(self, service: Service) -> None:
        """Watch until the end; begin again if the database was too busy with the others."""
        self.end = BUSY
        while self.end == BUSY:
            await self._read(service)

    async def _read(self, service: Service) -> None:
        request = await with_epoch(service, watch_of(after_revision=0))
        if self.token:
            request.resume_token = self.token
        request.progress_interval.FromSeconds(PROGRESS_SECONDS)
        try:
            async for message in service.configurations.WatchConfigurations(request):
                self._take(message)
        except grpc.aio.AioRpcError as error:
            self.end = f"{error.code().name} {reason_if_any(error)}"

    def _take(self, message: WatchConfigurationsResponse) -> None:
        self.synced = self.synced or message.synced
        if message.events:
            self._digest.update(message.SerializeToString(deterministic=True))
        if message.resume_token:
            self.token, self.revision = message.resume_token, message.revision


async def follow(watches: list[Watch], running: list[asyncio.Task[None]]) -> None:
    """Answer the parent."""
    async for command in commands():
        if command == "ends":
            await asyncio.wait(running)
            say(ends=Counter(watch.end for watch in watches))
        else:
            revision = int(command.removeprefix("until "))
            while not reached(watches, revision) and not any(task.done() for task in running):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            ends = Counter(watch.end for watch, task in zip(watches, running, strict=True) if task.done())
            say(digests=Counter(watch.digest for watch in watches), ends=ends)


def reached(watches: list[Watch], revision: int) -> bool:
    """Return whether every watch has reached the revision."""
    return all(watch.synced and watch.revision >= revision for watch in watches)


async def commands() -> AsyncGenerator[str]:
    """Yield the parent's commands, line by line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield line.decode().strip()


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def main(address: str, count: int) -> None:
    watches = [Watch() for _ in range(count)]
    async with AsyncExitStack() as channels:
        services = [await channels.enter_async_context(connected(address, asyncio.Event())) for _ in range(CHANNELS)]
        running = [asyncio.create_task(watch.run(services[number % CHANNELS])) for number, watch in enumerate(watches)]
        await follow(watches, running)
        for task in running:
            task.cancel()
        await asyncio.wait(running)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
