"""Everything that a started client runs in a loop: its feed, and the task that keeps the copy on disk."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress

from configsvc.client.copies import Copies
from configsvc.client.disk import Disk
from configsvc.client.engine import Engine
from configsvc.client.errors import ConfigError, NotReadyError, StoppedError
from configsvc.client.feed import Feed
from configsvc.client.forks import FORKS
from configsvc.client.settings import Settings
from configsvc.client.store import Store
from configsvc.client.streams import Transport

log = logging.getLogger("configsvc.client")


class Following:
    """The tasks that keep a store up to date."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._copies = Copies(Disk(settings.disk_folder, settings), store) if settings.disk_folder else None
        self._feed_task: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # Set once the service has sent everything, or the feed has ended.
        self._settled = asyncio.Event()
        self._is_used = False
        self._is_closed = False

    async def start(self) -> None:
        """Wait until all configurations have arrived, at most `start_timeout`. Raises StoppedError or NotReadyError."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    def resume(self) -> None:
        """Follow on in a forked child, which waits for nothing: it has what it inherited."""
        self._run_feed()
        self._run_copies()

    def begin(self) -> None:
        """Register for forks, before `start` and `resume`, and before a thread runs. Raises ConfigError."""
        if self._is_used or self._is_closed:
            raise ConfigError("a client can be started once: make another one")
        self._is_used = True
        FORKS.begin(self._store, over_grpc=not self._settings.is_over_http, over_http=self._settings.http is not None)

    async def _start(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.start_timeout):
                if self._copies:
                    await self._load(self._copies)
                if not self._is_closed:
                    self._run_feed()
                    await self._settled.wait()
        if self._is_closed:
            raise ConfigError("the client was closed while starting")
        if self._store.stopped:
            raise self._store.stopped
        if self._store.view is None:
            why = self._store.last_error or "no answer"
            raise NotReadyError(f"nothing has arrived within {self._settings.start_timeout:g} s: {why}")
        self._run_copies()
        if not self._settled.is_set():
            log.warning("started from the copy on disk, %.0f s old: %s", self._store.staleness, self._store.last_error)

    async def _load(self, copies: Copies) -> None:
        # A disk that hangs leaves the other half to the service.
        limit_seconds = self._settings.start_timeout / 2
        try:
            async with asyncio.timeout(limit_seconds):
                await copies.load()
        except TimeoutError:
            log.warning("the copy on disk is not used: it could not be read within %g s", limit_seconds)

    def _run_feed(self) -> None:
        self._feed_task = self._run(self._feed().run(), "configsvc-feed")

    def _run_copies(self) -> None:
        if self._copies:
            self._run(self._copies.run(), "configsvc-copies")

    def _feed(self) -> Feed:
        settings, copies = self._settings, self._copies
        engine = Engine(
            self._store.view, accepts_empty=settings.accept_empty, renews_credentials=callable(settings.token)
        )
        changed = copies.ask if copies else lambda: None
        transport = self._transport()
        return Feed(engine, self._store, transport, token=settings.token, settled=self._settled, changed=changed)

    def _transport(self) -> Transport:
        # Imported here: importing them takes long, and grpc must not be active where a program forks.
        if self._settings.http:
            # Also for children that are forked later, where it must not be imported: see there.
            from configsvc.client.http_transport import HttpTransport  # noqa: PLC0415

            if self._settings.is_over_http or FORKS.is_without_grpc:
                return HttpTransport(self._settings)
        from configsvc.client.grpc_transport import GrpcTransport  # noqa: PLC0415

        return GrpcTransport(self._settings)

    def _run(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("the client failed", exc_info=error)
            self._store.end(StoppedError(f"the client failed: {error!r}"))
            self._settled.set()

    async def close(self) -> None:
        """End the tasks, within `close_timeout`."""
        if self._store.is_forked:
            self._store.end()
            return  # the tasks are those of the parent
        self._is_closed = True
        FORKS.end(self._store)
        self._store.end()
        # For a start that waits.
        self._settled.set()
        if self._feed_task:
            self._feed_task.cancel()
        if self._copies:
            self._copies.end()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.close_timeout)
            for task in late:
                task.cancel()
                log.warning("still running after %g s: %s", self._settings.close_timeout, task.get_name())
