"""The feed: the one task of each process that reads the log in order and wakes those waiting for new commits."""

import asyncio
import math
import random
import time
from collections.abc import Sequence

import structlog

from configsvc.domain.commits import Commit, CommitPart, History, Position, position_after
from configsvc.domain.errors import (
    DatabaseUnavailableError,
    EpochChangedError,
    RevisionCompactedError,
    ShuttingDownError,
)
from configsvc.feed.observers import FeedObserver
from configsvc.feed.ring import Ring
from configsvc.feed.wakeups import Interest, Waiter, Waiters
from configsvc.storage.listener import Listener, open_listener
from configsvc.storage.log import LogPage
from configsvc.telemetry.families import Families, counter, gauge
from configsvc.telemetry.repetition import Repetition

log = structlog.get_logger()

# The longest delay of a change whose notification was lost.
POLL_SECONDS = 2.0
# The interval at which PostgreSQL is asked for the fill level of its notification queue.
QUEUE_SECONDS = 15.0
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 3.0


class Feed:
    """Follows the log of one database. Belongs to one event loop."""

    def __init__(self, url: str, observers: Sequence[FeedObserver]) -> None:
        self._url = url
        self._observers = observers
        self._history = History("")
        self._next = position_after(0)
        # The commit before _next. If the log names another one there, it is another history.
        self._last: Commit | None = None
        self._compacted_revision = 0
        self._ring = Ring()
        # Bound once: every watch asks for every part.
        self.part_at = self._ring.part_at
        self._waiters = Waiters()
        self.interests = self._waiters.interests
        self._live = asyncio.Event()
        self._away = asyncio.Event()
        self._away.set()
        self._stopped = False
        self._verified = time.monotonic()
        self._attempt = 0
        self._losses = Repetition()
        self.connections_lost = 0
        self.reads = 0
        self.unreadable_records = 0
        self.notification_queue_usage = 0.0
        self._queue_asked = -math.inf

    @property
    def history(self) -> History:
        """The history that revisions count in; its epoch is empty before the first connection."""
        return self._history

    @property
    def revision(self) -> int:
        """The last revision that was read completely."""
        return self._next.revision - 1

    @property
    def end(self) -> Position:
        """The log position that is read next."""
        return self._next

    @property
    def compacted_revision(self) -> int:
        """The first revision whose state can still be read, as of the last look."""
        return self._compacted_revision

    @property
    def live(self) -> bool:
        """True while the feed is connected and hears of new commits."""
        return self._live.is_set()

    @property
    def ring_parts(self) -> int:
        return len(self._ring)

    @property
    def ring_bytes(self) -> int:
        """The approximate memory of the ring."""
        return self._ring.bytes

    @property
    def lag_seconds(self) -> float:
        """Seconds since the log was last read to its end: everything committed before that is known here."""
        return time.monotonic() - self._verified

    def collect(self) -> Families:
        """Yield the metrics of the feed. Prometheus asks for them in a thread of its own."""
        yield gauge("feed_revision", "Last revision that the feed has read completely.", self.revision)
        yield gauge("feed_live", "1 while the feed receives new commits.", self.live)
        yield gauge("feed_lag_seconds", "Time since the log was last read to its end.", self.lag_seconds)
        yield counter("feed_connections_lost", "Times that the feed lost the database.", self.connections_lost)
        yield counter("feed_reads", "Pages of the log that the feed has read, including empty ones.", self.reads)
        yield counter("unreadable_records", "Records of the log that could not be read.", self.unreadable_records)
        yield gauge("ring_parts", "Parts of commits kept in memory for watches.", self.ring_parts)
        yield gauge("ring_bytes", "Approximate memory of these parts.", self.ring_bytes)
        yield gauge(
            "notification_queue_usage",
            "Used fraction of PostgreSQL's notification queue, 0 to 1.",
            self.notification_queue_usage,
        )

    async def wait_live(self) -> None:
        """Wait until the feed is live. Raises ShuttingDownError once stopped."""
        await self._live.wait()
        if self._stopped:
            raise ShuttingDownError

    async def wait_away(self) -> None:
        """Wait until the database is away."""
        await self._away.wait()

    def is_beyond(self, position: Position) -> bool:
        """Return whether the log was read beyond the position."""
        return self._next > position

    def join(self, interest: Interest | None) -> Waiter:
        """Return a future that resolves when a commit touches the interest, which is in `interests` (None: any commit).

        Its result is the log position to go on from: nothing before that touches it. For callers that have read
        everything; each must call `leave` in the end.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter, interest)
        return waiter

    def leave(self, waiter: Waiter, interest: Interest | None) -> None:
        """Forget a future that `join` returned."""
        self._waiters.discard(waiter, interest)

    def is_waiting(self, waiter: Waiter) -> bool:
        """Return whether a future that `join` returned is unresolved: nothing that was read touches its interest."""
        return waiter in self._waiters

    def wake(self, waiter: Waiter) -> None:
        """Resolve a future that `join` returned with the end of the log, unless it is being resolved already."""
        self._waiters.resolve(waiter, self._next)

    async def wait_revision(self, revision: int, limit_seconds: float) -> None:
        """Wait until the log was read up to the revision, the limit has passed, or the feed was stopped."""
        give_up = time.monotonic() + limit_seconds
        while self.revision < revision and not self._stopped and (left := give_up - time.monotonic()) > 0:
            waiter = self.join(None)
            try:
                await asyncio.wait((waiter,), timeout=left)
            finally:
                self.leave(waiter, None)

    def check_epoch(self, expected: str) -> None:
        """Raise EpochChangedError if the epoch of the database is another one."""
        if expected != self._history.epoch:
            raise EpochChangedError(expected=expected, current=self._history.epoch)

    def epoch_for(self, expected: str = "") -> str:
        """Return the epoch for a response that is about to be read. `expected`: what the request names; empty: any.

        Raises EpochChangedError, or DatabaseUnavailableError before the first contact with the database.
        """
        if not self._history.epoch:
            raise DatabaseUnavailableError
        if expected:
            self.check_epoch(expected)
        return self._history.epoch

    def check_history(self, expected: History) -> None:
        """Raise EpochChangedError if the history has changed, or ShuttingDownError once stopped."""
        if self._stopped:
            raise ShuttingDownError
        if expected is not self._history:
            raise EpochChangedError(expected=expected.epoch, current=self._history.epoch)

    async def stop(self) -> None:
        """End every wait with ShuttingDownError."""
        self._stopped = True
        self._live.set()
        await self._waiters.wake_all(self._next)

    async def run(self) -> None:
        """Follow the log until cancelled, reconnecting whenever the connection is lost."""
        while True:
            try:
                async with open_listener(self._url) as listener:
                    await self._begin(listener)
                    await self._follow(listener)
            except DatabaseUnavailableError as error:
                self._set_live(False)
                self.connections_lost += 1
                reason = repr(error.__cause__)
                if self._losses.is_worth_a_line(reason):
                    log.warning("feed lost its database connection", error=reason, attempt=self._attempt)
            await asyncio.sleep(_pause(self._attempt))
            self._attempt += 1

    async def _begin(self, listener: Listener) -> None:
        await self._refresh(listener)
        epoch = await listener.epoch()
        if epoch != self._history.epoch:
            await self._start_history(listener, epoch)

    async def _refresh(self, listener: Listener) -> None:
        for observer in self._observers:
            await observer.refresh(listener)

    async def _start_history(self, listener: Listener, epoch: str) -> None:
        bounds = await listener.bounds()
        self._compacted_revision = bounds.compacted_revision
        log.info(
            "following a new history",
            old_epoch=self._history.epoch,
            new_epoch=epoch,
            old_revision=self.revision,
            new_revision=bounds.head,
        )
        await self._go_to(History(epoch), bounds.head, bounds.head_commit)

    async def _go_to(self, history: History, head: int, last: Commit | None) -> None:
        self._history = history
        for observer in self._observers:
            observer.reset(last)
        self._next = position_after(head)
        self._last = last
        self._ring.clear()
        await self._waiters.wake_all(self._next)

    async def _follow(self, listener: Listener) -> None:
        notified = False
        while True:
            if not notified:
                # Fails within the limit of one round trip; reading the pages may take longer.
                await listener.bounds()
            self._verified = await self._read_to_the_end(listener)
            # Not before: a connection that cannot read the log must not be tried again without a pause.
            self._attempt = 0
            self._losses.end()
            for observer in self._observers:
                observer.confirm(self._verified)
            self._set_live(True)
            await self._ask_for_queue(listener)
            notified = await listener.wait_for_notification(POLL_SECONDS)

    async def _ask_for_queue(self, listener: Listener) -> None:
        now = time.monotonic()
        if now - self._queue_asked >= QUEUE_SECONDS:
            self._queue_asked = now
            self.notification_queue_usage = await listener.notification_queue_usage()

    async def _read_to_the_end(self, listener: Listener) -> float:
        """Return the monotonic time at which there was nothing more to read."""
        while True:
            asked = time.monotonic()
            page = await self._next_page(listener)
            if page.parts:
                await self._show(page.parts, listener)
            if not page.parts or self.revision >= page.head:
                return asked

    async def _show(self, parts: Sequence[CommitPart], listener: Listener) -> None:
        for observer in self._observers:
            await observer.before_waking(parts, listener)
        for part in parts:
            self._append(part)
        await self._waiters.wake(parts)

    async def _next_page(self, listener: Listener) -> LogPage:
        """Return the next page; an empty one at the head of a new history if the log does not continue from `_last`."""
        self.reads += 1
        try:
            page = await listener.page_from(self._next)
        except RevisionCompactedError as error:
            if error.is_unreadable:
                # Nobody knows which watches it concerns: all of them start over.
                self._note_unreadable(error.compacted_revision, ())
            page = None
        if page is None or page.before != self._last:
            await self._refresh(listener)
            # The row that names the history may have been restored with it, on this very connection.
            await self._start_history(listener, await listener.epoch())
            page = LogPage(before=self._last, parts=(), head=self.revision, compacted_revision=self._compacted_revision)
        self._compacted_revision = page.compacted_revision
        return page

    def _note_unreadable(self, revision: int, ordinals: Sequence[int]) -> None:
        self.unreadable_records += len(ordinals) or 1
        log.error("the log has records that cannot be read", revision=revision, ordinals=list(ordinals) or "unknown")

    def _append(self, part: CommitPart) -> None:
        if part.first != self._next:
            raise RuntimeError(f"the log has a gap: {part.revision} follows {self.revision}")
        if part.unreadable:
            self._note_unreadable(part.revision, part.unreadable)
        for observer in self._observers:
            observer.apply(part)
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
    # The power is bounded: a database can be away for days, and a float overflows beyond 2^1023.
    ceiling = min(RECONNECT_LAST_SECONDS, RECONNECT_FIRST_SECONDS * 2 ** min(attempt, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
