"""A feed that a test can pause."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.commits import Position
from configsvc.storage.listener import Listener
from configsvc.storage.log import LogPage
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service


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
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def paused_feed(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None]:
    """Stop the feed; at the end, let it read all that was committed meanwhile at once."""
    feed = PausedFeed(monkeypatch)
    feed.pause()
    try:
        yield
    finally:
        feed.resume()
