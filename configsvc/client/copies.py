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
        # Set when there is something to save.
        self.due = asyncio.Event()

    async def load(self) -> None:
        """Let readers see the copy, with its age."""
        if copy := await _in_thread(self._disk.load):
            self._store.swap(copy.view, (), source="disk")
            self._store.confirm(age=copy.age)

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MOST_SECONDS):
                    await self.due.wait()
            self.due.clear()
            await self.save()
            await asyncio.sleep(LEAST_SECONDS)

    async def save(self) -> None:
        """Save what the service has sent."""
        view = self._store.view
        if view and self._store.source == "service":
            copy = Copy(view=view, confirmed_at=time.time() - self._store.staleness)
            await _in_thread(lambda: self._disk.save(copy))


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

    threading.Thread(target=run, daemon=True, name="configsvc-disk").start()
    return await answer
