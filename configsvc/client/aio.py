"""The client for programs with an event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Unpack

from configsvc.client.copies import Copies
from configsvc.client.disk import Disk
from configsvc.client.engine import Engine
from configsvc.client.errors import ConfigError, NotReadyError, StoppedError
from configsvc.client.feed import Feed
from configsvc.client.mailbox import EndedError, Mailbox
from configsvc.client.reading import Configs
from configsvc.client.settings import Options, Settings
from configsvc.client.store import Store
from configsvc.client.view import Change

_POLL_SECONDS = 0.01

log = logging.getLogger("configsvc.client")


class ConfigClient(Configs):
    """Keeps a copy of an application's configurations. `async with` starts and closes it.

    The options are those of `Settings`. Making a client does no I/O.
    """

    def __init__(self, address: str, *, application: str, **options: Unpack[Options]) -> None:
        self._settings = settings = Settings(address=address, application=application, **options)
        super().__init__(Store(settings.instance, stale_after=settings.stale_after, on_stale=settings.on_stale))
        self._tasks: list[asyncio.Task[None]] = []
        self._copies = Copies(Disk(settings.disk_folder, settings), self._store) if settings.disk_folder else None
        self._is_used = False

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
        if self._is_used:
            raise ConfigError("a client can be started once: make another one")
        self._is_used = True
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        settled = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.start_timeout):
                if self._copies:
                    await self._copies.load()
                self._run(self._feed(settled).run(), "configsvc-feed")
                await settled.wait()
        if self._store.stopped:
            raise self._store.stopped
        if self._store.view is None:
            why = self._store.last_error or "no answer"
            raise NotReadyError(f"nothing has arrived within {self._settings.start_timeout:g} s: {why}")
        if self._copies:
            self._run(self._copies.run(), "configsvc-copies")
        if not settled.is_set():
            log.warning("started from the copy on disk, %.0f s old: %s", self.staleness, self._store.last_error)

    def _feed(self, settled: asyncio.Event) -> Feed:
        # Imported here: it brings grpc, which takes long, and must not be active where a program forks.
        from configsvc.client.grpc_transport import GrpcTransport  # noqa: PLC0415

        settings, copies = self._settings, self._copies
        engine = Engine(
            self._store.view, accepts_empty=settings.accept_empty, renews_credentials=callable(settings.token)
        )
        changed = copies.due.set if copies else lambda: None
        transport = GrpcTransport(settings)
        return Feed(engine, self._store, transport, token=settings.token, settled=settled, changed=changed)

    def _run(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("the client failed", exc_info=error)
            self._store.end(StoppedError(f"the client failed: {error!r}"))

    async def close(self) -> None:
        """End everything that the client has started, within `close_timeout`. What it has read stays readable."""
        self._store.end()
        self._callbacks.end()
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout):
                if self._tasks:
                    await asyncio.wait(self._tasks)
                if self._copies:
                    await self._copies.save()
                while self._callbacks.running:  # noqa: ASYNC110  # threads do not tell a loop that they end
                    await asyncio.sleep(_POLL_SECONDS)
        for name in (*[task.get_name() for task in self._tasks if not task.done()], *self._callbacks.running):
            log.warning("still running after %g s: %s", self._settings.close_timeout, name)

    def changes(self, name: str | None = None) -> AsyncIterator[Change]:
        """Return the changes from now on, of one name or of all. A reader that is slow gets several as one."""
        return _Changes(self._store, name)


class _Changes(AsyncIterator[Change]):
    """Changes as they come, until the client is closed."""

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
            self._arrived.clear()
            try:
                if change := self._mailbox.take():
                    return change
            except EndedError:
                raise StopAsyncIteration from None
            await self._arrived.wait()
