"""Observers: told of commits and histories at the right moments."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

from configsvc.domain.commits import Commit, CommitPart
from configsvc.feed.feed import Feed
from configsvc.feed.observers import FeedObserver
from configsvc.feed.wakeups import Waiter
from configsvc.storage.listener import Listener
from tests.feed.restoring import forget, other_commits
from tests.storage.reading import LIMIT_SECONDS, Session, application, configuration
from tests.watch.changing import commit_one_by_one


class Seen(FeedObserver):
    """An observer that records its calls, each with the feed's revision and whether a waiter was woken at the time."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, bool]] = []
        self.waiter: Waiter | None = None
        self.feed: Feed

    @property
    def changes(self) -> list[tuple[str, int, bool]]:
        """All calls except confirmations, which may come at any time."""
        return [call for call in self.calls if call[0] != "confirm"]

    def note(self, call: str) -> None:
        self.calls.append((call, self.feed.revision, self.waiter is not None and self.waiter.done()))

    async def refresh(self, listener: Listener) -> None:
        # It may use the connection.
        assert await listener.grants() == ()
        self.note("refresh")

    async def before_waking(self, parts: Sequence[CommitPart], listener: Listener) -> None:
        await listener.grants()
        assert [self.feed.part_at(part.first) for part in parts] == [None] * len(parts)
        self.note("before_waking")

    def apply(self, part: CommitPart) -> None:
        self.note("apply")

    def reset(self, last: Commit | None) -> None:
        self.note("reset")

    def confirm(self, time_seconds: float) -> None:
        self.note("confirm")


@asynccontextmanager
async def followed(url: str, observer: Seen) -> AsyncGenerator[Feed]:
    """Run a live feed with an observer that has seen nothing since."""
    observer.feed = feed = Feed(url, (observer,))
    following = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await feed.wait_live()
            yield feed
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_an_observer_is_refreshed_before_the_first_history_begins(psql: Session, database_url: str) -> None:
    await application(psql)
    seen = Seen()
    async with followed(database_url, seen):
        assert seen.calls[:3] == [("refresh", 0, False), ("reset", 0, False), ("confirm", 1, False)]


async def test_an_observer_knows_of_commits_before_those_who_wait_for_them(psql: Session, database_url: str) -> None:
    await application(psql)
    seen = Seen()
    async with followed(database_url, seen) as feed:
        seen.calls.clear()
        seen.waiter = feed.join(None)
        async with psql.transaction():
            await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await other_commits(psql, 2)
        await seen.waiter
        assert seen.changes == [("before_waking", 1, False), ("apply", 1, False), ("apply", 2, False)]
        while ("confirm", 3, True) not in seen.calls:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0)
        assert ("confirm", 3, False) not in seen.calls


async def test_commits_are_applied_and_visible_in_one_step_however_long_an_observer_prepares(
    psql: Session, database_url: str
) -> None:
    class Slow(FeedObserver):
        begun = asyncio.Event()
        goes_on = asyncio.Event()

        async def before_waking(self, parts: Sequence[CommitPart], listener: Listener) -> None:
            self.begun.set()
            await self.goes_on.wait()

    await application(psql)
    seen, slow = Seen(), Slow()
    async with followed(database_url, seen) as feed:
        # After the other observer: no order of observers may let a read fall between.
        feed._observers = (seen, slow)
        seen.calls.clear()
        await configuration(psql, "web")
        await slow.begun.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert seen.changes == [("before_waking", 1, False)]
        slow.goes_on.set()
        await feed.wait_revision(2, LIMIT_SECONDS)
        assert seen.changes == [("before_waking", 1, False), ("apply", 1, False)]


async def test_an_observer_is_refreshed_and_reset_before_a_restored_history_is_announced(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    seen = Seen()
    async with followed(database_url, seen) as feed:
        await commit_one_by_one(psql, 2)
        await feed.wait_revision(3, LIMIT_SECONDS)
        seen.calls.clear()
        seen.waiter = feed.join(None)
        async with psql.transaction():
            await forget(psql, 1)
            await other_commits(psql, 4)
        await seen.waiter
        assert seen.changes == [("refresh", 3, False), ("reset", 3, False)]
        assert feed.revision == 5
