"""Follows the log for one watch, after its snapshot."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from configsvc.domain.commits import CommitPart, Position, position_after
from configsvc.domain.watching import After, CommitMessage, ProgressMessage, RestOfCommit, WatchState
from configsvc.feed.feed import Feed
from configsvc.feed.wakeups import Interest
from configsvc.watch.audiences import Audience, Audiences
from configsvc.watch.groups import Member
from configsvc.watch.sending import IdleTimer, Sending

# Changes that a watch skips in a row before it yields to other tasks.
SKIPPED_AT_ONCE = 256

# Reads the table at a log position: how far nothing concerns the watch, and the parts from there on, if it reads any.
ReadOn = Callable[[Position], Awaitable[tuple[Position, Sequence[CommitPart]]]]


class Follower:
    """The state machine of one watch after its snapshot: see `WatchState`.

    Few coroutines lie between it and the future it awaits: one commit may wake ten thousand of them.
    """

    __slots__ = (
        "_audience",
        "_audiences",
        "_delivering",
        "_feed",
        "_history",
        "_idle",
        "_member",
        "_position",
        "_progress",
        "_read_on",
        "_sending",
        "_skipped",
        "_synced",
    )

    def __init__(
        self,
        feed: Feed,
        audiences: Audiences,
        audience: Audience,
        idle: IdleTimer,
        read_on: ReadOn,
        sending: Sending,
        member: Member | None,
    ) -> None:
        self._feed = feed
        self._audiences = audiences
        self._audience = audience
        self._idle = idle
        self._read_on = read_on
        self._sending = sending
        # None if the transport cannot tell without waiting that the client can take a message.
        self._member = member
        self._history = sending.history
        self._progress = sending.progress
        self._position = position_after(0)
        # True while the client has the beginning of a commit, but not its end.
        self._delivering = False
        self._synced = False
        self._skipped = 0

    async def follow(self, position: Position, synced_at: int, *, delivering: bool) -> None:
        """Send everything from the position on, and the first bookmark at the revision `synced_at`. Never returns.

        `delivering`: the client has the beginning of the commit at the position.
        """
        self._position = position
        self._delivering = delivering
        self._idle.restart()
        while True:
            self._feed.check_history(self._history)
            if self._sending.passing:
                self._pass()
            if not self._synced and self._has_reached(synced_at):
                await self._send_progress(synced=True)
                self._synced = True
            elif self._idle.is_over:
                await self._send_bookmark()
            elif self._feed.is_beyond(self._position):
                await self._deliver_next()
            else:
                await self._wait()

    def _pass(self) -> None:
        assert self._sending.passing
        epoch, position = self._history.epoch, self._position
        if self._delivering:
            self._sending.passing(RestOfCommit(epoch=epoch, position=position))
        elif not position.ordinal:
            self._sending.passing(After(epoch=epoch, revision=position.revision - 1))

    def _has_reached(self, revision: int) -> bool:
        return self._position.revision > revision and not self._position.ordinal

    async def _wait(self) -> None:
        self._progress.state = WatchState.UP_TO_DATE
        interest = self._interest
        member = self._member
        if member is not None and interest is not None and member.can_enter(self._history, self._position):
            await self._wait_in_group(member)
            return
        waiter = self._idle.waiter = self._progress.waiter = self._feed.join(interest)
        try:
            ahead = await waiter
        finally:
            self._feed.leave(waiter, interest)
        # Woken by another history or by the end of the service, it has not reached that position.
        self._feed.check_history(self._history)
        # Reading the table, it may have got further than the feed.
        self._position = max(self._position, ahead)

    async def _wait_in_group(self, member: Member) -> None:
        waiter = member.enter(self._history, self._position)
        try:
            await waiter
        finally:
            member.leave()
        self._feed.check_history(self._history)
        self._position = member.position
        self._note_progress()

    @property
    def _interest(self) -> Interest | None:
        # The client waits for the end of the commit or for synced, whatever comes before that.
        return self._audience.interest if self._synced and not self._delivering else None

    async def _send_bookmark(self) -> None:
        # None while the database is away: a bookmark tells the client that the watch is alive.
        if self._feed.live and not self._position.ordinal:
            await self._send_progress(synced=False)
        self._idle.restart()

    async def _send_progress(self, *, synced: bool) -> None:
        message = ProgressMessage(revision=self._position.revision - 1, synced=synced)
        await self._write(await self._sending.encode(message))

    async def _deliver_next(self) -> None:
        part = self._feed.part_at(self._position)
        if part is None:
            await self._catch_up()
            return
        message = self._audiences.message(part, self._audience)
        if not self._move_past(part, message):
            await self._yield_to_others()
        elif message.is_large:
            # Even if others send the same message: gRPC copies it for each stream.
            async with self._sending.slot():
                encoded = message.encoded or await self._encode(message)
                del part, message
                await self._write(encoded)
        else:
            encoded = message.encoded or await self._encode(message)
            # Keep only the bytes while waiting for the client.
            del part, message
            await self._write(encoded)

    async def _catch_up(self) -> None:
        self._progress.state = WatchState.BEHIND
        async with self._sending.slot():
            self._position, parts = await self._read_on(self._position)
            self._note_progress()
            for part in parts:
                if self._sending.passing:
                    self._pass()
                self._feed.check_history(self._history)
                if not self._feed.is_beyond(part.first):
                    # The caller may have lost its role before this part: the feed has yet to read that.
                    return
                message = self._audience.message(part, shared=False)
                if self._move_past(part, message):
                    await self._write(await self._encode(message))
                else:
                    await self._yield_to_others()

    def _move_past(self, part: CommitPart, message: CommitMessage) -> bool:
        """Move past the part. Return whether its message must be sent."""
        if part.first != self._position:
            raise RuntimeError(f"the log has a gap: {part.first} follows {self._position}")
        # A client that has the beginning of a commit gets its end, even without further events.
        must_send = bool(message.events) or (self._delivering and not part.more)
        self._delivering = part.more and (self._delivering or must_send)
        self._position = part.next
        self._progress.events += len(message.events)
        if not must_send:
            self._skipped += 1 + len(part.changes)
            self._note_progress()
        return must_send

    async def _yield_to_others(self) -> None:
        if self._skipped >= SKIPPED_AT_ONCE:
            self._skipped = 0
            await asyncio.sleep(0)

    async def _encode(self, message: CommitMessage) -> tuple[bytes, ...]:
        encoded = await self._sending.encode(message)
        if message.shared:
            self._audiences.keep(message, self._audience, encoded)
        return encoded

    async def _write(self, encoded: Iterable[bytes]) -> None:
        await self._sending.write(encoded)
        self._idle.restart()
        self._note_progress()

    def _note_progress(self) -> None:
        self._progress.revision = self._position.revision - 1
