"""A Redis for the tests: Debian's redis-server in a temporary folder, on a unix socket, without persistence."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.service import LIMIT_SECONDS, POLL_SECONDS

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")


class RedisServer:
    """A server that a test can kill, stop for a while, and start again with old data."""

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        self.path = folder / "redis.sock"
        self.url = f"unix://{self.path}"
        self.client: Any = Redis(unix_socket_path=str(self.path))
        self._folder = folder
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, with the data of the last `save`, if any."""
        assert PROGRAM is not None
        options = ("--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", str(self.path))
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM, *options, "--dir", str(self._folder), *self._options, stdout=log, stderr=log
            )
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await self._answers():  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)

    async def _answers(self) -> bool:
        with suppress(RedisError, OSError):
            return bool(await self.client.ping())
        return False

    async def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self.path.unlink(missing_ok=True)
        await self.client.connection_pool.disconnect()

    def stall(self) -> None:
        """Let it do nothing; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def save(self) -> None:
        """Write its data to disk, where `kill` and `start` find it."""
        await self.client.save()

    async def restore(self) -> None:
        """Replace its data by that of the last `save`."""
        await self.kill()
        await self.start()

    async def entries(self) -> dict[bytes, bytes]:
        """Return the entries of services."""
        keys: list[bytes] = [key for key in await self.client.keys("configsvc:*") if key != b"configsvc:probe"]
        values = await self.client.mget(keys) if keys else []
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    async def until_entries(self, count: int) -> dict[bytes, bytes]:
        """Wait until there are as many entries; return them."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(entries := await self.entries()) < count:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
        return entries


@asynccontextmanager
async def redis_server(*options: str) -> AsyncGenerator[RedisServer]:
    """Run a Redis of its own."""
    # Its path must be short enough for a unix socket.
    with tempfile.TemporaryDirectory(prefix="configsvc-redis-") as folder:
        server = RedisServer(Path(folder), options)
        await server.start()
        try:
            yield server
        finally:
            server.go_on()
            await server.kill()
            await server.client.aclose()
