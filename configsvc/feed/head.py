"""The head of the history, asked of the database within a short time."""

import asyncio

from configsvc.aio import SharedRead
from configsvc.domain.errors import ConfigsvcError
from configsvc.storage import log
from configsvc.storage.database import Database

HEAD_LIMIT_SECONDS = 1.0


class Head:
    """The revision of the last commit, as the database has it; one query for all who ask at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads = SharedRead(self._read)

    async def revision_if_known(self) -> int | None:
        """Return the revision; None if the database does not respond in HEAD_LIMIT_SECONDS."""
        try:
            async with asyncio.timeout(HEAD_LIMIT_SECONDS):
                return await self._reads.read()
        except (TimeoutError, ConfigsvcError):
            return None

    async def _read(self) -> int:
        async with self._database.read() as connection:
            return await log.head(connection)
