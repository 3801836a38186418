"""Commits of one configuration in SQL, and a raw LISTEN that hears of them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.loads import messages
from bench.peers.databases import Connection, connected

CHANNEL = "configsvc_changes"
LIMIT_SECONDS = 30.0

UPDATE = """
UPDATE configurations
SET config = jsonb_set(config, '{turn}', to_jsonb($3::text))
WHERE application = $1 AND name = $2
"""


class Committer:
    """A writer with one commit at a time. `heard_ms` has the delay of LISTEN for each commit."""

    def __init__(self, writing: Connection, listening: Connection) -> None:
        self.heard_ms: list[float] = []
        self._writing = writing
        self._listening = listening
        self._heard: asyncio.Queue[int] = asyncio.Queue()
        self._turn = 0

    @property
    def turn(self) -> str:
        """The turn in the content of the last commit."""
        return f"{self._turn:08d}"

    async def listen(self) -> None:
        """Start to listen."""
        await self._listening.add_listener(CHANNEL, self._hear)

    def _hear(self, _connection: object, _process: int, _channel: str, payload: object) -> None:
        # The service also notifies without a revision, to check its own connection.
        if payload:
            self._heard.put_nowait(time.monotonic_ns())

    async def commit(self) -> int:
        """Change the configuration, and return time.monotonic_ns of the moment before COMMIT was sent."""
        self._turn += 1
        transaction = self._writing.transaction()
        await transaction.start()
        await self._writing.execute(UPDATE, messages.APPLICATION, messages.WATCHED, self.turn)
        committed = time.monotonic_ns()
        await transaction.commit()
        async with asyncio.timeout(LIMIT_SECONDS):
            self.heard_ms.append((await self._heard.get() - committed) / 1e6)
        return committed


@asynccontextmanager
async def committer(database_url: str) -> AsyncGenerator[Committer]:
    """Yield a writer and a listener on connections of their own."""
    async with (
        connected(database_url, limit_seconds=LIMIT_SECONDS) as writing,
        connected(database_url, limit_seconds=LIMIT_SECONDS) as listening,
    ):
        commits = Committer(writing, listening)
        await commits.listen()
        yield commits
