"""The memory that the ring keeps."""

from dataclasses import replace

import pytest

from configsvc.domain.commits import Commit, CommitPart, Position, position_after
from configsvc.domain.models import Operation
from configsvc.feed import ring as module
from configsvc.feed.ring import Ring
from tests.domain.changes import NOW, change


def part(revision: int, text: str) -> CommitPart:
    changed = change(Operation.UPDATED)
    changed = replace(
        changed,
        configuration=replace(changed.configuration, comments=text),
        reason=text,
        change_request=text,
    )
    return CommitPart(
        commit=Commit(revision=revision, id=revision, time=NOW),
        first=Position(revision=revision, ordinal=0),
        next=position_after(revision),
        changes=(changed,),
        concerns_access=False,
        weight=100,
        more=False,
    )


def test_free_texts_count_as_memory() -> None:
    ring = Ring()
    ring.append(part(1, ""))
    short = ring.bytes
    ring.append(part(2, "x" * 1000))
    assert ring.bytes - short == short + 3000
    ring.clear()
    assert ring.bytes == 0


def test_parts_are_dropped_by_the_memory_of_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_LIMIT_BYTES", 10_000)
    ring = Ring()
    for revision in range(1, 11):
        ring.append(part(revision, "x" * 1000))
    assert len(ring) == 2
    assert ring.bytes <= 10_000
