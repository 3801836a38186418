"""Commits as read from the log: in parts, so that a commit of any size takes bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from configsvc.domain.models import ConfigurationChange

# The weight of a record beside the text of its config; its event is larger than that.
RECORD_BYTES = 128
# At least 1 MiB as a message: apart from oddities like 1e-300, JSON text is at most 1.5 times as long as its Struct.
PART_LIMIT_BYTES = 1536 * 1024


class Position(NamedTuple):
    """A log position: the record to read next. A tuple, because watches compare it with every message."""

    revision: int
    ordinal: int


def position_after(revision: int) -> Position:
    """Return the position after everything up to the revision."""
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
    """The commit that took a revision. After a restore to an earlier state, another commit takes that revision."""

    revision: int
    id: int
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of the log.

    change: None if the row is not about a configuration. concerns_access: it may change somebody's access.
    is_last: the last row of its commit. is_readable: the row was read whole.
    """

    position: Position
    commit: Commit
    change: ConfigurationChange | None
    concerns_access: bool
    content_bytes: int
    is_last: bool
    is_readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommitPart:
    """The changes of configurations in one commit, or in a part of it beyond PART_LIMIT_BYTES; more: another follows.

    unreadable: the ordinals of records that could not be read whole, whatever they are about.
    Compared by identity, so that it is a fast dictionary key.
    """

    commit: Commit
    first: Position
    next: Position
    changes: tuple[ConfigurationChange, ...]
    concerns_access: bool
    weight: int
    more: bool
    unreadable: tuple[int, ...] = ()

    @property
    def revision(self) -> int:
        """The revision of the commit."""
        return self.first.revision


def parts_of(records: Iterable[Record]) -> Iterator[CommitPart]:
    """Yield the parts made of the records.

    The last records are left out if they neither fill a part nor end their commit: they are read again.
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
        unreadable=tuple(record.position.ordinal for record in records if not record.is_readable),
    )
