"""The rules of plans, without I/O."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.cli.sync.planning import Kind, OnDrift, Plan, PlanOptions, plan, prune_limit
from configsvc.cli.sync.state import LiveConfiguration, SourceId
from configsvc.cli.sync.tree import ApplicationFolder, Binding, ConfigurationFile, Pin, Tree, Unpinned
from tests.cli.sync.worlds import OURS, World, file_of, folder_of, tree_of

PRUNE = PlanOptions(prune=True)
REVERT = PlanOptions(on_drift=OnDrift.REVERT)
REPORT = PlanOptions(on_drift=OnDrift.REPORT)


def planned(world: World, *files: ConfigurationFile, options: PlanOptions = PlanOptions(), **more: Any) -> Plan:  # noqa: B008
    return plan(tree_of(folder_of(*files, **more)), world.live, OURS, options)


def synced(*files: ConfigurationFile, **more: Any) -> World:
    world = World()
    world.apply(planned(world, *files, **more))
    return world


def actions(made: Plan) -> list[tuple[Kind, str]]:
    return [(change.kind, change.name) for change in made.changes]


def problems(made: Plan) -> str:
    return "\n".join(problem.text for problem in made.problems)


def test_what_git_alone_has_is_created() -> None:
    world = World()
    made = planned(world, file_of("web", {"a": 1}))
    assert actions(made) == [(Kind.CREATE, "web")]
    assert made.applications[0].creates
    world.apply(made)
    assert not planned(world, file_of("web", {"a": 1})).changed


def test_an_update_has_its_difference_by_pointer() -> None:
    world = synced(file_of("web", {"a": 1, "b": {"c": 2}}))
    made = planned(world, file_of("web", {"a": 1, "b": {"c": 3}}))
    (change,) = made.changes
    assert (change.kind, change.fields) == (Kind.UPDATE, ("config",))
    assert [difference.line for difference in change.differences] == ["~ /b/c: 2 → 3"]


def test_an_id_makes_a_new_name_a_rename() -> None:
    world = synced(file_of("web", {"a": 1}))
    identifier = world.named("web").id
    made = planned(world, file_of("www", {"a": 2}, id=identifier))
    assert actions(made) == [(Kind.RENAME, "www")]
    world.apply(made)
    assert world.named("www").id == identifier
    # An id of another service is ignored.
    assert not planned(world, file_of("www", {"a": 2}, id="01ANOTHER")).changed


def test_a_name_that_a_rename_gives_up_can_be_created_but_not_renamed_to() -> None:
    world = synced(file_of("a", {"n": 1}), file_of("b", {"n": 2}))
    first, second = world.named("a").id, world.named("b").id
    taken = planned(world, file_of("c", id=first), file_of("a"), file_of("b", {"n": 2}))
    assert not taken.problems
    assert sorted(actions(taken)) == [(Kind.CREATE, "a"), (Kind.RENAME, "c")]
    swapped = planned(world, file_of("b", id=first), file_of("a", id=second))
    assert "give it up in an earlier commit" in problems(swapped)


def test_a_name_of_another_configuration_is_no_target_of_a_rename() -> None:
    world = synced(file_of("a", {"n": 1}), file_of("b", {"n": 2}))
    renamed = file_of("b", id=world.named("a").id)
    assert "is that of another configuration" in problems(planned(world, renamed))
    assert not planned(world, renamed, options=PRUNE).problems


def test_an_id_of_another_application_or_two_files_with_one_id_are_refused() -> None:
    world = synced(file_of("a", {"n": 1}))
    identifier = world.named("a").id
    assert "another file has the same id" in problems(
        planned(world, file_of("b", id=identifier), file_of("c", id=identifier))
    )
    other = folder_of(file_of("b", application="other", id=identifier), name="other")
    made = plan(tree_of(folder_of(file_of("a", {"n": 1})), other), world.live, OURS, PlanOptions())
    assert "its id is that of shop/a" in problems(made)


def test_a_change_by_hand_refuses_the_plan_unless_it_is_reverted_or_reported() -> None:
    world = synced(file_of("web", {"a": 1}))
    world.by_hand("web", config={"a": 2})
    assert "shop/web was changed (config; version 2) by hand" in problems(planned(world, file_of("web", {"a": 1})))
    reported = planned(world, file_of("web", {"a": 1}), options=REPORT)
    assert (actions(reported), [drift.name for drift in reported.drifts]) == ([], ["web"])
    assert not reported.problems
    reverted = planned(world, file_of("web", {"a": 1}), options=REVERT)
    (change,) = reverted.changes
    assert change.reverts_drift
    world.apply(reverted)
    assert not planned(world, file_of("web", {"a": 1})).drifts


def test_a_change_by_hand_that_git_has_too_or_that_was_taken_back_is_no_drift() -> None:
    world = synced(file_of("web", {"a": 1}))
    world.by_hand("web", config={"a": 2})
    same = planned(world, file_of("web", {"a": 2}))
    assert (same.changed, same.drifts, len(same.applications[0].refreshed)) == (False, (), 1)
    world.by_hand("web", config={"a": 1})
    back = planned(world, file_of("web", {"a": 3}))
    assert (actions(back), back.drifts) == ([(Kind.UPDATE, "web")], ())


def test_changes_of_other_members_by_git_and_by_hand_are_drift_until_git_has_both() -> None:
    world = synced(file_of("web", {"a": 1, "b": {"c": 1, "gone": 1}, "list": [1]}))
    world.by_hand("web", config={"a": 2, "b": {"c": 1, "new": 1}, "list": [1]})
    assert planned(world, file_of("web", {"a": 1, "b": {"c": 5, "gone": 1}, "list": [1]})).drifts
    both = planned(world, file_of("web", {"a": 2, "b": {"c": 5, "new": 1}, "list": [2]}))
    assert (actions(both), both.drifts) == ([(Kind.UPDATE, "web")], ())


def test_an_older_schema_version_by_hand_is_drift() -> None:
    world = World()
    tree = tree_of(folder_of(file_of("web", {"a": 1}, schema=Pin(schema="s"))), schemas={"s": {"type": "object"}})
    world.apply(plan(tree, world.live, OURS, PlanOptions()))
    tree = replace(tree, schemas=tree_of(schemas={"s": {"type": "object", "title": "2"}}).schemas)
    world.apply(plan(tree, world.live, OURS, PlanOptions()))
    world.by_hand("web", schema=Pin(schema="s", version=1))
    assert "shop/web was changed (schema; version 3) by hand" in problems(plan(tree, world.live, OURS, PlanOptions()))


def test_a_change_by_hand_of_what_the_tree_does_not_state_is_no_drift() -> None:
    world = synced(file_of("web", {"a": 1}))
    world.by_hand("web", comments="by hand")
    made = planned(world, file_of("web", {"a": 2}))
    assert (actions(made), made.drifts) == ([(Kind.UPDATE, "web")], ())
    stated = planned(world, file_of("web", {"a": 1}, comments="of Git"))
    assert "comments" in problems(stated)


def test_drift_is_suspected_where_what_was_applied_is_no_longer_kept() -> None:
    world = synced(file_of("web", {"a": 1}))
    one = world.by_hand("web", config={"a": 1})
    marks = {one.id: replace(world.live.marks[one.id], applied=None)}
    world.live = replace(world.live, marks=marks)
    assert planned(world, file_of("web", {"a": 2})).drifts
    assert not planned(world, file_of("web", {"a": 1})).drifts


def test_a_deletion_by_hand_is_drift_until_git_agrees() -> None:
    world = synced(file_of("web", {"a": 1}), file_of("api", {"a": 1}))
    world.delete(world.named("web").id)
    files = file_of("web", {"a": 1}), file_of("api", {"a": 1})
    assert "shop/web was deleted by hand" in problems(planned(world, *files))
    reported = planned(world, *files, options=REPORT)
    assert (actions(reported), reported.applications[0].dropped) == ([], [])
    assert actions(planned(world, *files, options=REVERT)) == [(Kind.CREATE, "web")]
    agreed = planned(world, files[1])
    assert (actions(agreed), len(agreed.applications[0].dropped)) == ([], 1)
    world.apply(agreed)
    assert not planned(world, files[1]).applications[0].writes


def test_a_rename_by_hand_is_drift() -> None:
    world = synced(file_of("web", {"a": 1}))
    one = world.named("web")
    world.by_hand("web", name="www")
    assert "was renamed by hand" in problems(planned(world, file_of("web", {"a": 1})))
    reverted = planned(world, file_of("web", {"a": 1}), options=REVERT)
    assert actions(reverted) == [(Kind.RENAME, "web")]
    world.apply(reverted)
    assert world.named("web").id == one.id


def test_what_another_made_is_never_taken_without_adoption() -> None:
    world = World()
    world.by_hand("web", config={"a": 1})
    assert "no source owns it" in problems(planned(world, file_of("web", {"a": 1})))
    owned = synced(file_of("web", {"a": 1}))
    owned.by_hand("api", config={"a": 1})
    made = planned(owned, file_of("web", {"a": 1}), file_of("api", {"a": 1}))
    assert "shop/api exists, and this source did not apply it" in problems(made)
    left_alone = planned(owned, file_of("web", {"a": 1}), options=PRUNE)
    assert (actions(left_alone), left_alone.applications[0].unmanaged) == ([], 1)


def test_an_application_of_another_source_is_refused_with_the_name_of_that_source() -> None:
    world = synced(file_of("web", {"a": 1}))
    theirs = SourceId(repository="https://git.example.com/other.git", path="live")
    made = plan(tree_of(folder_of(file_of("web"))), world.live, theirs, PRUNE)
    assert f"the application shop belongs to another source: {OURS}" in problems(made)
    assert not list(made.changes)


def test_nothing_is_deleted_without_prune() -> None:
    world = synced(file_of("web", {"a": 1}), file_of("api", {"a": 1}))
    made = planned(world, file_of("web", {"a": 1}))
    assert (actions(made), made.applications[0].left, made.changed) == ([], ["api"], False)
    assert actions(planned(world, file_of("web", {"a": 1}), options=PRUNE)) == [(Kind.DELETE, "api")]


def test_a_deletion_of_what_was_changed_by_hand_is_drift() -> None:
    world = synced(file_of("web", {"a": 1}), file_of("api", {"a": 1}))
    world.by_hand("api", config={"a": 2})
    assert not planned(world, file_of("web", {"a": 1})).problems
    assert "api was changed" in problems(planned(world, file_of("web", {"a": 1}), options=PRUNE))
    reverted = planned(world, file_of("web", {"a": 1}), options=replace(PRUNE, on_drift=OnDrift.REVERT))
    assert actions(reverted) == [(Kind.DELETE, "api")]


@pytest.mark.parametrize(("marked", "limit"), [(0, 10), (50, 10), (54, 10), (55, 11), (1000, 200)])
def test_the_limit_of_deletions_is_the_larger_of_ten_and_a_fifth(marked: int, limit: int) -> None:
    assert prune_limit(marked, PRUNE) == limit
    files = [file_of(f"c{number:04}", {"n": number}) for number in range(marked)]
    if marked <= limit:
        return
    world = synced(*files)
    assert not planned(world, *files[limit:], options=PRUNE).problems
    refused = planned(world, *files[limit + 1 :], options=PRUNE)
    assert f"{limit + 1} of the {marked} configurations of this source would be deleted" in problems(refused)
    assert not planned(world, *files[limit + 1 :], options=replace(PRUNE, prune_limit=limit + 1)).problems
    assert planned(world, *files[1:], options=replace(PRUNE, prune_limit=0)).problems


def test_an_application_that_left_the_tree_is_deleted_by_prune_if_nothing_is_left_in_it() -> None:
    world = synced(file_of("web", {"a": 1}))
    other = tree_of(folder_of(name="other"))
    kept = plan(other, world.live, OURS, PlanOptions())
    assert [(one.name, one.deletes, one.left) for one in kept.applications if one.leaves] == [("shop", False, ["web"])]
    pruned = plan(other, world.live, OURS, PRUNE)
    assert [(one.name, one.deletes) for one in pruned.applications if one.leaves] == [("shop", True)]
    world.by_hand("api")
    shared = plan(other, world.live, OURS, PRUNE)
    assert [(one.deletes, one.releases) for one in shared.applications if one.leaves] == [(False, True)]
    world.apply(shared)
    assert world.live.applications["shop"].owner is None
    assert [one.name for one in world.live.configurations.values()] == ["api"]


def test_an_empty_tree_is_never_a_plan() -> None:
    world = synced(file_of("web", {"a": 1}))
    assert "the tree is empty" in problems(plan(tree_of(), world.live, OURS, PRUNE))


def test_a_tree_that_lost_its_applications_deletes_nothing_unless_the_number_is_given() -> None:
    world = synced(file_of("a", {"n": 1}), file_of("b", {"n": 1}))
    tree = tree_of(schemas={"s": {"type": "object"}})
    assert "the tree has no applications" in problems(plan(tree, world.live, OURS, PRUNE))
    meant = plan(tree, world.live, OURS, replace(PRUNE, prune_limit=2))
    assert (len(actions(meant)), meant.problems) == (2, ())


def test_a_pin_without_a_version_follows_the_newest_one_and_unpinned_unpins() -> None:
    world = World()
    folder = folder_of(file_of("web", {"a": 1}, schema=Pin(schema="s")))
    world.apply(plan(tree_of(folder, schemas={"s": {"type": "object"}}), world.live, OURS, PlanOptions()))
    assert world.named("web").schema == Pin(schema="s", version=1)
    tree = tree_of(folder, schemas={"s": {"type": "object", "title": "2"}})
    made = plan(tree, world.live, OURS, PlanOptions())
    assert [(change.file.name, change.version) for change in made.schemas] == [("s", 2)]
    (change,) = made.changes
    assert (change.fields, change.pin) == (("schema",), Pin(schema="s", version=2))
    world.apply(made)
    assert not plan(tree, world.live, OURS, PlanOptions()).changed
    # Not stated: it stays.
    assert not planned(world, file_of("web", {"a": 1})).changed
    world.apply(planned(world, file_of("web", {"a": 1}, schema=Unpinned())))
    assert world.named("web").schema is None
    for pin in (Pin(schema="none"), Pin(schema="s", version=3)):
        refused = planned(world, file_of("web", {"a": 1}, schema=pin))
        assert "is neither in the tree nor stored" in problems(refused)


def test_a_new_version_of_a_schema_that_moved_a_configuration_is_no_drift() -> None:
    world = World()
    folder = folder_of(file_of("web", {"a": 1}, schema=Pin(schema="s", version=1)))
    tree = tree_of(folder, schemas={"s": {"type": "object"}})
    world.apply(plan(tree, world.live, OURS, PlanOptions()))
    world.by_hand("web", schema=Pin(schema="s", version=2))
    made = plan(tree, world.live, OURS, PlanOptions())
    assert ([change.fields for change in made.changes], made.drifts) == ([("schema",)], ())


def test_bindings_are_added_and_removed_only_by_prune() -> None:
    ann, bob = (Binding(principal=f"user:{name}", role="editor") for name in ("ann", "bob"))
    world = synced(bindings=(ann,))
    assert [one.binding for one in world.live.applications["shop"].bindings or ()] == [ann]
    made = planned(world, bindings=(bob,))
    (application,) = made.applications
    assert application.new_bindings == [bob]
    assert [one.binding for one in application.extra_bindings] == [ann]
    world.apply(planned(world, bindings=(bob,), options=PRUNE))
    assert [one.binding for one in world.live.applications["shop"].bindings or ()] == [bob]
    assert not planned(world).changed


# Any history

NAMES = st.sampled_from(["a", "b", "c", "d/e"])
CONFIGS = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2), max_size=2)
APPLICATIONS = st.sampled_from(["shop", "pay"])


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    folders: list[ApplicationFolder] = []
    for name in draw(st.lists(APPLICATIONS, min_size=1, unique=True)):
        names = draw(st.lists(NAMES, unique=True))
        comments = st.one_of(st.none(), st.sampled_from(["", "text"]))
        files = [file_of(one, draw(CONFIGS), name, comments=draw(comments)) for one in names]
        folders.append(folder_of(*files, name=name, comments=draw(comments)))
    return tree_of(*folders)


HANDS = st.lists(
    st.tuples(st.sampled_from(["set", "rename", "delete"]), APPLICATIONS, NAMES, CONFIGS),
    max_size=4,
)


def tamper(world: World, hands: list[tuple[str, str, str, Any]]) -> None:
    for kind, application, name, config in hands:
        one = next((one for one in _of(world, application).values() if one.name == name), None)
        if kind == "set":
            world.by_hand(name, application, config=config)
        elif one is not None and kind == "delete":
            world.delete(one.id)
        elif one is not None and f"{name}2" not in _of(world, application):
            world.by_hand(name, application, name=f"{name}2")


def _of(world: World, application: str) -> dict[str, LiveConfiguration]:
    return {one.name: one for one in world.live.configurations.values() if one.application == application}


@given(st.lists(st.tuples(trees(), HANDS), min_size=1, max_size=4), st.booleans(), st.sampled_from(OnDrift))
@settings(deadline=None, max_examples=300)
def test_whatever_happened_an_applied_plan_gives_what_git_says_and_harms_nothing_else(
    history: list[tuple[Tree, list[tuple[str, str, str, Any]]]], prune: bool, on_drift: OnDrift
) -> None:
    world = World()
    options = PlanOptions(prune=prune, on_drift=on_drift)
    for tree, hands in history:
        tamper(world, hands)
        before = world.live
        made = plan(tree, before, OURS, options)
        deleted = {change.live.id for change in made.changes if change.kind is Kind.DELETE and change.live}
        assert deleted <= set(before.marks)
        assert prune or not deleted
        if made.problems:
            continue
        world.apply(made)
        unmarked = {key: one for key, one in before.configurations.items() if key not in before.marks}
        assert all(world.live.configurations[key] == one for key, one in unmarked.items())
        left = {(drift.application, drift.name) for drift in made.drifts} if on_drift is OnDrift.REPORT else set()
        for application, folder in tree.applications.items():
            live = _of(world, application)
            for name, file in folder.configurations.items():
                if not left:
                    assert live[name].config == file.config
                    assert file.comments is None or live[name].comments == file.comments
        again = plan(tree, world.live, OURS, options)
        assert not again.changed
        assert not any(application.writes for application in again.applications)
        assert not again.problems
