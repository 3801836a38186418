"""Wakeups: the waiters that a commit wakes, and the positions they continue from."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.domain.commits import Commit, CommitPart, Position, position_after
from configsvc.domain.models import IdRef, NameRef, Operation
from configsvc.domain.scope import Everything
from configsvc.domain.selection import Selection, SelectionIndex, Selector
from configsvc.feed import wakeups as module
from configsvc.feed.wakeups import Interest, Waiter, Waiters
from tests.domain.changes import NOW, change
from tests.domain.changes import selector as choose
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


def interest_in(*chosen: Selector) -> Interest:
    """Return an interest in what the selectors select."""
    return Interest(SelectionIndex(Selection(selectors=chosen, scope=Everything())))


def of(application: str) -> Selector:
    """Select an application by its name, or by its id."""
    return choose(IdRef(id=application) if application.startswith("#") else NameRef(name=application))


def interested(waiters: Waiters, *chosen: Selector) -> Waiter:
    """Add a waiter with an interest of its own."""
    interest = interest_in(*chosen)
    waiters.interests.add(interest)
    waiter: Waiter = asyncio.get_running_loop().create_future()
    waiters.add(waiter, interest)
    return waiter


def joined(waiters: Waiters, *applications: str) -> Waiter:
    """Add a waiter for the applications; none: for any commit."""
    if applications:
        return interested(waiters, *map(of, applications))
    waiter: Waiter = asyncio.get_running_loop().create_future()
    waiters.add(waiter, None)
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


async def test_a_move_wakes_the_watches_of_both_applications() -> None:
    waiters = Waiters()
    woken = [joined(waiters, application) for application in ("shop", "#shop", "bank", "#bank")]
    other = joined(waiters, "other")
    moved = replace(
        part(1, "shop"), changes=(change(Operation.UPDATED, before=("shop", "web"), after=("bank", "web")),)
    )
    await waiters.wake([moved])
    assert all(waiter.done() for waiter in woken)
    assert not other.done()


async def test_only_watches_that_select_a_changed_name_are_woken() -> None:
    waiters = Waiters()
    woken = [
        interested(waiters, choose(prefix="we")),
        interested(waiters, choose(prefix="web")),
        interested(waiters, choose(keys=("web", "db"))),
        interested(waiters, choose(NameRef(name="shop"), prefix="w")),
        interested(waiters, choose(IdRef(id="#shop"), keys=("web",))),
        interested(waiters, choose(prefix="x"), choose()),
        interested(waiters),
    ]
    asleep = [
        interested(waiters, choose(prefix="web/")),
        interested(waiters, choose(prefix="w", keys=("we", "db"))),
        interested(waiters, choose(NameRef(name="bank"), prefix="w")),
        interested(waiters, choose(NameRef(name="shop"), prefix="x"), choose(IdRef(id="#shop"), keys=("we",))),
    ]
    await waiters.wake([part(1, "shop")])
    assert all(waiter.done() for waiter in woken)
    assert not any(waiter.done() for waiter in asleep)


async def test_a_commit_looks_at_no_watch_that_it_does_not_touch() -> None:
    waiters = Waiters()
    for watch in range(1000):
        interested(waiters, *(choose(prefix=f"{watch}/{number}/") for number in range(100)))
    touched = waiters.interests._anywhere.of("web")
    assert list(touched) == []
    assert len(waiters.interests._anywhere._watched_lengths) <= len("999/99/")


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
    waiter = joined(waiters, "shop")
    ((interests),) = waiters.interests.of("#shop", "shop", "web")
    (interest,) = interests
    interest.waiters = counted = CountedSet({waiter})
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
    interests = [interest_in(of("shop"), of("#bank")), interest_in(choose(prefix="a"), choose(keys=("b",)))]
    for interest in (*interests, None):
        if interest:
            waiters.interests.add(interest)
        waiter: Waiter = asyncio.get_running_loop().create_future()
        waiters.add(waiter, interest)
        waiters.discard(waiter, interest)
    for interest in interests:
        assert not interest.waiters
        waiters.interests.discard(interest)
    assert (len(waiters), waiters._of_any_commit, bool(waiters.interests)) == (0, set(), False)
    assert waiters.interests._anywhere._watched_lengths == ()


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
