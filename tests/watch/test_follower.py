"""Followers: the messages that one watch makes after a wakeup, and those that watches alike share."""

import asyncio

import pytest

from configsvc.domain.commits import Commit, CommitPart, History, Position, position_after
from configsvc.domain.errors import ConfigsvcError, EpochChangedError, ShuttingDownError
from configsvc.domain.models import NameRef, Operation
from configsvc.domain.scope import Everything
from configsvc.domain.selection import Selection
from configsvc.domain.watching import ContentForm, WatchMessage
from configsvc.feed.feed import Feed
from configsvc.feed.wakeups import Interests
from configsvc.watch import audiences as module
from configsvc.watch import follower
from configsvc.watch.audiences import Audience, Audiences
from configsvc.watch.follower import Follower
from configsvc.watch.sending import IdleTimer, Progress, Sending
from tests.domain.changes import EVERYTHING, NOW, change, selector
from tests.storage.reading import LIMIT_SECONDS


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


async def read_on(_: Position) -> tuple[Position, tuple[CommitPart, ...]]:
    raise AssertionError("all that there is is in the ring")


@pytest.mark.parametrize(("end", "error"), [("history", EpochChangedError), ("stop", ShuttingDownError)])
async def test_a_watch_that_is_not_synced_when_its_history_ends_gets_no_synced_message(
    end: str, error: type[ConfigsvcError]
) -> None:
    # The head of another history is not a position that the watch has reached.
    feed = Feed("", ())
    await feed._go_to(History("old"), 5, None)
    sent: list[WatchMessage] = []

    async def encode(_: History, message: WatchMessage) -> tuple[bytes, ...]:
        sent.append(message)
        return ()

    with IdleTimer(feed, LIMIT_SECONDS, (), None) as idle:
        audience = Audience(EVERYTHING, ContentForm.STRUCT)
        sending = Sending(Progress(0), feed.history, encode, write, None)
        watch = Follower(feed, Audiences(feed.interests), audience, idle, read_on, sending, None)
        # The feed is two revisions behind the head.
        following = asyncio.create_task(watch.follow(position_after(5), 7, delivering=False))
        async with asyncio.timeout(LIMIT_SECONDS):
            while not len(feed._waiters):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0)
            await (feed._go_to(History("new"), 20, None) if end == "history" else stop_ahead(feed))
            with pytest.raises(error):
                await following
    assert sent == []


async def stop_ahead(feed: Feed) -> None:
    """Stop the feed when it has read commits that it has not published, as when the log has a gap behind it."""
    for revision in (6, 7):
        feed._append(part(revision))
    await feed.stop()


async def test_a_watch_that_passes_over_large_commits_lets_others_go_on() -> None:
    feed = Feed("", ())
    await feed._go_to(History("old"), 0, None)
    parts = [part(revision, changes=follower.SKIPPED_AT_ONCE) for revision in range(1, 11)]
    for one in parts:
        feed._append(one)

    async def encode(_: History, __: WatchMessage) -> tuple[bytes, ...]:
        return ()

    with IdleTimer(feed, LIMIT_SECONDS, (), None) as idle:
        selection = Selection(selectors=(selector(NameRef(name="bank")),), scope=Everything())
        audience = Audience(selection, ContentForm.STRUCT)
        sending = Sending(Progress(0), feed.history, encode, write, None)
        watch = Follower(feed, Audiences(feed.interests), audience, idle, read_on, sending, None)
        following = asyncio.create_task(watch.follow(position_after(0), 0, delivering=False))
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
    monkeypatch.setattr(module, "REMEMBERED_BYTES", 1000)
    audiences = Audiences(Interests())
    audience = Audience(EVERYTHING, ContentForm.STRUCT)
    audience.size = 2
    for revision in range(1, 101):
        message = audiences.message(recent := part(revision, weight=200), audience)
        assert audiences.message(recent, audience) is message
        audiences.keep(message, audience, (bytes(100),))
    kept = audiences._messages.values()
    assert (sum(message.part.weight for message in kept), audiences.remembered_bytes) == (600, 900)
    assert all(message.encoded for message in kept)
