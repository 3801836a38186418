"""Pages of lists that show all resources of a kind at one revision."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from asyncpg import Record

from configsvc.domain.models import Page
from configsvc.storage.log import check_head, check_kept

Resource = TypeVar("Resource")


def page_of(
    rows: Sequence[Record], limit: int, resource: Callable[[Record], Resource], key: Callable[[Resource], str]
) -> Page[Resource]:
    """Return the page in the rows, of which one more than the limit was asked for; a row without id only has revisions.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    revision = rows[0]["shown_revision"]
    check_head(revision, rows[0]["head_revision"])
    check_kept(revision, rows[0]["compacted_revision"])
    found = tuple(resource(row) for row in rows if row["id"] is not None)
    last_key = (key(found[limit - 1]),) if len(found) > limit else None
    return Page(resources=found[:limit], revision=revision, last_key=last_key)
