"""Counted reads of the database, which a test can pause."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from configsvc.storage import configurations

LIMIT_SECONDS = 30.0


class DatabaseReads:
    """The counted reads of one configuration; while paused, each waits after the database has answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self._read: Callable[..., Awaitable[Any]] = configurations.get
        self._events = [asyncio.Event()]
        self._events[-1].set()
        self._answered = asyncio.Semaphore(0)
        monkeypatch.setattr(configurations, "get", self._counted)

    async def _counted(self, *arguments: object) -> Any:
        self.begun += 1
        event = self._events[-1]
        answer = await self._read(*arguments)
        self._answered.release()
        await event.wait()
        return answer

    def pause(self) -> None:
        """Pause the answers of all reads that begin from now on."""
        self._answered = asyncio.Semaphore(0)
        self._events.append(asyncio.Event())

    def pause_no_more(self) -> None:
        """Pause no further reads; paused ones stay paused."""
        self._events.append(asyncio.Event())
        self._events[-1].set()

    async def answered(self) -> None:
        """Wait until the database has answered one more read."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._answered.acquire()

    def resume(self) -> None:
        """Release every answer."""
        for event in self._events:
            event.set()
