"""Preconditions of atomic batches, checked so that no other commit comes between the last check and the commit.

The first check, before anything is locked, looks through all that a precondition selects. The last one takes the
revision of the commit, after which nobody else can commit, and looks at the commits since the first.
"""

from collections.abc import Sequence

from configsvc.domain.errors import EpochChangedError, PreconditionFailedError
from configsvc.domain.preconditions import Precondition
from configsvc.storage import log, preconditions
from configsvc.storage.database import Connection


async def first_check(connection: Connection, conditions: Sequence[Precondition]) -> int:
    """Check the preconditions as of now, and return the revision after which the last check has to look.

    Raises PreconditionFailedError, EpochChangedError, RevisionUnknownError or RevisionCompactedError.
    """
    if not conditions:
        return 0
    await _check_epochs(connection, {condition.epoch for condition in conditions} - {""})
    head = await log.head(connection)
    log.check_head(max(condition.unchanged_since for condition in conditions), head)
    _check(conditions, await preconditions.changes(connection, conditions))
    return head


async def last_check(connection: Connection, conditions: Sequence[Precondition], checked: int) -> None:
    """Check the preconditions after the writes: nothing else commits before this transaction ends.

    `checked`: what the first check returned. Raises PreconditionFailedError or RevisionCompactedError.
    """
    if conditions:
        await log.take_revision(connection)
        _check(conditions, await preconditions.changes_after(connection, conditions, checked))


async def _check_epochs(connection: Connection, expected: set[str]) -> None:
    if not expected:
        return
    current = await log.epoch(connection)
    for epoch in expected:
        if epoch != current:
            raise EpochChangedError(expected=epoch, current=current)


def _check(conditions: Sequence[Precondition], found: preconditions.Changes) -> None:
    log.check_kept(min(condition.unchanged_since for condition in conditions), found.compacted_revision)
    for index, revision in sorted(found.revisions.items()):
        raise PreconditionFailedError(index=index, since=conditions[index].unchanged_since, changed_revision=revision)
