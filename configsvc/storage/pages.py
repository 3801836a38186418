"""Pages of lists that show all resources of a kind at one revision."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from asyncpg import Record

from configsvc.domain.models import Page
from configsvc.storage import log
from configsvc.storage.log import check_head, check_kept
from configsvc.storage.sessions import Connection
from configsvc.storage.unreadable_rows import Names, readable_rows

Resource = TypeVar("Resource")


_IDS = "shown_revision, head_revision, compacted_revision, id, version"


def ordered_by_name(kind: str) -> Names:
    """Return the columns that a page of resources needs that is ordered by name."""
    return Names(kind=kind, columns=f"{_IDS}, name", ids=f"{_IDS}, NULL::text AS name")


def ordered_by_id(kind: str) -> Names:
    """Return the columns that a page of resources needs that is ordered by id."""
    return Names(kind=kind, columns=_IDS, ids=_IDS)


async def statement_for(connection: Connection, statements: Mapping[str, str], revision: int | None) -> str:
    """Return the statement for a page: it looks at each change since the revision (None: now), or at each resource."""
    if revision is not None and await log.has_changed_much(connection, revision, log.FEW_RECORDS):
        return statements["list_past"]
    return statements["list"]


def page_of(
    rows: Sequence[Record], limit: int, resource: Callable[[Record], Resource], key: str, names: Names
) -> Page[Resource]:
    """Return the page in the rows, of which one more than the limit was asked for; a row without id only has revisions.
    Resources that cannot be read are left out. `key`: the column that orders the rows.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    revision = rows[0]["shown_revision"]
    check_head(revision, rows[0]["head_revision"])
    check_kept(revision, rows[0]["compacted_revision"])
    found = [row for row in rows if row["id"] is not None]
    keys = [row[key] for row in found[:limit] if row[key] is not None]
    last_key = (keys[-1],) if len(found) > limit and keys else None
    return Page(
        resources=tuple(map(resource, readable_rows(names, found[:limit]))), revision=revision, last_key=last_key
    )
