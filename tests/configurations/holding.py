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
        self._gates = [asyncio.Event()]
        self._gates[-1].set()
        self._answered = asyncio.Semaphore(0)
        monkeypatch.setattr(configurations, "get", self._counted)

    async def _counted(self, *arguments: object) -> Any:
        self.begun += 1
        gate = self._gates[-1]
        answer = await self._read(*arguments)
        self._answered.release()
        await gate.wait()
        return answer

    def hold(self) -> None:
        """Pause the answers of all reads that begin from now on."""
        self._answered = asyncio.Semaphore(0)
        self._gates.append(asyncio.Event())

    def hold_no_more(self) -> None:
        """Pause no further reads; those that are paused stay so."""
        self._gates.append(asyncio.Event())
        self._gates[-1].set()

    async def answered(self) -> None:
        """Wait until the database has answered one more read."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._answered.acquire()

    def let_go(self) -> None:
        """Release every answer."""
        for gate in self._gates:
            gate.set()


class HeldFeed:
    """A feed that stays live but, while paused, learns nothing new."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read = Listener.page_from
        self._flowing = asyncio.Event()
        self._flowing.set()
        held = self

        async def page_from(listener: Listener, position: Position) -> LogPage:
            await held._flowing.wait()
            return await held._read(listener, position)

        monkeypatch.setattr(Listener, "page_from", page_from)

    def hold(self) -> None:
        self._flowing.clear()

    def let_go(self) -> None:
        self._flowing.set()


async def fed(service: Service, revision: int) -> None:
    """Wait until the feed of the service has read the revision."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while (await service.server.GetServerStatus(GetServerStatusRequest())).revision < revision:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
