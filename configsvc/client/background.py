"""A thread with a loop of its own, in which a store is followed."""

import asyncio
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress

from configsvc.client.errors import ConfigError
from configsvc.client.following import Following
from configsvc.client.reading import Configs
from configsvc.client.settings import Settings
from configsvc.client.store import Store

# For a thread to notice that another one is done, beside the limits of the settings.
GRACE_SECONDS = 1.0


class Background:
    """Follows a store until it is ended. `resumes`: on from what a forked child has inherited."""

    def __init__(self, settings: Settings, store: Store, *, resumes: bool) -> None:
        self._settings = settings
        self._following = Following(settings, store)
        self._resumes = resumes
        self._started: Future[None] = Future()
        # How to end the thread.
        self._cancel: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        self._is_ended = False
        # A daemon: who forgets to close a client can end.
        self._thread = threading.Thread(target=self._run, daemon=True, name="configsvc-client")

    def start(self) -> None:
        """Begin. Raises ConfigError where nothing would arrive."""
        self._following.begin()
        self._thread.start()

    def wait_for_start(self) -> None:
        """Wait until all configurations have arrived. Raises what `Following.start` raises, or TimeoutError."""
        until = time.monotonic() + self._settings.start_timeout + self._settings.close_timeout + GRACE_SECONDS
        # Briefly each time: Python sees a signal that comes just before a wait only after it.
        while not self._started.done() and time.monotonic() < until:
            wait((self._started,), GRACE_SECONDS)
        self._started.result(0)

    def _run(self) -> None:
        work = self._follow()
        try:
            asyncio.run(work)
        except asyncio.CancelledError:
            if not self._started.done():
                self._started.set_exception(ConfigError("the client was closed while starting"))
        except Exception as error:
            if self._started.done():
                raise
            # It is raised where the start is awaited.
            self._started.set_exception(error)
        finally:
            # It has not begun if there is no loop.
            work.close()

    async def _follow(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._cancel.set_result((asyncio.get_running_loop(), task))
        if self._is_ended:
            raise asyncio.CancelledError
        if self._resumes:
            self._following.resume()
        else:
            await self._following.start()
        self._started.set_result(None)
        try:
            await asyncio.Event().wait()
        finally:
            await self._following.close()

    def end(self) -> None:
        """Let the thread end, and wait for it, but not for ever."""
        self._is_ended = True
        if self._thread is threading.current_thread():
            return
        with suppress(TimeoutError, RuntimeError):  # it has not begun, or has ended
            loop, task = self._cancel.result(GRACE_SECONDS)
            loop.call_soon_threadsafe(task.cancel)
        with suppress(RuntimeError):  # it has not begun
            self._thread.join(self._settings.close_timeout + GRACE_SECONDS)


class FollowedConfigs(Configs):
    """Configurations that a forked child follows on by a thread, over HTTP, once it uses them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Store(settings))
        self._settings = settings
        # None: no thread of this client has followed yet.
        self._background: Background | None = None
        # Those of parents. They are not freed in a child, where nobody may touch gRPC, not even to close a channel.
        self._inherited: list[Background | None] = []
        if settings.http:
            self._store.follow_on = self._follow_on

    def _follow_on(self) -> None:
        self._inherited.append(self._background)
        self._background = Background(self._settings, self._store, resumes=True)
        self._callbacks.begin_anew()
        self._background.start()
