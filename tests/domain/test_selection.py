import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.models import ConfigurationChange, IdRef, NameRef, Operation
from configsvc.domain.scope import Everything, Only
from configsvc.domain.selection import Effect, Selection, SelectionIndex, Selector
from tests.domain.changes import EVERYTHING, change, selector


def selection(*selectors: Selector) -> Selection:
    return Selection(selectors=selectors, scope=Everything())


@pytest.mark.parametrize(
    ("chosen", "selects"),
    [
        (selector(), True),
        (selector(NameRef(name="shop")), True),
        (selector(NameRef(name="sho")), False),
        (selector(IdRef(id="#shop")), True),
        (selector(IdRef(id="shop")), False),
        (selector(prefix="we"), True),
        (selector(prefix="web"), True),
        (selector(prefix="webs"), False),
        (selector(prefix="b"), False),
        (selector(keys=("web", "db")), True),
        (selector(keys=("we", "db")), False),
        (selector(NameRef(name="shop"), prefix="w", keys=("web",)), True),
        (selector(NameRef(name="bank"), prefix="w", keys=("web",)), False),
        (selector(NameRef(name="shop"), prefix="d", keys=("web",)), False),
        (selector(NameRef(name="shop"), prefix="w", keys=("db",)), False),
    ],
)
def test_all_that_a_selector_sets_must_hold(chosen: Selector, selects: bool) -> None:
    assert chosen.selects(application_id="#shop", application="shop", name="web") is selects


def test_no_selector_selects_everything() -> None:
    assert EVERYTHING.selects(application_id="#shop", application="shop", name="web")


def test_one_selector_of_several_is_enough() -> None:
    chosen = selection(selector(prefix="x"), selector(NameRef(name="shop")))
    assert chosen.selects(application_id="#shop", application="shop", name="web")
    assert not chosen.selects(application_id="#bank", application="bank", name="web")


@pytest.mark.parametrize(
    ("operation", "effect"),
    [(Operation.CREATED, Effect.SET), (Operation.UPDATED, Effect.SET), (Operation.DELETED, Effect.REMOVE)],
)
def test_within_a_selection_only_a_deletion_removes(operation: Operation, effect: Effect) -> None:
    for chosen in (EVERYTHING, selection(selector(prefix="we")), selection(selector(IdRef(id="#shop")))):
        assert SelectionIndex(chosen).effect_of(change(operation)) is effect
    assert SelectionIndex(selection(selector(prefix="x"))).effect_of(change(operation)) is None


@pytest.mark.parametrize(
    ("chosen", "effect"),
    [
        (selector(prefix="new"), Effect.SET),
        (selector(keys=("new",)), Effect.SET),
        (selector(prefix="web"), Effect.REMOVE),
        (selector(keys=("web",)), Effect.REMOVE),
        (selector(keys=("web", "new")), Effect.SET),
        (selector(NameRef(name="shop")), Effect.SET),
        (selector(prefix="other"), None),
    ],
)
def test_a_rename_brings_a_configuration_in_or_out(chosen: Selector, effect: Effect | None) -> None:
    renamed = change(Operation.UPDATED, before=("shop", "web"), after=("shop", "new"))
    assert SelectionIndex(selection(chosen)).effect_of(renamed) is effect


@pytest.mark.parametrize(
    ("chosen", "effect"),
    [
        (selector(NameRef(name="shop")), Effect.REMOVE),
        (selector(NameRef(name="bank")), Effect.SET),
        (selector(IdRef(id="#shop")), Effect.REMOVE),
        (selector(IdRef(id="#bank")), Effect.SET),
        (selector(), Effect.SET),
    ],
)
def test_a_move_to_another_application_does_so_too(chosen: Selector, effect: Effect) -> None:
    moved = change(Operation.UPDATED, before=("shop", "web"), after=("bank", "web"))
    assert SelectionIndex(selection(chosen)).effect_of(moved) is effect


def test_a_name_that_was_selected_before_a_creation_or_after_a_deletion_means_nothing() -> None:
    chosen = selection(selector(prefix="web"))
    assert (
        SelectionIndex(chosen).effect_of(change(Operation.CREATED, before=("shop", "web"), after=("shop", "new")))
        is None
    )
    assert (
        SelectionIndex(chosen).effect_of(change(Operation.DELETED, before=("shop", "old"), after=("shop", "web")))
        is None
    )


def test_the_changes_of_a_commit_are_picked_by_their_indexes() -> None:
    changes = [
        change(Operation.CREATED, before=("shop", "db"), after=("shop", "db")),
        change(Operation.UPDATED),
        change(Operation.UPDATED, after=("shop", "db")),
    ]
    assert SelectionIndex(selection(selector(prefix="web"))).picked(changes) == (
        (1, Effect.SET),
        (2, Effect.REMOVE),
    )
    assert SelectionIndex(EVERYTHING).picked(changes) == (
        (0, Effect.SET),
        (1, Effect.SET),
        (2, Effect.SET),
    )
    assert SelectionIndex(selection(selector(prefix="x"))).picked(changes) == ()


def test_the_first_selector_of_a_configuration_is_the_one_that_its_snapshot_comes_by() -> None:
    chosen = selection(selector(prefix="x"), selector(prefix="w"), selector())
    assert chosen.first_selector_of(change(Operation.UPDATED).configuration) == 1
    with pytest.raises(StopIteration):
        selection(selector(prefix="x")).first_selector_of(change(Operation.UPDATED).configuration)


names = st.text(alphabet="ab/", min_size=1, max_size=3)
selections = st.builds(
    lambda chosen: selection(*chosen),
    st.lists(
        st.builds(
            lambda owner, prefix, keys: selector(owner, prefix=prefix, keys=tuple(keys)),
            st.sampled_from([None, NameRef(name="shop"), NameRef(name="bank"), IdRef(id="#shop")]),
            st.text(alphabet="ab/", max_size=2),
            st.lists(names, max_size=2),
        ),
        max_size=3,
    ),
)
places = st.tuples(st.sampled_from(["shop", "bank"]), names)


@given(selections, st.lists(places, min_size=1, max_size=6))
def test_events_lead_from_what_was_followed_to_what_is_followed(chosen: Selection, path: list[tuple[str, str]]) -> None:
    # A client that applies the events knows a configuration exactly while it is selected.
    index = SelectionIndex(chosen)
    known = index.effect_of(change(Operation.CREATED, before=path[0], after=path[0])) is Effect.SET
    for before, after in itertools.pairwise(path):
        effect = index.effect_of(change(Operation.UPDATED, before=before, after=after))
        assert known or effect is not Effect.REMOVE
        known = effect is Effect.SET
        assert known == chosen.selects(application_id=f"#{after[0]}", application=after[0], name=after[1])
    effect = index.effect_of(change(Operation.DELETED, before=path[-1], after=path[-1]))
    assert effect is (Effect.REMOVE if known else None)


@given(selections, places)
def test_an_index_selects_what_its_selectors_select(chosen: Selection, place: tuple[str, str]) -> None:
    application, name = place
    selected = chosen.selects(application_id=f"#{application}", application=application, name=name)
    assert SelectionIndex(chosen).selects(f"#{application}", application, name) == selected


def test_what_is_in_no_application_of_the_watcher_is_not_there_whatever_name_it_has() -> None:
    by_name = Selection(selectors=(selector(NameRef(name="shop")),), scope=Only(frozenset({"#shop"})))
    taken_over = replace_application_id(change(Operation.UPDATED), "#bank")
    assert SelectionIndex(by_name).picked([change(Operation.UPDATED), taken_over]) == ((0, Effect.SET),)
    assert SelectionIndex(replace(by_name, selectors=())).picked([taken_over]) == ()


def test_what_moves_to_a_foreign_application_of_the_same_name_is_gone() -> None:
    by_name = Selection(selectors=(selector(NameRef(name="shop")),), scope=Only(frozenset({"#shop"})))
    moved = change(Operation.UPDATED)
    out = replace(moved, configuration=replace(moved.configuration, application_id="#bank"))
    into = replace(moved, previous_application_id="#bank")
    assert SelectionIndex(by_name).picked([out, into]) == ((0, Effect.REMOVE), (1, Effect.SET))


def replace_application_id(known: ConfigurationChange, application_id: str) -> ConfigurationChange:
    configuration = replace(known.configuration, application_id=application_id)
    return replace(known, configuration=configuration, previous_application_id=application_id)
