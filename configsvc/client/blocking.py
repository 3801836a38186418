"""The client for programs without an event loop."""

import asyncio
import atexit
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from types import TracebackType
from typing import Unpack

from configsvc.client.callbacks import WaitingChanges
from configsvc.client.errors import ConfigError, NotReadyError
from configsvc.client.following import Following
from configsvc.client.reading import Configs
from configsvc.client.settings import Options, Settings
from configsvc.client.store import Store
from configsvc.client.view import Change

# For a thread to notice that another one is done, beside the limits of the settings.
_GRACE_SECONDS = 1.0


class ConfigClient(Configs):
    """Keeps a copy of an application's configurations, by a thread of its own. `with` starts and closes it.

    The options are those of `Settings`. Making a client does no I/O.
    """

    def __init__(self, address: str, *, application: str, **options: Unpack[Options]) -> None:
        self._settings = settings = Settings(address=address, application=application, **options)
        super().__init__(Store(settings))
        self._started: Future[None] = Future()
        # How to end the thread.
        self._cancel: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def __enter__(self) -> "ConfigClient":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Wait until all configurations have arrived, at most `start_timeout`.

        Raises StoppedError if the service refuses, and NotReadyError if nothing arrives and there is no disk copy.
        """
        if self._thread or self._is_closed:
            raise ConfigError("a client can be started once: make another one")
        # A daemon, closed at the end of the program: who forgets to close it can end.
        self._thread = threading.Thread(target=self._run, daemon=True, name="configsvc-client")
        atexit.register(self.close)
        try:
            self._thread.start()
            self._wait_for_start()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise NotReadyError("the thread of the client does not run") from error
            raise

    def _wait_for_start(self) -> None:
        until = time.monotonic() + self._settings.start_timeout + self._settings.close_timeout + _GRACE_SECONDS
        # Briefly each time: Python sees a signal that comes just before a wait only after it.
        while not self._started.done() and time.monotonic() < until:
            wait((self._started,), _GRACE_SECONDS)
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
        if self._is_closed:
            raise asyncio.CancelledError
        following = Following(self._settings, self._store)
        await following.start()
        self._started.set_result(None)
        try:
            await asyncio.Event().wait()
        finally:
            await following.close()

    def close(self) -> None:
        """End everything that the client has started, within twice `close_timeout`. What it has stays readable."""
        self._is_closed = True
        self._callbacks.end()
        if self._thread and self._thread is not threading.current_thread() and not self._store.is_forked:
            self._end_thread(self._thread)
        for seconds in self._callbacks.waits(self._settings.close_timeout):
            time.sleep(seconds)
        atexit.unregister(self.close)

    def _end_thread(self, thread: threading.Thread) -> None:
        with suppress(TimeoutError, RuntimeError):  # it has not begun, or has ended
            loop, task = self._cancel.result(_GRACE_SECONDS)
            loop.call_soon_threadsafe(task.cancel)
        with suppress(RuntimeError):  # it has not begun
            thread.join(self._settings.close_timeout + _GRACE_SECONDS)

    def changes(self, name: str | None = None) -> Iterator[Change]:
        """Return the changes from now on, of one name or of all, as an iterator that waits for them.

        A reader that is slow gets several as one. It ends when the client is closed.
        """
        return WaitingChanges(self._store, name)
