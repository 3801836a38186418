"""Helpers that count reads of the database, and pause a read or the feed at the point under test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.commits import Position
from configsvc.storage import configurations
from configsvc.storage.listener import Listener
from configsvc.storage.log import LogPage
from tests.service import Service

LIMIT_SECONDS = 30.0
PAUSE_SECONDS = 0.005


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
        """Pause no further reads; those that are paused stay so."""
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


class PausedFeed:
    """A feed that stays live but, while paused, learns nothing new."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read = Listener.page_from
        self._flowing = asyncio.Event()
        self._flowing.set()
        paused = self

        async def page_from(listener: Listener, position: Position) -> LogPage:
            await paused._flowing.wait()
            return await paused._read(listener, position)

        monkeypatch.setattr(Listener, "page_from", page_from)

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()


async def fed(service: Service, revision: int) -> None:
    """Wait until the feed of the service has read the revision."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while (await service.server.GetServerStatus(GetServerStatusRequest())).revision < revision:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
