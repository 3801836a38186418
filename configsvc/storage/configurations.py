"""Reads of configurations."""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import asyncpg
from asyncpg import Record

from configsvc.domain.commits import Commit
from configsvc.domain.content import encode_json
from configsvc.domain.errors import (
    FilterTooSlowError,
    InvalidRequestError,
    RecordUnreadableError,
    ResponseTooLargeError,
    Violation,
)
from configsvc.domain.models import (
    Configuration,
    ConfigurationQuery,
    ConfigurationRef,
    IdRef,
    KeyRef,
    Page,
)
from configsvc.domain.scope import Everything, Scope
from configsvc.storage import log, role_bindings
from configsvc.storage.database import Connection
from configsvc.storage.log import check_head, check_kept
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.unreadable_rows import (
    Names,
    fetch_around,
    fetch_one,
    is_readable,
    readable_rows,
    unreadable,
)

# A page of the past ends early after so many keys: well under a second of work.
KEYS_EXAMINED = 2_000

_SQL = queries("configurations")

_NAMES = Names(
    kind="configuration",
    columns="shown_revision, id, application_id, application, name, version",
    ids="shown_revision, id, application_id, '' AS application, '' AS name, version",
)
_NAMES_OF_MANY = Names(kind="configuration", columns=f"total_bytes, {_NAMES.columns}", ids=f"total_bytes, {_NAMES.ids}")
_BOUNDS = "head_revision, compacted_revision"
_NAMES_OF_MANY_PAST = Names(
    kind="configuration",
    columns=f"{_BOUNDS}, {_NAMES_OF_MANY.columns}",
    ids=f"{_BOUNDS}, {_NAMES_OF_MANY.ids}",
)
_PAGE = "shown_revision, head_revision, compacted_revision, id, rows_found, version, place"
_NAMES_OF_PAGE = Names(
    kind="configuration",
    columns=f"{_PAGE}, application, name",
    ids=f"{_PAGE}, NULL::text AS application, NULL::text AS name",
)


def _id_and_key(ref: ConfigurationRef) -> tuple[str | None, str | None, str | None]:
    match ref:
        case IdRef(id=configuration_id):
            return configuration_id, None, None
        case KeyRef(application=application, name=name):
            return None, application, name


async def get(connection: Connection, ref: ConfigurationRef) -> tuple[Configuration | None, int, Commit | None]:
    """Return the current configuration, the revision that this read shows, and the commit that took it.

    Raises RecordUnreadableError.
    """
    row = await fetch_one(connection, _NAMES, lambda _: str(ref), _SQL["get"], *_id_and_key(ref))
    assert row is not None
    revision = row["shown_revision"]
    configuration = None if row["id"] is None else configuration_of(row, row["config"])
    return configuration, revision, log.commit_at(revision, row["head_id"], row["head_time"])


async def get_many(
    connection: Connection,
    refs: Sequence[ConfigurationRef],
    *,
    revision: int | None,
    with_config: bool,
    limit_bytes: int,
    scope: Scope,
) -> tuple[tuple[Configuration, ...], int]:
    """Return the configurations in scope at the revision (None: now), in any order, and the revision shown. Those of
    the past count to the application that they have now, or had last.

    Raises ResponseTooLargeError, RevisionUnknownError, RevisionCompactedError or RecordUnreadableError.
    """
    ids = [ref.id for ref in refs if isinstance(ref, IdRef)]
    keys = [ref for ref in refs if isinstance(ref, KeyRef)]
    wanted = (ids, [key.application for key in keys], [key.name for key in keys], with_config, limit_bytes)
    if revision is None:
        rows = await fetch_around(connection, _NAMES_OF_MANY, _SQL["batch_get"], *wanted)
    else:
        rows = await fetch_around(connection, _NAMES_OF_MANY_PAST, _SQL["batch_get_past"], *wanted, revision)
        check_head(revision, rows[0]["head_revision"])
        check_kept(revision, rows[0]["compacted_revision"])
    if with_config and rows[0]["total_bytes"] > limit_bytes:
        raise ResponseTooLargeError(limit=limit_bytes)
    found = [row for row in rows if row["id"] is not None]
    owners = {row["id"]: row["application_id"] for row in found}
    if revision is not None and not isinstance(scope, Everything):
        owners = await role_bindings.applications_of(connection, owners)
    found = [row for row in found if scope.includes(owners[row["id"]])]
    for row in found:
        if not is_readable(row):
            raise _unreadable(row)
    return tuple(configuration_of(row, row["config"]) for row in found), rows[0]["shown_revision"]


def _unreadable(row: Record) -> RecordUnreadableError:
    return unreadable("configuration", f"{row['application']}:{row['name']}", row)


async def page(connection: Connection, query: ConfigurationQuery) -> Page[Configuration]:
    """Return the page that the query asks for; in a long history it may be short although others follow.

    Raises RevisionUnknownError, RevisionCompactedError, FilterTooSlowError or InvalidRequestError.
    """
    with filter_errors(query):
        if query.revision is not None and await log.has_changed_much(connection, query.revision, log.FEW_RECORDS):
            return await _page_of_the_past(connection, query, query.revision)
        return await _page_of_the_present(connection, query)


@contextmanager
def filter_errors(query: ConfigurationQuery) -> Generator[None]:
    """Raise FilterTooSlowError or InvalidRequestError for what a filter is to blame for."""
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        if not query.has_filter:
            raise
        raise FilterTooSlowError from error
    except asyncpg.InvalidRegularExpressionError as error:
        fault = Violation(field="selector.json_path", description=f"has a pattern that is not valid: {error}")
        raise InvalidRequestError((fault,)) from error


async def _page_of_the_present(connection: Connection, query: ConfigurationQuery) -> Page[Configuration]:
    """Return a page of now, or of a revision after which little has changed: these changes are looked at one by one."""
    rows = await fetch_around(
        connection,
        _NAMES_OF_PAGE,
        _SQL["list"],
        query.revision,
        query.application_id,
        *_chosen(query),
        query.limit_bytes,
        query.schema,
        query.schema_version,
        query.scope.ids,
    )
    return _page(rows, query.limit, with_config=query.with_config)


async def _page_of_the_past(connection: Connection, query: ConfigurationQuery, revision: int) -> Page[Configuration]:
    """Return a page of any revision: each key is looked at, not each change since then."""
    rows = await fetch_around(
        connection,
        _NAMES_OF_PAGE,
        _SQL["list_past"],
        revision,
        application_ids(query),
        *_chosen(query),
        query.schema,
        query.schema_version,
        KEYS_EXAMINED,
        query.limit_bytes,
    )
    chosen = [row for row in rows if row["id"] is not None]
    found = _page(chosen or rows[:1], query.limit, with_config=query.with_config)
    last = rows[-1]
    is_whole = last["rows_found"] == len(rows) and len(chosen) <= query.limit
    if is_whole and last["place"] == KEYS_EXAMINED:
        return replace(found, last_key=(last["application"], last["name"]))
    return found


def _chosen(query: ConfigurationQuery) -> tuple[object, ...]:
    """Return the parameters $3 to $11 of both lists."""
    contains = None if query.contains is None else encode_json(query.contains)
    return (
        *(query.application, query.name_prefix, query.names, contains, query.json_path),
        *(query.after or (None, None))[:2],
        *(query.limit + 1, query.with_config),
    )


def application_ids(query: ConfigurationQuery) -> Collection[str] | None:
    if query.application_id is None:
        return query.scope.ids
    return [query.application_id] if query.scope.includes(query.application_id) else []


def _page(rows: Sequence[Record], limit: int, *, with_config: bool) -> Page[Configuration]:
    first = rows[0]
    check_head(first["shown_revision"], first["head_revision"])
    check_kept(first["shown_revision"], first["compacted_revision"])
    chosen = [row for row in rows[:limit] if row["id"] is not None]
    goes_on = bool(chosen) and first["rows_found"] > len(chosen)
    readable = readable_rows(_NAMES_OF_PAGE, chosen)
    named = [row for row in chosen if row["name"] is not None]
    return Page(
        resources=tuple(configuration_of(row, row["config"]) for row in readable),
        revision=first["shown_revision"],
        last_key=(named[-1]["application"], named[-1]["name"]) if goes_on and named else None,
        content_bytes=sum(row["config_bytes"] for row in readable) if with_config else 0,
    )
