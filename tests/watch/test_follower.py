"""What one watch makes of what wakes it, and what is remembered for those alike."""

import asyncio
from typing import Any

import pytest

from configsvc import watch as module
from configsvc.bindings import Bindings
from configsvc.cache import Cache
from configsvc.domain.commits import Commit, CommitPart, Position, position_after
from configsvc.domain.errors import ConfigsvcError, EpochChangedError, ShuttingDownError
from configsvc.domain.models import NameRef, Operation
from configsvc.domain.selection import Selection
from configsvc.feed import Feed, History
from configsvc.watch import Audience, Follower, Progress, Quiet, Sending, Watches, WatchMessage
from tests.domain.test_selection import EVERYTHING, NOW, change, selector
from tests.log.reading import LIMIT_SECONDS

NO_DATABASE: Any = None


def part(revision: int, *, weight: int = 0, changes: int = 1) -> CommitPart:
    return CommitPart(
        commit=Commit(revision=revision, id=revision, time=NOW),
        first=Position(revision=revision, ordinal=0),
        next=position_after(revision),
        changes=(change(Operation.UPDATED),) * changes,
        concerns_access=False,
        weight=weight,
        more=False,
    )


async def write(_: bytes) -> None:
    pass


@pytest.mark.parametrize(("end", "error"), [("history", EpochChangedError), ("stop", ShuttingDownError)])
async def test_a_watch_that_is_not_synced_when_its_history_ends_is_not_told_that_it_is(
    end: str, error: type[ConfigsvcError]
) -> None:
    """The head of another history is not a place that the watch has come to."""
    feed = Feed("", Cache(0), Bindings(None))
    await feed._go_to(History("old"), 5, None)
    sent: list[WatchMessage] = []

    async def encode(message: WatchMessage) -> tuple[bytes, ...]:
        sent.append(message)
        return ()

    with Quiet(LIMIT_SECONDS) as quiet:
        audience = Audience(EVERYTHING, with_config=True)
        sending = Sending(Progress(0), encode, write)
        follower = Follower(Watches(NO_DATABASE, feed), feed, feed.history, audience, quiet, sending)
        # The feed is two revisions behind the head.
        following = asyncio.create_task(follower.follow(5, 7))
        async with asyncio.timeout(LIMIT_SECONDS):
            while not len(feed._waiters):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0)
            await (feed._go_to(History("new"), 20, None) if end == "history" else stop_ahead(feed))
            with pytest.raises(error):
                await following
    assert sent == []


async def stop_ahead(feed: Feed) -> None:
    """Ends the feed when it has read what it has not told of, as when the log has a gap behind it."""
    for revision in (6, 7):
        feed._append(part(revision))
    await feed.stop()


async def test_a_watch_that_passes_over_large_commits_lets_others_go_on() -> None:
    feed = Feed("", Cache(0), Bindings(None))
    await feed._go_to(History("old"), 0, None)
    parts = [part(revision, changes=module.PASSED_AT_ONCE) for revision in range(1, 11)]
    for one in parts:
        feed._append(one)

    async def encode(_: WatchMessage) -> tuple[bytes, ...]:
        return ()

    with Quiet(LIMIT_SECONDS) as quiet:
        audience = Audience(Selection(selectors=(selector(NameRef(name="bank")),)), with_config=True)
        sending = Sending(Progress(0), encode, write)
        follower = Follower(Watches(NO_DATABASE, feed), feed, feed.history, audience, quiet, sending)
        following = asyncio.create_task(follower.follow(0, 0))
        turns = 0
        async with asyncio.timeout(LIMIT_SECONDS):
            while not len(feed._waiters):
                await asyncio.sleep(0)
                turns += 1
        following.cancel()
        await asyncio.wait((following,))
    assert turns >= len(parts)


async def test_what_is_remembered_for_those_alike_keeps_a_bounded_amount_of_parts_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_WEIGHT_BYTES", 1000)
    watches = Watches(NO_DATABASE, Feed("", Cache(0), Bindings(None)))
    audience = Audience(EVERYTHING, with_config=True)
    audience.size = 2
    for revision in range(1, 101):
        message = watches.message(recent := part(revision, weight=300), audience)
        assert watches.message(recent, audience) is message
    assert sum(message.part.weight for message in watches._messages.values()) == 900
