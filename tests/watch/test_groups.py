"""Groups of watches: what one commit puts into all of them, and those who leave it meanwhile."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from configsvc.domain.commits import History, position_after
from configsvc.domain.errors import EpochChangedError, ShuttingDownError
from configsvc.domain.models import NameRef
from configsvc.domain.scope import Everything
from configsvc.domain.selection import Selection
from configsvc.domain.watching import LARGE_BYTES, CommitMessage, WatchState
from configsvc.watch import groups
from configsvc.watch.registry import WatchRegistry
from tests.domain.changes import EVERYTHING, selector
from tests.watch.grouped import Client, Stage, staged, turns

# As many turns of the event loop as anything here takes.
ALL = 400
MEMBERS = 6


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Stage]:
    # A turn of the event loop for each member.
    monkeypatch.setattr(groups, "STEP_BYTES", 1)
    monkeypatch.setattr(groups, "SLICE_BYTES", 1)
    async with staged() as stage:
        yield stage


async def up_to_date(stage: Stage, number: int = MEMBERS, selection: Selection = EVERYTHING) -> list[Client]:
    """Open watches, and wait until they are members of their group."""
    clients = [stage.watch(selection) for _ in range(number)]
    await turns(ALL)
    # The first was alone, and waits for the feed until it has something to do.
    clients[0].bookmark()
    await turns(ALL)
    assert all(client.progress.member and client.progress.member.is_waiting for client in clients)
    return clients


async def until_in_the_middle(clients: list[Client], number: int) -> None:
    """Wait until a commit has reached the first ones."""
    while sum(bool(client.parts) for client in clients) < number:  # noqa: ASYNC110  # it can only be asked
        await asyncio.sleep(0)
    assert sum(bool(client.parts) for client in clients) == number


async def test_a_commit_goes_to_all_members_with_one_encoding_and_wakes_none(stage: Stage) -> None:
    clients = await up_to_date(stage)
    waiters = [client.progress.member and client.progress.member.waiter for client in clients]
    for _ in range(3):
        stage.commit()
        await turns(ALL)
    assert all(client.parts == [(1, 0), (2, 0), (3, 0)] and client.offered == 3 for client in clients)
    assert sum(isinstance(message, CommitMessage) for message in stage.encoded) == 3
    assert waiters == [client.progress.member and client.progress.member.waiter for client in clients]
    assert all(client.progress.events == 3 for client in clients)


async def test_others_go_on_between_the_slices_of_a_delivery(stage: Stage) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    for number in range(1, MEMBERS):
        await until_in_the_middle(clients, number)


async def test_a_member_that_does_not_read_is_sent_the_rest_by_its_own_task_and_comes_back(stage: Stage) -> None:
    clients = await up_to_date(stage)
    clients[2].reads.clear()
    for _ in range(3):
        stage.commit()
    await turns(ALL)
    blocked = clients.pop(2)
    assert blocked.parts == [(1, 0)]
    assert blocked.progress.state is WatchState.BLOCKED
    assert all(client.parts == [(1, 0), (2, 0), (3, 0)] and client.offered == 3 for client in clients)
    blocked.reads.set()
    await turns(ALL)
    assert (blocked.parts, blocked.offered) == ([(1, 0), (2, 0), (3, 0)], 0)
    stage.commit()
    await turns(ALL)
    assert (blocked.parts[-1], blocked.offered) == ((4, 0), 1)


async def test_a_member_that_ends_within_a_delivery_gets_nothing_more_and_others_miss_nothing(stage: Stage) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    await until_in_the_middle(clients, 3)
    for ended in (clients[1], clients[3], clients[4]):
        assert ended.task
        # As a revoked role does: the task has not run when the next member, the fourth, has its turn.
        ended.task.cancel()
    await turns(ALL)
    assert [len(client.parts) for client in clients] == [1, 1, 1, 0, 0, 1]
    stage.commit()
    await turns(ALL)
    assert [len(client.parts) for client in clients] == [2, 1, 2, 0, 0, 2]


async def test_commits_within_a_delivery_follow_it_in_order(stage: Stage) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    await until_in_the_middle(clients, 2)
    clients[5].reads.clear()
    clients[0].reads.clear()
    for _ in range(4):
        stage.commit()
        await turns(3)
    clients[5].reads.set()
    clients[0].reads.set()
    await turns(ALL)
    assert all(client.parts == [(number, 0) for number in range(1, 6)] for client in clients)


async def test_a_watch_that_catches_up_within_a_delivery_gets_no_event_twice(stage: Stage) -> None:
    clients = await up_to_date(stage)
    clients[5].reads.clear()
    stage.commit()
    await turns(ALL)
    # It comes back with the second commit in hand, before the group has delivered that to those behind it.
    stage.commit()
    stage.commit()
    await until_in_the_middle(clients[:1], 1)
    clients[5].reads.set()
    await turns(ALL)
    assert all(client.parts == [(1, 0), (2, 0), (3, 0)] for client in clients)


async def test_a_bookmark_of_a_member_has_what_its_group_has_reached(stage: Stage) -> None:
    clients = await up_to_date(stage, 2)
    other = Selection(selectors=(selector(NameRef(name="bank")),), scope=Everything())
    quiet = await up_to_date(stage, 2, other)
    for _ in range(5):
        stage.commit()
    await turns(ALL)
    for client in (*clients, *quiet):
        client.bookmark()
    await turns(ALL)
    assert all(client.received[-1] == ("mark", 5, 0) for client in (*clients, *quiet))
    assert all(client.progress.member and client.progress.member.is_waiting for client in (*clients, *quiet))


async def test_what_a_group_delivers_postpones_the_bookmarks_of_its_members(stage: Stage) -> None:
    client, _ = await up_to_date(stage, 2)
    assert client.idle
    before = client.idle._next_time(0.0)
    stage.commit()
    await turns(ALL)
    assert client.idle._next_time(0.0) > before


async def test_a_bookmark_within_a_delivery_comes_before_the_event_that_it_does_not_cover(stage: Stage) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    await until_in_the_middle(clients, 2)
    clients[0].bookmark()
    clients[4].bookmark()
    await turns(ALL)
    assert clients[0].received[-2:] == [("part", 1, 0), ("mark", 1, 0)]
    assert clients[4].received[-2:] == [("mark", 0, 0), ("part", 1, 0)]


@pytest.mark.parametrize(("size", "parts"), [(LARGE_BYTES + 1, 1), (0, 3)])
async def test_what_needs_a_slot_or_several_messages_is_sent_by_the_tasks(stage: Stage, size: int, parts: int) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    stage.commit(size=size, parts=parts)
    stage.commit()
    await turns(ALL)
    assert all(client.parts == stage.expected(client, 3) for client in clients)
    assert all(client.offered <= 2 for client in clients)
    offered = [client.offered for client in clients]
    stage.commit()
    await turns(ALL)
    assert [client.offered for client in clients] == [before + 1 for before in offered]


@pytest.mark.parametrize(("end", "error"), [("history", EpochChangedError), ("stop", ShuttingDownError)])
async def test_a_delivery_ends_with_its_history(stage: Stage, end: str, error: type[Exception]) -> None:
    clients = await up_to_date(stage)
    stage.commit()
    await until_in_the_middle(clients, 2)
    await (stage.feed._go_to(History("new"), 20, None) if end == "history" else stage.feed.stop())
    await turns(ALL)
    assert [len(client.parts) for client in clients] == [1, 1, 0, 0, 0, 0]
    assert all(isinstance(client.error, error) for client in clients)


async def test_a_new_history_has_a_group_of_its_own(stage: Stage) -> None:
    await up_to_date(stage)
    await stage.feed._go_to(History("new"), 0, None)
    await turns(ALL)
    clients = await up_to_date(stage)
    stage.commit()
    await turns(ALL)
    assert all(client.offered == 1 for client in clients)


async def test_a_watch_that_is_ahead_of_the_feed_is_no_member(stage: Stage) -> None:
    (first, _) = await up_to_date(stage, 2)
    assert first.progress.member
    assert first.progress.member.can_enter(stage.feed.history, stage.feed.end)
    assert not first.progress.member.can_enter(stage.feed.history, position_after(7))
    assert not first.progress.member.can_enter(History("new"), stage.feed.end)


async def test_a_message_that_cannot_be_made_ends_the_watches_and_not_the_deliveries(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = await up_to_date(stage)
    other = Selection(selectors=(selector(NameRef(name="bank")),), scope=Everything())
    others = await up_to_date(stage, 2, other)
    encode = stage._encode

    async def failing(history: History, message: CommitMessage) -> tuple[bytes, ...]:
        if message.part.revision == 1:
            raise EpochChangedError(expected="a", current="b")
        return await encode(history, message)

    for client in (*clients, *others):
        assert client.progress.member
        monkeypatch.setattr(client.progress.member._sending, "_encode", failing)
    stage.commit()
    stage.commit(owner="bank")
    await turns(ALL)
    assert all(isinstance(client.error, EpochChangedError) for client in clients)
    assert all(client.parts == [(2, 0)] for client in others)


async def test_members_are_listed_as_up_to_date_only_up_to_what_they_were_sent(stage: Stage) -> None:
    clients = await up_to_date(stage)
    registry = WatchRegistry(stage.feed)
    stage.commit()
    stage.commit(owner="bank")
    await until_in_the_middle(clients, 2)
    states = [registry._state_of(client.progress) for client in clients]
    assert states[:2] == [(WatchState.BEHIND, 1)] * 2 or stage.feed.revision == 1
    assert states[2:] == [(WatchState.BEHIND, 0)] * 4
    await turns(ALL)
    assert [registry._state_of(client.progress) for client in clients] == [(WatchState.UP_TO_DATE, 2)] * MEMBERS


async def test_groups_forget_members_that_have_ended(stage: Stage) -> None:
    clients = await up_to_date(stage)
    for client in clients:
        assert client.task
        client.task.cancel()
    await turns(ALL)
    assert not len(stage.feed._waiters)
    assert not stage.feed.interests
    (first, second) = await up_to_date(stage, 2)
    assert first.progress.member
    assert first.progress.member._group is (second.progress.member and second.progress.member._group)
    assert len(first.progress.member._group.members) == 2
