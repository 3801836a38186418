"""Commits as they are read from the log: in parts, so that a commit of any size takes a bounded amount of memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from configsvc.domain.models import ConfigurationChange

# What a record weighs beside the text of its config; an event that carries it is larger than that.
RECORD_BYTES = 128
# As bytes of a message this is at least 1 MiB: but for oddities like 1e-300, JSON text is at most half as long again as
# the Struct of its content.
PART_LIMIT_BYTES = 1536 * 1024


class Position(NamedTuple):
    """A place in the log: the record that is read next. A tuple, for watches compare it with every message."""

    revision: int
    ordinal: int


def position_after(revision: int) -> Position:
    """Where to go on when everything up to the revision was read."""
    return Position(revision=revision + 1, ordinal=0)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A history that revisions count in.

    Compared by identity: a database can be restored to an earlier state of the same timeline, so that two histories
    have one epoch.
    """

    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The commit that took a revision. In a database that was restored to an earlier state, another takes it."""

    revision: int
    id: int
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of the log; change is None if it is not about a configuration. concerns_access: after it, somebody may do
    something else than before. is_last: of its commit.
    """

    position: Position
    commit: Commit
    change: ConfigurationChange | None
    concerns_access: bool
    content_bytes: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommitPart:
    """What a commit did to configurations; more: it goes on in the next part. Up to PART_LIMIT_BYTES it is one part.

    Equal to itself alone, so that what was made of it is found quickly.
    """

    commit: Commit
    first: Position
    next: Position
    changes: tuple[ConfigurationChange, ...]
    concerns_access: bool
    weight: int
    more: bool

    @property
    def revision(self) -> int:
        """The revision of the commit."""
        return self.first.revision


def parts_of(records: Iterable[Record]) -> Iterator[CommitPart]:
    """The parts that the records make up.

    Records at the end that do not fill a part, and whose commit goes on, are left out: they are read again.
    """
    gathered: list[Record] = []
    weight = 0
    for record in records:
        gathered.append(record)
        weight += RECORD_BYTES + record.content_bytes
        if record.is_last or weight >= PART_LIMIT_BYTES:
            yield _part(gathered, weight)
            gathered, weight = [], 0


def _part(records: list[Record], weight: int) -> CommitPart:
    last = records[-1]
    revision, ordinal = last.position.revision, last.position.ordinal
    return CommitPart(
        commit=last.commit,
        first=records[0].position,
        next=position_after(revision) if last.is_last else Position(revision=revision, ordinal=ordinal + 1),
        changes=tuple(record.change for record in records if record.change is not None),
        concerns_access=any(record.concerns_access for record in records),
        weight=weight,
        more=not last.is_last,
    )
