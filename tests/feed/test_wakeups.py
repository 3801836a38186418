"""Wakeups: the waiters that a commit wakes, and the positions they continue from."""

import asyncio
from collections.abc import Iterator

import pytest

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.domain.commits import Commit, CommitPart, Position, position_after
from configsvc.domain.models import Operation
from configsvc.feed import wakeups as module
from configsvc.feed.wakeups import Waiter, Waiters, topics_of
from tests.domain.changes import NOW, change
from tests.service import running_service
from tests.storage.reading import Session, application, configuration
from tests.watch.changing import OFTEN, commit_one_by_one, selector
from tests.watch.history import read_history
from tests.watch.recording import recorded
from tests.watch.validators import validate


def part(revision: int, *applications: str) -> CommitPart:
    """Return a commit that changes a configuration of each application."""
    return CommitPart(
        commit=Commit(revision=revision, id=revision, time=NOW),
        first=Position(revision=revision, ordinal=0),
        next=position_after(revision),
        changes=tuple(change(Operation.UPDATED, before=(name, "web"), after=(name, "web")) for name in applications),
        concerns_access=False,
        weight=0,
        more=False,
    )


def joined(waiters: Waiters, *topics: str) -> Waiter:
    """Add a waiter for the topics; none: all topics."""
    waiter: Waiter = asyncio.get_running_loop().create_future()
    waiters.add(waiter, frozenset(topics) or None)
    return waiter


async def test_watches_are_woken_by_the_first_commit_that_matches_them() -> None:
    waiters = Waiters()
    shop, bank, both, everything = (
        joined(waiters, *topics) for topics in (("shop",), ("#bank",), ("shop", "bank"), ())
    )
    await waiters.wake([part(1, "other"), part(2, "bank"), part(3, "shop", "bank")])
    assert [waiter.result().revision for waiter in (shop, bank, both, everything)] == [3, 2, 2, 1]


async def test_watches_that_no_commit_matches_wait_on() -> None:
    waiters = Waiters()
    shop = joined(waiters, "shop")
    await waiters.wake([part(1, "bank")])
    assert not shop.done()
    await waiters.wake_all(position_after(7))
    assert shop.result() == position_after(7)


async def test_a_move_concerns_both_applications() -> None:
    moved = CommitPart(
        commit=Commit(revision=1, id=1, time=NOW),
        first=Position(revision=1, ordinal=0),
        next=position_after(1),
        changes=(change(Operation.UPDATED, before=("shop", "web"), after=("bank", "web")),),
        concerns_access=False,
        weight=0,
        more=False,
    )
    assert topics_of(moved) == {"shop", "#shop", "bank", "#bank"}


async def test_who_is_about_to_be_woken_is_not_sent_further_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # A bookmark due between the slices must not carry a watch past the change that wakes it.
    monkeypatch.setattr(module, "WAKE_SLICE", 1)
    waiters = Waiters()
    first, second = joined(waiters, "shop"), joined(waiters, "shop")
    waking = asyncio.create_task(waiters.wake([part(1, "shop")]))
    await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
    for waiter in (first, second):
        waiters.resolve(waiter, position_after(9))
    await waking
    assert {first.result(), second.result()} == {Position(revision=1, ordinal=0)}


async def test_all_are_woken_even_if_the_waking_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAKE_SLICE", 1)
    waiters = Waiters()
    first, second, third = (joined(waiters, "shop") for _ in range(3))
    waking = asyncio.create_task(waiters.wake([part(1, "shop")]))
    await asyncio.wait((first, second, third), return_when=asyncio.FIRST_COMPLETED)
    waking.cancel()
    await asyncio.wait((waking,))
    assert all(waiter.done() for waiter in (first, second, third))


async def test_who_joins_while_others_are_woken_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAKE_SLICE", 1)
    waiters = Waiters()
    first, second = joined(waiters, "shop"), joined(waiters, "shop")
    waking = asyncio.create_task(waiters.wake([part(1, "shop")]))
    await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
    late = joined(waiters, "shop")
    await waking
    assert not late.done()


async def test_who_was_cancelled_and_has_not_left_yet_is_left_alone() -> None:
    waiters = Waiters()
    cancelled = joined(waiters, "shop")
    cancelled.cancel()
    waiters.resolve(cancelled, position_after(1))
    assert cancelled.cancelled()


async def test_many_parts_at_once_ask_those_who_wait_for_a_topic_but_once() -> None:
    # A page of the log may hold a thousand commits, and ten thousand watches may wait for them.
    waiters = Waiters()
    counted = CountedSet({joined(waiters, "shop")})
    waiters._by_topic["shop"] = counted
    await waiters.wake([part(revision, "shop") for revision in range(1, 1001)])
    assert counted.walks == 1


class CountedSet(set[Waiter]):
    """A set that counts iterations over it."""

    walks = 0

    def __iter__(self) -> Iterator[Waiter]:
        self.walks += 1
        return super().__iter__()


async def test_nothing_is_kept_of_those_who_left() -> None:
    waiters = Waiters()
    for topics in (("shop", "bank"), ()):
        waiter = joined(waiters, *topics)
        waiters.discard(waiter, frozenset(topics) or None)
    assert (len(waiters), waiters._of_all_topics, waiters._by_topic) == (0, set(), {})


async def test_a_watch_of_one_application_passes_over_any_number_of_commits_to_others(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 3)
    for name in ("shop", "bank"):
        await application(psql, name)
    request = WatchConfigurationsRequest(selectors=[selector("shop")], progress_interval=OFTEN)
    async with running_service(database_url) as service, recorded(service, request) as watch:
        await watch.until_synced()
        await commit_one_by_one(psql, 50, application="bank")
        # A bookmark says the same.
        await watch.until_revision(52)
        await configuration(psql, "web")
        recording = await watch.until_revision(53)
    assert [event.configuration.name for event in recording.events] == ["web"]
    validate(recording, await read_history(database_url))


async def test_a_watch_of_one_application_is_synced_although_the_last_commit_is_about_another(
    psql: Session, database_url: str
) -> None:
    for name in ("shop", "bank"):
        await application(psql, name)
    async with running_service(database_url) as service:
        for number in range(20):
            await configuration(psql, f"c{number}", application="bank")
            # The feed may not have read that commit when the watch begins.
            async with recorded(service, WatchConfigurationsRequest(selectors=[selector("shop")])) as watch:
                await watch.until_synced()
