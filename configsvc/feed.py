"""The feed: one task of each process that reads the log in order, keeps what is recent, and wakes who waits for
more.
"""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass

import structlog

from configsvc.domain.errors import DatabaseUnavailableError, EpochChangedError, ShuttingDownError
from configsvc.domain.models import Commit
from configsvc.storage.listener import Listener, open_listener

log = structlog.get_logger()

# A lost bell delays a change by this much at the most.
POLL_SECONDS = 2.0
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 3.0
READ_LIMIT = 500
READ_LIMIT_BYTES = 4 * 1024 * 1024
RING_LIMIT = 10_000
RING_LIMIT_BYTES = 64 * 1024 * 1024
# Waking ten thousand watches at once would stall the event loop for a second.
WAKE_SLICE = 256


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What revisions count in. Two with one epoch are still two: a database can be restored to an earlier state of
    the same timeline.
    """

    epoch: str


class Feed:
    """Follows the log of one database. Everything here belongs to one event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._history = History("")
        self._revision = 0
        self._ring: deque[Commit] = deque()
        self._ring_bytes = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._live = asyncio.Event()
        self._away = asyncio.Event()
        self._away.set()
        self._stopped = False
        self._verified = time.monotonic()

    @property
    def history(self) -> History:
        """What revision counts in; its epoch is empty before the first contact."""
        return self._history

    @property
    def revision(self) -> int:
        """The last revision that was read: everything up to here is in the ring or was dropped from it."""
        return self._revision

    @property
    def live(self) -> bool:
        """Whether new commits are heard of right now."""
        return self._live.is_set()

    @property
    def lag_seconds(self) -> float:
        """How long ago the log was last read to its end."""
        return time.monotonic() - self._verified

    async def wait_live(self) -> None:
        """Returns when new commits are heard of. Raises ShuttingDownError once stopped."""
        await self._live.wait()
        if self._stopped:
            raise ShuttingDownError

    async def wait_away(self) -> None:
        """Returns when the database is away."""
        await self._away.wait()

    def commits_after(self, revision: int) -> list[Commit] | None:
        """The recent commits after the revision, in order; None if some of them have left the ring."""
        missing = self._revision - revision
        if missing > len(self._ring):
            return None
        return [self._ring[-place] for place in range(missing, 0, -1)]

    async def wait_beyond(self, revision: int, limit_seconds: float) -> bool:
        """Whether there is more than the revision, at once or within the limit. Raises ShuttingDownError once
        stopped.
        """
        if self._revision <= revision and not self._stopped:
            await self._wait(limit_seconds)
        if self._stopped:
            raise ShuttingDownError
        return self._revision > revision

    async def _wait(self, limit_seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(limit_seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)

    def check_epoch(self, expected: str) -> None:
        """Raises EpochChangedError if the database's history is another one."""
        if expected != self._history.epoch:
            raise EpochChangedError(expected=expected, current=self._history.epoch)

    def check_history(self, expected: History) -> None:
        """Raises EpochChangedError if the revisions of then are not those of now."""
        if expected is not self._history:
            raise EpochChangedError(expected=expected.epoch, current=self._history.epoch)

    async def stop(self) -> None:
        """Ends every wait with ShuttingDownError."""
        self._stopped = True
        self._live.set()
        await self._wake()

    async def run(self) -> None:
        """Follows the log until it is cancelled, through every loss of the connection."""
        attempt = 0
        while True:
            try:
                async with open_listener(self._url) as listener:
                    await self._begin(listener)
                    attempt = 0
                    await self._follow(listener)
            except DatabaseUnavailableError as error:
                self._set_live(False)
                log.warning("feed lost the database", error=repr(error.__cause__), attempt=attempt)
            await asyncio.sleep(_pause(attempt))
            attempt += 1

    async def _begin(self, listener: Listener) -> None:
        epoch, head = await listener.epoch(), await listener.head()
        if epoch != self._history.epoch or head < self._revision:
            log.info("feed begins a history", was=self._history.epoch, now=epoch, revision=head)
            await self._start_history(History(epoch), head)

    async def _start_history(self, history: History, head: int) -> None:
        self._history = history
        self._revision = head
        self._ring.clear()
        self._ring_bytes = 0
        await self._wake()

    async def _follow(self, listener: Listener) -> None:
        while True:
            await self._read_to_the_end(listener)
            self._verified = time.monotonic()
            self._set_live(True)
            await listener.wait_for_bell(POLL_SECONDS)

    async def _read_to_the_end(self, listener: Listener) -> None:
        while commits := await listener.commits_after(self._revision, limit_bytes=READ_LIMIT_BYTES, limit=READ_LIMIT):
            for commit in commits:
                self._append(commit)
            await self._wake()

    def _append(self, commit: Commit) -> None:
        if commit.revision != self._revision + 1:
            raise RuntimeError(f"the log has a gap: {commit.revision} follows {self._revision}")
        self._ring.append(commit)
        self._ring_bytes += commit.content_bytes
        self._revision = commit.revision
        while len(self._ring) > RING_LIMIT or self._ring_bytes > RING_LIMIT_BYTES:
            self._ring_bytes -= self._ring.popleft().content_bytes

    async def _wake(self) -> None:
        for count, waiter in enumerate(list(self._waiters), start=1):
            if not waiter.done():
                waiter.set_result(None)
            if count % WAKE_SLICE == 0:
                await asyncio.sleep(0)

    def _set_live(self, live: bool) -> None:
        if live:
            self._live.set()
            self._away.clear()
        else:
            self._live.clear()
            self._away.set()


def _pause(attempt: int) -> float:
    ceiling = min(RECONNECT_LAST_SECONDS, RECONNECT_FIRST_SECONDS * 2**attempt)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
