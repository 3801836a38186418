"""Groups: watches that are alike and up to date. A commit puts the same bytes into all of them, and wakes no task."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from configsvc.domain.commits import CommitPart, History, Position, position_after
from configsvc.domain.errors import EpochChangedError, ShuttingDownError
from configsvc.domain.watching import CommitMessage
from configsvc.feed.feed import Feed
from configsvc.feed.wakeups import Waiter
from configsvc.watch.audiences import Audience, Audiences
from configsvc.watch.sending import Offer, Sending

# In one turn of the event loop. A message counts with its frame, whose processor time is that of about 512 bytes.
SLICE_SECONDS = 0.001
SLICE_BYTES = 256 * 1024
FRAME_BYTES = 512
# Between two looks at the clock.
STEP_BYTES = 32 * 1024
# A task that wakes takes longer than a message.
WAKING_BYTES = 8 * FRAME_BYTES


class Member:
    """A watch of a group. Its task waits while the group delivers to it, and goes on from `position` once woken."""

    __slots__ = ("_group", "_offer", "_sending", "moment", "position", "waiter")

    def __init__(self, group: "Group", sending: Sending, offer: Offer) -> None:
        self._group = group
        self.position = position_after(0)
        # When the group has last delivered to it, on the clock of the event loop.
        self.moment = 0.0
        # Not None while its task waits.
        self.waiter: asyncio.Future[None] | None = None
        self._sending = sending
        self._offer = offer

    @property
    def is_waiting(self) -> bool:
        """True until it is woken, or its task is cancelled."""
        return self.waiter is not None and not self.waiter.done()

    @property
    def reached(self) -> Position:
        """The log position before which nothing is left to deliver."""
        return max(self.position, self._group.reached) if self.is_waiting else self.position

    def can_enter(self, history: History, position: Position) -> bool:
        """Return whether its task may wait in the group, at this position. A watch alone waits for the feed itself."""
        return self._group.audience.size > 1 and self._group.takes(history, position)

    def enter(self, history: History, position: Position) -> asyncio.Future[None]:
        """Return what its task waits for, before it calls `leave`."""
        self.waiter = asyncio.get_running_loop().create_future()
        self.position = position
        self._group.enter(history, position)
        return self.waiter

    def leave(self) -> None:
        """Note that its task goes on."""
        self.waiter = None
        self._group.leave()

    def wake(self) -> None:
        """Let its task go on from what the group has reached."""
        if self.waiter is not None and not self.waiter.done():
            self.position = self.reached
            self.waiter.set_result(None)

    def offer(self, part: CommitPart, encoded: bytes, events: int, moment: float) -> None:
        """Deliver the part, unless the client has it; wake the task if the client has to read first."""
        waiter = self.waiter
        # One that is cancelled has perhaps lost its role, and its task has not run yet.
        if waiter is None or waiter.done() or self.position > part.first:
            return
        if self._offer(encoded):
            self.position = part.next
            self.moment = moment
            self._sending.progress.events += events
        else:
            self.wake()

    async def encode(self, message: CommitMessage) -> tuple[bytes, ...]:
        return await self._sending.encode(message)


class Group:
    """The members of one audience, in the order of their beginning: those of one connection lie together.

    It waits for the feed in place of its waiting members. Everything before `position` was delivered to them.
    """

    __slots__ = ("_feed", "_is_used", "_waiter", "_waiting", "_woken", "audience", "history", "members", "position")

    def __init__(self, feed: Feed, audience: Audience, woken: Callable[["Group"], None]) -> None:
        self.audience = audience
        self.history = History("")
        self.members: dict[Member, None] = {}
        self.position = position_after(0)
        self._feed = feed
        self._woken = woken
        # Whether somebody has entered and the group has not ended since.
        self._is_used = False
        # None while the group delivers.
        self._waiter: Waiter | None = None
        self._waiting = 0

    @property
    def reached(self) -> Position:
        """The log position before which all waiting members have everything."""
        is_idle = self._waiter is not None and self._feed.is_waiting(self._waiter)
        return max(self.position, self._feed.end) if is_idle else self.position

    def takes(self, history: History, position: Position) -> bool:
        """Return whether a member at the position may enter."""
        return position == self._feed.end and (not self._is_used or history is self.history)

    def enter(self, history: History, position: Position) -> None:
        """Count one more member that waits."""
        self._waiting += 1
        if not self._is_used:
            self._is_used = True
            self.history = history
            self.position = position
            self.wait()

    def leave(self) -> None:
        """Count one less member that waits."""
        self._waiting -= 1
        if not self._waiting and self._waiter is not None and self._feed.is_waiting(self._waiter):
            self._leave_feed(self._waiter)
            self._is_used = False

    def wait(self) -> None:
        """Wait for the next commit that touches the audience."""
        self._waiter = self._feed.join(self.audience.interest)
        self._waiter.add_done_callback(lambda _: self._woken(self))

    def begin(self) -> bool:
        """Go on to the commit that has woken the group. Return False, and end the group, if nobody waits."""
        if self._waiter is not None:
            self.position = max(self.position, self._waiter.result())
            self._leave_feed(self._waiter)
        self._is_used = self._waiting > 0
        return self._is_used

    def _leave_feed(self, waiter: Waiter) -> None:
        self._feed.leave(waiter, self.audience.interest)
        self._waiter = None

    def go_on(self) -> None:
        """Go on from the first of those who wait, after all who waited before were woken."""
        positions = [member.position for member in self.members if member.is_waiting]
        self.position = min(positions, default=self.position)


class Groups:
    """The groups of all audiences, and the task that delivers to them in slices."""

    def __init__(self, feed: Feed, audiences: Audiences) -> None:
        self._feed = feed
        self._audiences = audiences
        self._woken: asyncio.Queue[Group] = asyncio.Queue()
        self._slice_bytes = 0
        self._slice_end = 0.0

    @contextmanager
    def joined(self, audience: Audience, sending: Sending, offer: Offer | None) -> Generator[Member | None]:
        """Yield a member of the audience's group; None if the transport has no `offer`."""
        if offer is None:
            yield None
            return
        group = audience.group
        if group is None:
            group = audience.group = Group(self._feed, audience, self._woken.put_nowait)
        member = sending.progress.member = Member(group, sending, offer)
        group.members[member] = None
        try:
            yield member
        finally:
            del group.members[member]

    async def run(self) -> None:
        """Deliver commits until cancelled."""
        while True:
            group = await self._woken.get()
            if group.begin():
                await self._advance(group)

    async def _advance(self, group: Group) -> None:
        """Deliver the next part. The other groups have their turn before the part after that."""
        try:
            self._feed.check_history(group.history)
            if not self._feed.is_beyond(group.position):
                group.wait()
                return
            part = self._feed.part_at(group.position)
            message = await self._message(group, part) if part else None
            if part is None or message is None:
                await self._wake_all(group)
            else:
                await self._deliver(group, part, message)
        except (EpochChangedError, ShuttingDownError):
            await self._wake_all(group)
        self._woken.put_nowait(group)

    async def _message(self, group: Group, part: CommitPart) -> CommitMessage | None:
        """Return the message for the part, with its bytes if it has events.

        None if a slot, several messages or an error may be necessary: each task makes that for itself.
        """
        member = next(iter(group.members))
        try:
            message = self._audiences.message(part, group.audience)
            if message.events and not message.encoded and not message.is_large:
                self._audiences.keep(message, group.audience, await member.encode(message))
        except Exception:  # noqa: BLE001  # the tasks meet it too, and it ends their watches
            return None
        if not message.events:
            return message
        is_whole = not part.more and not part.first.ordinal and len(message.encoded) == 1
        return message if is_whole and not message.is_large else None

    async def _deliver(self, group: Group, part: CommitPart, message: CommitMessage) -> None:
        for encoded in message.encoded:
            moment, events = asyncio.get_running_loop().time(), len(message.events)
            size = len(encoded) + FRAME_BYTES
            members = tuple(group.members)
            step = max(1, STEP_BYTES // size)
            for start in range(0, len(members), step):
                for member in members[start : start + step]:
                    member.offer(part, encoded, events, moment)
                await self._yield_if_due(step * size)
                self._feed.check_history(group.history)
        group.position = part.next

    async def _wake_all(self, group: Group) -> None:
        for member in tuple(group.members):
            member.wake()
            await self._yield_if_due(WAKING_BYTES)
        # Now they have left.
        await asyncio.sleep(0)
        group.go_on()

    async def _yield_if_due(self, size: int) -> None:
        """Let other tasks run once this one has had its slice."""
        loop = asyncio.get_running_loop()
        self._slice_bytes += size
        if self._slice_bytes >= SLICE_BYTES or loop.time() >= self._slice_end:
            await asyncio.sleep(0)
            self._slice_bytes = 0
            self._slice_end = loop.time() + SLICE_SECONDS
