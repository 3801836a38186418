"""Changes of the configurations that preconditions select."""

from collections.abc import Sequence
from dataclasses import dataclass

from configsvc.domain.models import IdRef, NameRef
from configsvc.domain.preconditions import Precondition
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("preconditions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The latest revision that changed something of each precondition that does not hold, by its index."""

    revisions: dict[int, int]
    compacted_revision: int


async def changes(connection: Connection, conditions: Sequence[Precondition]) -> Changes:
    """Return the changes since the revisions of the preconditions.

    What they select is looked through by its keys, so that changes elsewhere cost nothing; of a precondition without an
    application, the log is.
    """
    narrow = {index for index, condition in enumerate(conditions) if condition.application}
    found = await _fetched(connection, _SQL["changes"], conditions, narrow, 0)
    wide = set(range(len(conditions))) - narrow
    if not wide:
        return found
    others = await _fetched(connection, _SQL["changes_after"], conditions, wide, 0)
    compacted_revision = max(found.compacted_revision, others.compacted_revision)
    return Changes(revisions=found.revisions | others.revisions, compacted_revision=compacted_revision)


async def changes_after(connection: Connection, conditions: Sequence[Precondition], revision: int) -> Changes:
    """Return the changes that other transactions made after a revision, and after those of the preconditions."""
    return await _fetched(connection, _SQL["changes_after"], conditions, set(range(len(conditions))), revision)


async def _fetched(
    connection: Connection, statement: str, conditions: Sequence[Precondition], indexes: set[int], least: int
) -> Changes:
    rows = [
        (index, condition.application, first, last, max(condition.unchanged_since, least))
        for index, condition in enumerate(conditions)
        if index in indexes
        for first, last in condition.ranges
    ]
    found = await connection.fetch(
        statement,
        [index for index, *_ in rows],
        [ref.id if isinstance(ref, IdRef) else None for _, ref, *_ in rows],
        [ref.name if isinstance(ref, NameRef) else None for _, ref, *_ in rows],
        [first for *_, first, _, _ in rows],
        [last for *_, last, _ in rows],
        [since for *_, since in rows],
        conditions[0].scope.ids,
    )
    return Changes(
        revisions={row["condition"]: row["revision"] for row in found if row["condition"] is not None},
        compacted_revision=next(row["revision"] for row in found if row["condition"] is None),
    )
