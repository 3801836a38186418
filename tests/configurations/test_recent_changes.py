"""Recent changes: what is remembered of the last commits is true, however little of it is kept."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from configsvc.configurations.recent_changes import RecentChanges, identity_of
from configsvc.domain.commits import Commit, CommitPart, Position, position_after
from configsvc.domain.models import ConfigurationChange, Operation
from configsvc.storage.log import RecentCommits, recent_commits
from tests.domain.changes import NOW, change
from tests.storage.reading import Session, application, configuration, head

# The configurations that each commit changed; one that is large comes in two parts.
histories = st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), min_size=1, max_size=30)


def commit(revision: int) -> Commit:
    return Commit(revision=revision, id=1000 + revision, time=NOW + timedelta(seconds=revision))


def change_of(configuration_id: str) -> ConfigurationChange:
    one = change(Operation.UPDATED)
    return replace(one, configuration=replace(one.configuration, id=configuration_id))


def parts(revision: int, changed: list[str]) -> list[CommitPart]:
    pieces = [changed[:2], changed[2:]] if len(changed) > 2 else [changed]
    return [
        CommitPart(
            commit=commit(revision),
            first=Position(revision=revision, ordinal=2 * number),
            next=Position(revision=revision, ordinal=2) if piece is not pieces[-1] else position_after(revision),
            changes=tuple(map(change_of, piece)),
            concerns_access=False,
            weight=1,
            more=piece is not pieces[-1],
        )
        for number, piece in enumerate(pieces)
    ]


@given(histories, st.integers(0, 29), st.integers(1, 12), st.integers(1, 8), st.integers(0, 10))
def test_what_counts_as_unchanged_has_not_changed(
    history: list[list[str]], before: int, limit: int, page: int, compacted: int
) -> None:
    start = min(before, len(history) - 1) + 1
    recent = RecentChanges(limit)
    recent.reset(commit(start))

    def check(reached: int) -> None:
        for revision in range(reached + 3):
            for one in "abcdef":
                if recent.is_unchanged(one, revision, identity_of(commit(revision))):
                    assert compacted <= revision <= reached
                    assert not any(one in changed for changed in history[revision:reached])
                assert not recent.is_unchanged(one, revision, b"another commit")

    compacted = min(compacted, start)
    while recent.is_short.is_set():
        # Of compacted commits, the log may have lost any changes.
        found = range(recent.first, max(0, recent.first - page), -1)
        commits = tuple((commit(one), tuple(history[one - 1]) if one > compacted else ()) for one in found)
        recent.extend(RecentCommits(commits=commits, compacted_revision=compacted))
        check(start)
    for revision in range(start + 1, len(history) + 1):
        for part in parts(revision, history[revision - 1]):
            recent.apply(part)
            check(revision - part.more)
    assert len(recent) <= limit


async def test_the_log_tells_what_recent_commits_changed(psql: Session) -> None:
    await application(psql)
    web = await configuration(psql, "web")
    async with psql.transaction():
        api = await configuration(psql, "api")
        await psql.execute("UPDATE configurations SET comments = 'x' WHERE name = 'web'")
    await psql.execute("DELETE FROM configurations WHERE name = 'api'")
    last = await head(psql)
    found = await recent_commits(psql, last, 100)
    assert [one.revision for one, _ in found.commits] == [4, 3, 2, 1]
    assert [set(changed) for _, changed in found.commits] == [{api}, {web, api}, {web}, set()]
    # A page ends with a whole commit.
    assert [one.revision for one, _ in (await recent_commits(psql, last, 2)).commits] == [4]
    assert [one.revision for one, _ in (await recent_commits(psql, 3, 1)).commits] == []
