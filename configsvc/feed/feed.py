"""The feed: one task of each process that reads the log in order, keeps what is recent, and wakes who waits for
more.
"""

import asyncio
import math
import random
import time

import structlog

from configsvc.access.policy import Bindings
from configsvc.configurations.cache import Cache
from configsvc.domain.commits import Commit, CommitPart, History, Position, position_after
from configsvc.domain.errors import (
    DatabaseUnavailableError,
    EpochChangedError,
    RevisionCompactedError,
    ShuttingDownError,
)
from configsvc.feed.ring import Ring
from configsvc.feed.wakeups import Topics, Waiter, Waiters
from configsvc.storage.listener import Listener, open_listener
from configsvc.storage.log import LogPage
from configsvc.telemetry.families import Families, counter, gauge

log = structlog.get_logger()

# A lost bell delays a change by this much at the most.
POLL_SECONDS = 2.0
# How often PostgreSQL is asked how full its queue of notifications is.
QUEUE_SECONDS = 15.0
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 3.0


class Feed:
    """Follows the log of one database. Everything here belongs to one event loop."""

    def __init__(self, url: str, cache: Cache, bindings: Bindings) -> None:
        self._url = url
        self._cache = cache
        self._bindings = bindings
        self._history = History("")
        self._next = position_after(0)
        # The commit of what is before _next: a log that says another is not the one that was read.
        self._last: Commit | None = None
        self._compacted_revision = 0
        self._ring = Ring()
        # Bound once: each watch asks for each part.
        self.part_at = self._ring.part_at
        self._waiters = Waiters()
        self._live = asyncio.Event()
        self._away = asyncio.Event()
        self._away.set()
        self._stopped = False
        self._verified = time.monotonic()
        self.connections_lost = 0
        self.notification_queue_usage = 0.0
        self._queue_asked = -math.inf

    @property
    def history(self) -> History:
        """What revision counts in; its epoch is empty before the first contact."""
        return self._history

    @property
    def revision(self) -> int:
        """The last revision that was read to its end."""
        return self._next.revision - 1

    @property
    def compacted_revision(self) -> int:
        """The first revision whose state could be read when last asked."""
        return self._compacted_revision

    @property
    def live(self) -> bool:
        """Whether new commits are heard of right now."""
        return self._live.is_set()

    @property
    def ring_parts(self) -> int:
        """How many parts of commits are kept for watches."""
        return len(self._ring)

    @property
    def ring_bytes(self) -> int:
        """What they take in memory, about."""
        return self._ring.bytes

    @property
    def lag_seconds(self) -> float:
        """How long ago the log was last read to its end: whatever was committed before that is known here."""
        return time.monotonic() - self._verified

    def collect(self) -> Families:
        """Yield the metrics of the feed. Prometheus asks for them in a thread of its own."""
        yield gauge("feed_revision", "Last revision that the feed has read to its end.", self.revision)
        yield gauge("feed_live", "1 while the feed hears of new commits.", self.live)
        yield gauge("feed_lag_seconds", "Time since the log was last read to its end.", self.lag_seconds)
        yield counter("feed_connections_lost", "Times that the feed lost the database.", self.connections_lost)
        yield gauge("ring_parts", "Parts of commits kept in memory for watches.", self.ring_parts)
        yield gauge("ring_bytes", "Approximate memory of these parts.", self.ring_bytes)
        yield gauge(
            "notification_queue_usage",
            "Used part of PostgreSQL's notification queue, 0 to 1.",
            self.notification_queue_usage,
        )

    async def wait_live(self) -> None:
        """Returns when new commits are heard of. Raises ShuttingDownError once stopped."""
        await self._live.wait()
        if self._stopped:
            raise ShuttingDownError

    async def wait_away(self) -> None:
        """Returns when the database is away."""
        await self._away.wait()

    def is_beyond(self, position: Position) -> bool:
        """Whether the log was read beyond the position."""
        return self._next > position

    def join(self, topics: Topics) -> Waiter:
        """For those who have read everything: a future that ends when there is something about one of the topics, or of
        whatever topic. Its result is where to go on: what is before that has nothing to do with them. To be left in the
        end.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter, topics)
        return waiter

    def leave(self, waiter: Waiter, topics: Topics) -> None:
        """Forgets a future that was joined."""
        self._waiters.discard(waiter, topics)

    def call(self, waiter: Waiter) -> None:
        """Ends a future that was joined, at the end of what was read; unless it is about to end anyway."""
        self._waiters.end(waiter, self._next)

    async def wait_revision(self, revision: int, limit_seconds: float) -> None:
        """Returns when the log was read up to the revision, or after the limit, or once stopped."""
        give_up = time.monotonic() + limit_seconds
        while self.revision < revision and not self._stopped and (left := give_up - time.monotonic()) > 0:
            waiter = self.join(None)
            try:
                await asyncio.wait((waiter,), timeout=left)
            finally:
                self.leave(waiter, None)

    def check_epoch(self, expected: str) -> None:
        """Raises EpochChangedError if the database's history is another one."""
        if expected != self._history.epoch:
            raise EpochChangedError(expected=expected, current=self._history.epoch)

    def check_history(self, expected: History) -> None:
        """Raises EpochChangedError if the revisions of then are not those of now, or ShuttingDownError once stopped."""
        if self._stopped:
            raise ShuttingDownError
        if expected is not self._history:
            raise EpochChangedError(expected=expected.epoch, current=self._history.epoch)

    async def stop(self) -> None:
        """Ends every wait with ShuttingDownError."""
        self._stopped = True
        self._live.set()
        await self._waiters.wake_all(self._next)

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
                self.connections_lost += 1
                log.warning("feed lost the database", error=repr(error.__cause__), attempt=attempt)
            await asyncio.sleep(_pause(attempt))
            attempt += 1

    async def _begin(self, listener: Listener) -> None:
        await self._read_bindings(listener)
        epoch = await listener.epoch()
        if epoch != self._history.epoch:
            await self._start_history(listener, epoch)

    async def _start_history(self, listener: Listener, epoch: str) -> None:
        bounds = await listener.bounds()
        self._compacted_revision = bounds.compacted_revision
        log.info(
            "feed begins a history", was=self._history.epoch, now=epoch, before=self.revision, revision=bounds.head
        )
        await self._go_to(History(epoch), bounds.head, bounds.head_commit)

    async def _go_to(self, history: History, head: int, last: Commit | None) -> None:
        self._history = history
        self._cache.clear()
        self._next = position_after(head)
        self._last = last
        self._ring.clear()
        await self._waiters.wake_all(self._next)

    async def _follow(self, listener: Listener) -> None:
        rang = False
        while True:
            if not rang:
                # Answers within the limit of a round trip, which the pages may take longer than.
                await listener.bounds()
            self._verified = await self._read_to_the_end(listener)
            self._bindings.confirm(self._verified)
            self._set_live(True)
            await self._ask_for_queue(listener)
            rang = await listener.wait_for_bell(POLL_SECONDS)

    async def _ask_for_queue(self, listener: Listener) -> None:
        now = time.monotonic()
        if now - self._queue_asked >= QUEUE_SECONDS:
            self._queue_asked = now
            self.notification_queue_usage = await listener.notification_queue_usage()

    async def _read_to_the_end(self, listener: Listener) -> float:
        """The monotonic time at which there was nothing more to read."""
        while True:
            asked = time.monotonic()
            page = await self._next_page(listener)
            if any(part.concerns_access for part in page.parts):
                # Before anybody is told of what came after it.
                await self._read_bindings(listener)
            for part in page.parts:
                self._append(part)
            if page.parts:
                await self._waiters.wake(page.parts)
            if not page.parts or self.revision >= page.head:
                return asked

    async def _read_bindings(self, listener: Listener) -> None:
        await self._bindings.replace(await listener.grants(), listener.held_to_the_end)

    async def _next_page(self, listener: Listener) -> LogPage:
        """What follows; at the head of another history, nothing, if the log does not go on where this ended."""
        try:
            page = await listener.page_from(self._next)
        except RevisionCompactedError:
            page = None
        if page is None or page.before != self._last:
            await self._read_bindings(listener)
            await self._start_history(listener, self._history.epoch)
            page = LogPage(before=self._last, parts=(), head=self.revision, compacted_revision=self._compacted_revision)
        self._compacted_revision = page.compacted_revision
        return page

    def _append(self, part: CommitPart) -> None:
        if part.first != self._next:
            raise RuntimeError(f"the log has a gap: {part.revision} follows {self.revision}")
        self._cache.forget_changed(part)
        self._ring.append(part)
        self._next = part.next
        self._last = part.commit

    def _set_live(self, live: bool) -> None:
        if live or self._stopped:
            self._live.set()
            self._away.clear()
        else:
            self._live.clear()
            self._away.set()


def _pause(attempt: int) -> float:
    # No larger power: a database can be away for days, and beyond 2^1023 there is no float.
    ceiling = min(RECONNECT_LAST_SECONDS, RECONNECT_FIRST_SECONDS * 2 ** min(attempt, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
