"""Sending the messages of a watch: encoding, waiting for slow readers, and the timer for bookmarks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configsvc.domain.commits import History
from configsvc.domain.watching import Place, WatchMessage, WatchState
from configsvc.feed.feed import Feed
from configsvc.feed.wakeups import Waiter
from configsvc.limits.pace import Pace
from configsvc.limits.slots import caller_slots
from configsvc.limits.unread import ReclaimableSlots

if TYPE_CHECKING:
    from configsvc.watch.groups import Member

Encode = Callable[[History, WatchMessage], Awaitable[tuple[bytes, ...]]]
Write = Callable[[bytes], Awaitable[None]]
# Takes a message whole and returns True, or leaves it, without waiting.
Offer = Callable[[bytes], bool]
# Is told each place before the watch goes on from there, and can end it with an error.
Passing = Callable[[Place], None]


@dataclass(slots=True, eq=False)
class Progress:
    """The revision, state and number of events of one watch.

    For a watch that is up to date, nothing after its revision matches its selection, until its `waiter` is resolved.
    One that waits in a group has got as far as its `member` says.
    """

    revision: int
    state: WatchState = WatchState.BEHIND
    events: int = 0
    waiter: Waiter | None = None
    member: "Member | None" = None


class Sending:
    """Sends the messages of one watch in one history, and records while the client blocks it."""

    __slots__ = ("_encode", "_slots", "_write", "history", "passing", "progress")

    # Set while this watch holds one of them.
    _slots: ReclaimableSlots | None

    def __init__(
        self, progress: Progress, history: History, encode: Encode, write: Write, passing: Passing | None
    ) -> None:
        self.progress = progress
        self.history = history
        self.passing = passing
        self._encode = encode
        self._write = write
        self._slots = None

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold one of the caller's slots while something large is made and waits for the client."""
        slots = caller_slots.get()
        if slots is None:
            yield
            return
        async with slots.unread.slot():
            self._slots = slots.unread
            try:
                yield
            finally:
                self._slots = None

    async def encode(self, message: WatchMessage) -> tuple[bytes, ...]:
        """Return the bytes to write: all that is kept of a message while it waits for the client."""
        return await self._encode(self.history, message)

    async def write(self, encoded: Iterable[bytes]) -> None:
        """Write, and wait until the client can take more. Raises RateLimitedError: see `ReclaimableSlots.reading`."""
        self.progress.state = WatchState.BLOCKED
        for piece in encoded:
            if self._slots:
                async with self._slots.reading():
                    await self._write(piece)
            else:
                await self._write(piece)
        self.progress.state = WatchState.BEHIND


class IdleTimer:
    """Notices when one watch has sent nothing for so long that a bookmark is due, and wakes it if it waits.

    A due bookmark waits for its turn at each of the paces, one after the other, so that any number of watches takes a
    bounded part of the event loop. It has one timer, which is rescheduled only when it fires: resetting it with every
    message would cost more than the message.
    """

    __slots__ = (
        *("_deadline", "_feed", "_loop", "_member", "_paces", "_paces_kept", "_seconds", "_timer"),
        *("is_over", "waiter"),
    )

    waiter: Waiter | None

    def __init__(self, feed: Feed, seconds: float, paces: Sequence[Pace], member: "Member | None") -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._paces = paces
        self._paces_kept = 0
        self._member = member
        self.waiter = None
        self.restart()
        self._timer = self._loop.call_at(self._deadline, self._fire)

    def __enter__(self) -> "IdleTimer":
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def restart(self) -> None:
        """Count from now: something was sent."""
        self.is_over = False
        self._deadline = self._loop.time() + self._seconds

    def _fire(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_at(self._next_time(now), self._fire)

    def _next_time(self, now: float) -> float:
        """Return the time at which to look again, after setting off a bookmark if it is due and has its turn."""
        if self._member:
            self._deadline = max(self._deadline, self._member.moment + self._seconds)
        if now < self._deadline:
            self._paces_kept = 0
            return self._deadline
        while self._paces_kept < len(self._paces):
            turn = self._paces[self._paces_kept].next_moment(now)
            self._paces_kept += 1
            if turn > now:
                return turn
        self._paces_kept = 0
        self.is_over = True
        if self._member:
            self._member.wake()
        if self.waiter:
            self._feed.wake(self.waiter)
        return now + self._seconds
