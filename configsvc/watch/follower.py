"""How one watch goes on, once it has its snapshot."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from configsvc.domain.commits import CommitPart, Position, position_after
from configsvc.domain.watching import CommitMessage, ProgressMessage
from configsvc.feed.feed import Feed
from configsvc.feed.wakeups import Topics
from configsvc.watch.audiences import Audience, Audiences
from configsvc.watch.sending import IdleTimer, Sending, WatchState

# How many changes without anything for it a watch passes over before it lets others go on.
PASSED_AT_ONCE = 256

# What comes next in the table.
ReadOn = Callable[[Position], Awaitable[Sequence[CommitPart]]]


class Follower:
    """One watch, once it has its snapshot: up to date (it waits for the feed), behind (it reads the table at its own
    pace) or blocked (a message waits for the client).

    Few coroutines stand between it and what it waits for: ten thousand are woken by one commit.
    """

    __slots__ = (
        "_audience",
        "_audiences",
        "_delivering",
        "_feed",
        "_history",
        "_idle",
        "_passed",
        "_position",
        "_progress",
        "_read_on",
        "_sending",
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
    ) -> None:
        self._feed = feed
        self._audiences = audiences
        self._audience = audience
        self._idle = idle
        self._read_on = read_on
        self._sending = sending
        self._history = sending.history
        self._progress = sending.progress
        self._position = position_after(0)
        # Whether the client was told of a commit that goes on.
        self._delivering = False
        self._synced = False
        self._passed = 0

    async def follow(self, after: int, synced_at: int) -> None:
        """Sends what comes after a revision, without an end."""
        self._position = position_after(after)
        self._idle.restart()
        while True:
            self._feed.check_history(self._history)
            if not self._synced and self._has_reached(synced_at):
                await self._send_progress(synced=True)
                self._synced = True
            elif self._idle.is_over:
                await self._send_bookmark()
            elif self._feed.is_beyond(self._position):
                await self._go_on()
            else:
                await self._wait()

    def _has_reached(self, revision: int) -> bool:
        return self._position.revision > revision and not self._position.ordinal

    async def _wait(self) -> None:
        self._progress.state = WatchState.UP_TO_DATE
        topics = self._topics
        waiter = self._idle.waiter = self._feed.join(topics)
        try:
            ahead = await waiter
        finally:
            self._feed.leave(waiter, topics)
        # Those whom another history or the end of the service woke have not come to that place.
        self._feed.check_history(self._history)
        # From the table, it may have read more than the feed has.
        self._position = max(self._position, ahead)

    @property
    def _topics(self) -> Topics:
        # The client waits for the end of the commit, or for synced, whatever the rest of it is about.
        return self._audience.topics if self._synced and not self._delivering else None

    async def _send_bookmark(self) -> None:
        # A bookmark says that the watch is alive, so there is none while the database is away.
        if self._feed.live and not self._position.ordinal:
            await self._send_progress(synced=False)
        self._idle.restart()

    async def _send_progress(self, *, synced: bool) -> None:
        message = ProgressMessage(revision=self._position.revision - 1, synced=synced)
        await self._write(await self._sending.encode(message))

    async def _go_on(self) -> None:
        part = self._feed.part_at(self._position)
        if part is None:
            await self._catch_up()
            return
        message = self._audiences.message(part, self._audience)
        if not self._go_past(part, message):
            await self._let_others_go_on()
        elif message.is_large:
            # However many are told the same: gRPC copies it for each.
            async with self._sending.place():
                encoded = message.encoded or await self._encode(message)
                del part, message
                await self._write(encoded)
        else:
            encoded = message.encoded or await self._encode(message)
            # What waits for the client holds nothing else.
            del part, message
            await self._write(encoded)

    async def _catch_up(self) -> None:
        self._progress.state = WatchState.BEHIND
        async with self._sending.place():
            for part in await self._read_on(self._position):
                self._feed.check_history(self._history)
                if not self._feed.is_beyond(part.first):
                    # Whether the caller may still see it is settled by what the feed has read until then.
                    return
                message = self._audience.message(part, shared=False)
                if self._go_past(part, message):
                    await self._write(await self._encode(message))
                else:
                    await self._let_others_go_on()

    def _go_past(self, part: CommitPart, message: CommitMessage) -> bool:
        """Goes on to what is after the part. Whether the client is to be told of it."""
        if part.first != self._position:
            raise RuntimeError(f"the log has a gap: {part.first} follows {self._position}")
        # Who was told that a commit goes on is told of its end, even if nothing more in it is for this watch.
        is_told = bool(message.events) or (self._delivering and not part.more)
        self._delivering = part.more and (self._delivering or is_told)
        self._position = part.next
        if not is_told:
            self._passed += 1 + len(part.changes)
            self._note_progress()
        return is_told

    async def _let_others_go_on(self) -> None:
        if self._passed >= PASSED_AT_ONCE:
            self._passed = 0
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
        position = self._position
        self._progress.revision = position.revision if position.ordinal else position.revision - 1
