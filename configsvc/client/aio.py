"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Unpack

from configsvc.client.background import FollowedConfigs
from configsvc.client.following import Following
from configsvc.client.mailbox import EndedError, Mailbox
from configsvc.client.settings import Options, Settings
from configsvc.client.store import Store
from configsvc.client.view import Change


class ConfigClient(FollowedConfigs):
    """Keeps a copy of an application's configurations. `async with` starts and closes it.

    The options are those of `Settings`. Making a client does no I/O.
    """

    def __init__(self, address: str, *, application: str, **options: Unpack[Options]) -> None:
        super().__init__(Settings(address=address, application=application, **options))
        self._following = Following(self._settings, self._store)

    async def __aenter__(self) -> "ConfigClient":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Wait until all configurations have arrived, at most `start_timeout`.

        Raises StoppedError if the service refuses, and NotReadyError if nothing arrives and there is no disk copy.
        """
        self._following.begin()
        await self._following.start()

    async def close(self) -> None:
        """End everything that the client has started, within twice `close_timeout`. What it has stays readable."""
        self._callbacks.end()
        if self._background and not self._store.is_forked:
            # In a child that follows on: its loop may be that of the parent, in which nothing can be awaited.
            self._background.end()
        else:
            await self._following.close()
        for seconds in self._callbacks.waits(self._settings.close_timeout):
            await asyncio.sleep(seconds)

    def changes(self, name: str | None = None) -> AsyncIterator[Change]:
        """Return the changes from now on, of one name or of all. A reader that is slow gets several as one."""
        return Changes(self._store, name)


class Changes(AsyncIterator[Change]):
    """Changes as they come, for a task that waits for them. It ends when the client is closed."""

    def __init__(self, store: Store, name: str | None) -> None:
        loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # Not if the loop is closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._arrived.set)

        self._mailbox = Mailbox(name, wake)
        store.attach(self._mailbox)

    async def __anext__(self) -> Change:
        while True:
            try:
                if change := self._mailbox.take():
                    return change
            except EndedError:
                raise StopAsyncIteration from None
            await self._arrived.wait()
            self._arrived.clear()
