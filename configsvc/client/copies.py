"""The task that keeps the copy on disk up to date, and the threads in which the disk is used."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from configsvc.client.disk import Copy, Disk
from configsvc.client.store import Store

Answer = TypeVar("Answer")

# Between two copies, and, while nothing changes, for the age of the copy.
LEAST_SECONDS = 1.0
MOST_SECONDS = 300.0


class Copies:
    """Saves the view of a store after changes, and now and then."""

    def __init__(self, disk: Disk, store: Store) -> None:
        self._disk = disk
        self._store = store
        self._due = asyncio.Event()
        self._ends = asyncio.Event()

    def ask(self) -> None:
        """Save soon."""
        self._due.set()

    def end(self) -> None:
        """Save a last time, and end."""
        self._ends.set()
        self._due.set()

    async def load(self) -> None:
        """Let readers see the copy, with its age."""
        if copy := await _in_thread(self._disk.load):
            self._store.swap(copy.view, (), source="disk")
            self._store.confirm(age=copy.age)

    async def run(self) -> None:
        """Save until told to end."""
        while True:
            await _wait(self._due, MOST_SECONDS)
            self._due.clear()
            await self._save()
            if self._ends.is_set():
                return
            await _wait(self._ends, LEAST_SECONDS)

    async def _save(self) -> None:
        """Save what the service has sent."""
        view = self._store.view
        if view and self._store.source == "service":
            copy = Copy(view=view, confirmed_at=time.time() - self._store.staleness)
            await _in_thread(lambda: self._disk.save(copy))


async def _wait(event: asyncio.Event, limit_seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            await event.wait()


async def _in_thread(work: Callable[[], Answer]) -> Answer:
    """Return the result of work in a thread of its own, which keeps no program from ending if a disk hangs."""
    loop, answer = asyncio.get_running_loop(), asyncio.Future[Answer]()

    def settle(result: Answer | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # pyright: ignore[reportArgumentType]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
            failure = error
        # Not if the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    thread = threading.Thread(target=run, daemon=True, name="configsvc-disk")
    thread.start()
    await asyncio.wait((answer,))
    # It ends now, and is not to outlive the client by a moment.
    thread.join()
    return answer.result()
