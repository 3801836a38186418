"""Lists of configurations with the deleted ones, as they were last."""

from collections.abc import Sequence
from dataclasses import replace

from asyncpg import Record

from configsvc.domain.content import encode_json
from configsvc.domain.models import AFTER_IDS, BEFORE_IDS, Configuration, ConfigurationQuery, Page, key_with_deleted
from configsvc.storage import configurations
from configsvc.storage.database import Connection
from configsvc.storage.log import check_head, check_kept
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.unreadable_rows import Names, fetch_around, readable_rows

# Following so many entries of an index takes some tens of milliseconds.
DELETIONS_EXAMINED = 2_000

_SQL = queries("deleted_configurations")

_COLUMNS = (
    "shown_revision, head_revision, compacted_revision, horizon_application, horizon_name, horizon_id, "
    "id, application, name, version, rows_found"
)
_NAMES = Names(kind="configuration", columns=_COLUMNS, ids=_COLUMNS)


async def page_with_deleted(connection: Connection, query: ConfigurationQuery) -> Page[Configuration]:
    """Return a page like `configurations.page`, in which deleted configurations follow the living one with their key.

    Such a page may be short although others follow. Raises what `configurations.page` raises.
    """
    living = await configurations.page(connection, query)
    with configurations.filter_errors(query):
        deleted = await _page(connection, query, living.revision)
    ends = [deleted.last_key] if deleted.last_key else []
    if living.last_key:
        ends.append((*living.last_key, AFTER_IDS))
    return _merged(living, deleted, min(ends, default=None), query.limit)


def _merged(
    living: Page[Configuration], deleted: Page[Configuration], end: tuple[str, ...] | None, limit: int
) -> Page[Configuration]:
    """Return the first configurations of two pages, which both know everything up to `end` (None: everything)."""
    found = sorted((*living.resources, *deleted.resources), key=key_with_deleted)
    known = [one for one in found if end is None or key_with_deleted(one) <= end]
    return Page(
        resources=tuple(known[:limit]),
        revision=living.revision,
        last_key=key_with_deleted(known[limit - 1]) if len(known) > limit else end,
    )


async def _page(connection: Connection, query: ConfigurationQuery, revision: int) -> Page[Configuration]:
    application, name, *rest = query.after or ("", "")
    rows = await fetch_around(
        connection,
        _NAMES,
        _SQL["list"],
        revision,
        application,
        name,
        rest[0] if rest else BEFORE_IDS,
        configurations.application_ids(query),
        query.name_prefix,
        query.names,
        None if query.contains is None else encode_json(query.contains),
        query.json_path,
        query.schema,
        query.schema_version,
        query.limit + 1,
        query.with_config,
        query.limit_bytes,
        DELETIONS_EXAMINED,
    )
    first = rows[0]
    check_head(revision, first["head_revision"])
    check_kept(revision, first["compacted_revision"])
    found = [row for row in rows if row["id"] is not None]
    resources = tuple(map(_deleted, readable_rows(_NAMES, found)))
    return Page(resources=resources, revision=revision, last_key=_last_key(rows, query.limit))


def _last_key(rows: Sequence[Record], limit: int) -> tuple[str, ...] | None:
    """Return the place up to which all deletions are known; None: all are."""
    first, last = rows[0], rows[-1]
    if first["id"] is not None and (first["rows_found"] > len(rows) or len(rows) > limit):
        return last["application"], last["name"], last["id"]
    if first["horizon_id"] is None:
        return None
    return first["horizon_application"], first["horizon_name"], first["horizon_id"]


def _deleted(row: Record) -> Configuration:
    return replace(configuration_of(row, row["config"]), delete_time=row["delete_time"])
