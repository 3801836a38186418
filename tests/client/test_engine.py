"""The rules that the client keeps whatever a stream does, without a stream."""

import math
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.client.engine import (
    LOST_SECONDS,
    MOST_PAUSE_SECONDS,
    MOST_RETRY_SECONDS,
    End,
    Engine,
    Event,
    Message,
    Pause,
)
from configsvc.client.view import View
from tests.client.messages import complete, part, puts, removes, versions

COMPACTED = End(code="OUT_OF_RANGE", reason="REVISION_COMPACTED")
BROKEN = End(code="UNAVAILABLE")


def synced(*events: Event) -> Engine:
    """Return an engine that has received a snapshot at revision 10."""
    engine = Engine()
    assert engine.begin() == ""
    engine.receive(complete(10, *events, synced=True))
    return engine


def test_a_snapshot_is_not_seen_until_it_is_whole() -> None:
    engine = Engine()
    engine.begin()
    assert engine.receive(part(puts("limits"))).view is None
    assert engine.view is None
    step = engine.receive(complete(10, puts("flags"), synced=True))
    assert versions(step.view) == {"limits": 1, "flags": 1}
    assert step.is_live


def test_a_commit_over_several_messages_is_one_swap() -> None:
    engine = synced(puts("limits"), puts("flags"))
    engine.receive(part(puts("limits", 2)))
    assert versions(engine.view) == {"limits": 1, "flags": 1}
    step = engine.receive(complete(11, puts("flags", 2)))
    assert versions(step.view) == {"limits": 2, "flags": 2}
    assert [change.name for change in step.changes] == ["limits", "flags"]
    assert {change.revision for change in step.changes} == {11}


def test_half_a_commit_is_forgotten_when_its_stream_ends() -> None:
    engine = synced(puts("limits"))
    engine.receive(part(puts("limits", 2)))
    engine.end(BROKEN)
    assert engine.begin() == "one:10"
    engine.receive(complete(10, synced=True))
    assert versions(engine.view) == {"limits": 1}


@pytest.mark.parametrize("reason", ["REVISION_COMPACTED", "EPOCH_CHANGED", "REVISION_UNKNOWN", ""])
def test_the_old_view_stays_until_the_new_snapshot_is_whole(reason: str) -> None:
    engine = synced(puts("limits"), puts("flags"))
    assert engine.end(End(code="OUT_OF_RANGE", reason=reason)) is not None
    assert engine.begin() == ""
    engine.receive(part(puts("limits", 7)))
    assert versions(engine.view) == {"limits": 1, "flags": 1}
    step = engine.receive(complete(3, synced=True, epoch="two"))
    assert versions(step.view) == {"limits": 7}
    assert {change.name: change.after is None for change in step.changes} == {"limits": False, "flags": True}


def test_a_snapshot_that_breaks_off_is_begun_anew() -> None:
    engine = synced(puts("limits"))
    engine.end(COMPACTED)
    engine.begin()
    engine.receive(part(puts("flags")))
    engine.end(BROKEN)
    assert engine.begin() == ""
    assert versions(engine.receive(complete(12, puts("web"), synced=True)).view) == {"web": 1}


def test_an_empty_snapshot_where_there_was_data_is_refused() -> None:
    engine = synced(puts("limits"))
    engine.end(COMPACTED)
    engine.begin()
    step = engine.receive(complete(20, synced=True))
    assert (step.view, step.is_live, engine.has_refused_empty) == (None, False, True)
    assert not engine.receive(complete(21)).is_live
    assert versions(engine.view) == {"limits": 1}


def test_a_refused_empty_snapshot_is_followed_until_there_is_data_again() -> None:
    engine = synced(puts("limits"))
    engine.end(COMPACTED)
    engine.begin()
    engine.receive(complete(20, synced=True))
    step = engine.receive(complete(21, puts("flags")))
    assert versions(step.view) == {"flags": 1}
    assert (step.is_live, engine.has_refused_empty) == (True, False)
    assert {change.name: change.after is None for change in step.changes} == {"limits": True, "flags": False}


def test_an_empty_snapshot_is_accepted_if_the_policy_says_so_and_where_there_was_nothing() -> None:
    engine = Engine(synced(puts("limits")).view, accepts_empty=True)
    engine.end(COMPACTED)
    engine.begin()
    assert versions(engine.receive(complete(20, synced=True)).view) == {}
    assert versions(synced().view) == {}


def test_the_deletion_of_everything_is_no_empty_snapshot() -> None:
    engine = synced(puts("limits"))
    assert versions(engine.receive(complete(11, removes("limits"))).view) == {}


def test_a_rename_leaves_nothing_under_the_old_name() -> None:
    engine = synced(puts("old", id="a"), puts("other", id="b"))
    step = engine.receive(complete(11, puts("new", 2, id="a"), puts("old", 2, id="b")))
    assert versions(step.view) == {"new": 2, "old": 2}
    assert {change.name for change in step.changes} == {"new", "old", "other"}


def test_a_rename_is_the_end_of_one_name_and_then_the_beginning_of_another() -> None:
    engine = synced(*(puts(f"old-{number}", id=f"id-{number}") for number in range(10)))
    step = engine.receive(complete(2, *(puts(f"new-{number}", 2, id=f"id-{number}") for number in range(10))))
    names = [name for number in range(10) for name in (f"old-{number}", f"new-{number}")]
    assert [change.name for change in step.changes] == names


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_names_move_between_configurations_in_one_commit_in_whatever_order(order: tuple[int, ...]) -> None:
    engine = synced(puts("one", id="a"), puts("two", id="b"), puts("three", id="c"))
    events = (puts("two", 2, id="a"), removes("two", id="b"), puts("one", 3, id="c"))
    step = engine.receive(complete(11, *[events[place] for place in order]))
    assert versions(step.view) == {"two": 2, "one": 3}
    assert {change.name for change in step.changes} == {"one", "two", "three"}


def test_a_change_says_what_was_before_and_who_made_it() -> None:
    engine = synced(puts("limits"))
    (change,) = engine.receive(complete(11, puts("limits", 2))).changes
    assert change.before
    assert change.after
    assert (change.before.version, change.after.version) == (1, 2)
    assert (change.actor, change.reason) == ("user:ann", "because")


def test_catching_up_proves_no_freshness_until_it_has_caught_up() -> None:
    engine = synced(puts("limits"))
    engine.end(BROKEN)
    engine.begin()
    assert not engine.receive(complete(11, puts("limits", 2))).is_live
    assert engine.receive(complete(12, synced=True)).is_live
    assert engine.receive(complete(12)).is_live


def test_a_message_in_which_nothing_is_known_means_nothing() -> None:
    engine = synced(puts("limits"))
    assert engine.receive(Message()).view is None
    assert engine.begin() == "one:10"


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN", "PERMISSION_DENIED", "OK", ""])
def test_an_end_without_error_info_is_a_normal_reconnect_whatever_its_code(code: str) -> None:
    engine = synced(puts("limits"))
    assert engine.end(End(code=code)) == Pause(least_seconds=0.0, most_seconds=1.0)
    assert engine.begin() == "one:10"


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "INVALID_ARGUMENT", "UNAUTHENTICATED"])
def test_what_can_never_succeed_stops_and_keeps_the_view(code: str) -> None:
    engine = synced(puts("limits"))
    assert engine.end(End(code=code, reason="OF_THE_SERVICE")) is None
    assert versions(engine.view) == {"limits": 1}


def test_a_token_that_expires_is_a_normal_reconnect_if_there_will_be_another() -> None:
    engine = Engine(renews_credentials=True)
    assert engine.end(End(code="UNAUTHENTICATED", reason="UNAUTHENTICATED")) is not None


def test_pauses_grow_to_a_bound_begin_anew_after_a_success_and_are_never_shorter_than_the_service_asks() -> None:
    engine = synced()
    most = [pause.most_seconds for _ in range(50) if (pause := engine.end(BROKEN))]
    assert most == sorted(most)
    assert (most[0], most[-1]) == (1.0, MOST_PAUSE_SECONDS)
    engine.begin()
    engine.receive(complete(11, synced=True))
    assert engine.end(End(code="UNAVAILABLE", reason="SHUTTING_DOWN", retry_seconds=5.0)) == Pause(
        least_seconds=5.0, most_seconds=6.0
    )


@pytest.mark.parametrize(
    ("asked", "least"), [(-100.0, 0.0), (math.nan, 0.0), (1e9, MOST_RETRY_SECONDS), (math.inf, 60.0)]
)
def test_a_pause_that_makes_no_sense_neither_stops_the_client_nor_lets_it_hurry(asked: float, least: float) -> None:
    pause = Engine().end(End(code="UNAVAILABLE", retry_seconds=asked))
    assert pause == Pause(least_seconds=least, most_seconds=least + 1.0)


def test_a_stream_is_lost_after_three_of_its_own_bookmarks() -> None:
    engine = Engine()
    engine.begin()
    engine.receive(Message(interval_seconds=1.0))
    assert engine.silence_seconds == LOST_SECONDS
    engine.receive(Message(interval_seconds=60.0))
    assert engine.silence_seconds == 180.0


IDS = ("a", "b", "c")
NAMES = ("x", "y", "z")


@dataclass
class Service:
    """A model of the service: its states by revision, and messages from any position."""

    states: list[dict[str, tuple[str, int]]] = field(default_factory=lambda: [{}])
    commits: list[list[Event]] = field(default_factory=lambda: [[]])

    def commit(self, wanted: dict[str, str | None]) -> None:
        """Put and remove configurations, by id; a name that another one has is not given away."""
        state, events = dict(self.states[-1]), list[Event]()
        for key, name in wanted.items():
            if name is None and key in state:
                events.append(removes(state.pop(key)[0], id=key))
            elif name and name not in {other for one, (other, _) in state.items() if one != key}:
                state[key] = (name, len(self.states))
                events.append(puts(name, len(self.states), id=key))
        self.states.append(state)
        self.commits.append(events)

    @property
    def head(self) -> int:
        return len(self.states) - 1

    def snapshot(self) -> list[Message]:
        head = self.head
        events = [puts(name, version, id=key) for key, (name, version) in self.states[head].items()]
        return [*[part(event) for event in events], complete(head, synced=True)]

    def after(self, revision: int) -> list[Message]:
        """Return everything after a revision: each commit in as many messages as it has events, and one more."""
        messages: list[Message] = []
        for later in range(revision + 1, self.head + 1):
            messages += [*[part(event) for event in self.commits[later]], complete(later)]
        return [*messages, complete(self.head, synced=True)]

    def view_at(self, revision: int) -> dict[str, int]:
        return dict(self.states[revision].values())


COMMITS = st.lists(st.dictionaries(st.sampled_from(IDS), st.sampled_from((*NAMES, None)), max_size=3), max_size=3)
# What happens between two streams, the number of messages that the next one delivers, and the end of that.
STREAMS = st.lists(st.tuples(COMMITS, st.integers(0, 12), st.sampled_from([BROKEN, COMPACTED, End()])), max_size=12)


@given(STREAMS)
def test_each_view_is_the_state_at_its_revision_wherever_streams_break_off(
    streams: list[tuple[list[dict[str, str | None]], int, End]],
) -> None:
    service, engine = Service(), Engine(accepts_empty=True)
    for commits, count, end in streams:
        for commit in commits:
            service.commit(commit)
        token = engine.begin()
        messages = service.after(int(token.partition(":")[2])) if token else service.snapshot()
        for message in messages[:count]:
            follow(engine, message, service)
        engine.end(end)
        assert engine.view is None or versions(engine.view) == service.view_at(engine.view.revision)


def follow(engine: Engine, message: Message, service: Service) -> None:
    """Give a message to the engine, and check what readers then have."""
    before = engine.view
    step = engine.receive(message)
    if step.view is None:
        assert engine.view is before
        return
    assert versions(step.view) == service.view_at(step.view.revision)
    assert {one.id for one in step.view.by_name.values()} == set(step.view.by_id)
    assert patched(before, step.changes) == versions(step.view)


def patched(view: View | None, changes: object) -> dict[str, int]:
    """Return a view by name after the changes."""
    copy = versions(view) or {}
    assert isinstance(changes, tuple)
    for change in changes:
        copy.pop(change.name, None)
        if change.after:
            copy[change.name] = change.after.version
    return copy


INVALID = End(code="INVALID_ARGUMENT", reason="INVALID_ARGUMENT")


def test_a_token_that_the_service_does_not_take_is_given_up_once() -> None:
    engine = Engine(View(token="damaged"))
    assert engine.begin() == "damaged"
    assert engine.end(INVALID) is not None
    assert engine.begin() == ""
    assert engine.end(INVALID) is None


def test_the_pauses_begin_anew_with_a_new_snapshot() -> None:
    engine = synced(puts("limits"))
    for _ in range(5):
        engine.begin()
        engine.end(BROKEN)
    engine.begin()
    assert engine.end(COMPACTED) == Pause(least_seconds=0.0, most_seconds=1.0)
    engine.begin()
    assert engine.end(COMPACTED) == Pause(least_seconds=0.0, most_seconds=2.0)
