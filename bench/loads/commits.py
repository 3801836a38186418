"""Commits of one configuration in SQL, and the raw LISTEN that hears of the same ones."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from bench.loads import messages

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

CHANNEL = "configsvc_changes"
LIMIT_SECONDS = 30.0

UPDATE = """
UPDATE configurations
SET config = jsonb_set(config, '{turn}', to_jsonb($3::text))
WHERE application = $1 AND name = $2
"""


class Committer:
    """Commits one at a time. `heard_ms` has, for each commit, how long LISTEN took to hear of it."""

    def __init__(self, writing: "Connection", listening: "Connection") -> None:
        self.heard_ms: list[float] = []
        self._writing = writing
        self._listening = listening
        self._heard: asyncio.Queue[int] = asyncio.Queue()
        self._turn = 0

    async def listen(self) -> None:
        """Begins to hear."""
        await self._listening.add_listener(CHANNEL, self._hear)

    def _hear(self, _connection: object, _process: int, _channel: str, payload: object) -> None:
        # The service rings without a revision too, to know that it hears.
        if payload:
            self._heard.put_nowait(time.monotonic_ns())

    async def commit(self) -> int:
        """Changes the configuration, and returns time.monotonic_ns of the moment before COMMIT was sent."""
        self._turn += 1
        transaction = self._writing.transaction()
        await transaction.start()
        await self._writing.execute(UPDATE, messages.APPLICATION, messages.WATCHED, f"{self._turn:08d}")
        committed = time.monotonic_ns()
        await transaction.commit()
        async with asyncio.timeout(LIMIT_SECONDS):
            self.heard_ms.append((await self._heard.get() - committed) / 1e6)
        return committed


@asynccontextmanager
async def committer(database_url: str) -> AsyncGenerator[Committer]:
    """A writer and a listener on connections of their own."""
    writing = await asyncpg.connect(database_url, timeout=10, command_timeout=LIMIT_SECONDS)
    listening = await asyncpg.connect(database_url, timeout=10, command_timeout=LIMIT_SECONDS)
    try:
        commits = Committer(writing, listening)
        await commits.listen()
        yield commits
    finally:
        writing.terminate()
        listening.terminate()
