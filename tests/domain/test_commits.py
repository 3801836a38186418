from dataclasses import asdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.commits import (
    PART_LIMIT_BYTES,
    RECORD_BYTES,
    Commit,
    Position,
    Record,
    parts_of,
    position_after,
)

Sizes = list[list[int]]
commits = st.lists(st.lists(st.integers(0, PART_LIMIT_BYTES), min_size=1, max_size=8), max_size=8)


def commit_of(revision: int) -> Commit:
    return Commit(revision=revision, id=revision, time=datetime(2026, 1, 1, tzinfo=UTC))


def records(sizes: Sizes) -> list[Record]:
    """Return a commit for each list, with a record for each size in it."""
    return [
        Record(
            position=Position(revision=revision, ordinal=ordinal),
            commit=commit_of(revision),
            change=None,
            concerns_access=False,
            content_bytes=size,
            is_last=ordinal == len(commit) - 1,
        )
        for revision, commit in enumerate(sizes, start=1)
        for ordinal, size in enumerate(commit)
    ]


@given(commits)
def test_the_parts_follow_each_other_and_end_with_the_last_commit(sizes: Sizes) -> None:
    expected = position_after(0)
    for part in parts_of(records(sizes)):
        assert part.first == expected
        assert part.more == (part.next.revision == part.revision)
        expected = part.next
    assert expected == position_after(len(sizes))


@given(commits)
def test_a_commit_within_the_limit_is_one_part(sizes: Sizes) -> None:
    parts = list(parts_of(records(sizes)))
    for revision, commit in enumerate(sizes, start=1):
        if sum(commit) + RECORD_BYTES * len(commit) <= PART_LIMIT_BYTES:
            assert sum(part.revision == revision for part in parts) == 1


@given(commits, st.data())
def test_reading_on_from_any_part_gives_the_same_parts(sizes: Sizes, data: st.DataObject) -> None:
    everything = records(sizes)
    parts = list(parts_of(everything))
    if parts:
        begun = data.draw(st.integers(0, len(parts) - 1))
        rest = [record for record in everything if record.position >= parts[begun].first]
        assert list(map(asdict, parts_of(rest))) == list(map(asdict, parts[begun:]))


def test_records_whose_commit_goes_on_are_left_for_the_next_page() -> None:
    first_page = records([[1], [2, 3]])[:2]
    assert [part.revision for part in parts_of(first_page)] == [1]
