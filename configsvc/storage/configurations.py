"""Reads of configurations."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import asyncpg
from asyncpg import Record

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
from configsvc.domain.scope import Scope
from configsvc.storage import log
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
_PAGE = "shown_revision, head_revision, compacted_revision, id, rows_found, version, place"
_NAMES_OF_PAGE = Names(
    kind="configuration",
    columns=f"{_PAGE}, application, name",
    ids=f"{_PAGE}, NULL::text AS application, NULL::text AS name",
)

# The last one: a variable, which has no value here.
_JSON_PATH_FAULTS = (
    asyncpg.PostgresSyntaxError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.UndefinedObjectError,
)


def _id_and_key(ref: ConfigurationRef) -> tuple[str | None, str | None, str | None]:
    match ref:
        case IdRef(id=configuration_id):
            return configuration_id, None, None
        case KeyRef(application=application, name=name):
            return None, application, name


async def get(connection: Connection, ref: ConfigurationRef) -> tuple[Configuration | None, int]:
    """Return the current configuration, and the revision that this read shows. Raises RecordUnreadableError."""
    row = await fetch_one(connection, _NAMES, lambda _: str(ref), _SQL["get"], *_id_and_key(ref))
    assert row is not None
    return None if row["id"] is None else configuration_of(row, row["config"]), row["shown_revision"]


async def get_many(
    connection: Connection, refs: Sequence[ConfigurationRef], *, with_config: bool, limit_bytes: int, scope: Scope
) -> tuple[tuple[Configuration, ...], int]:
    """Return the configurations in scope, in any order, and the revision shown.

    Raises ResponseTooLargeError or RecordUnreadableError.
    """
    ids = [ref.id for ref in refs if isinstance(ref, IdRef)]
    keys = [ref for ref in refs if isinstance(ref, KeyRef)]
    applications, names = [key.application for key in keys], [key.name for key in keys]
    arguments = (ids, applications, names, with_config, limit_bytes)
    rows = await fetch_around(connection, _NAMES_OF_MANY, _SQL["batch_get"], *arguments)
    if with_config and rows[0]["total_bytes"] > limit_bytes:
        raise ResponseTooLargeError(limit=limit_bytes)
    found = [row for row in rows if row["id"] is not None and scope.includes(row["application_id"])]
    for row in found:
        if not is_readable(row):
            raise _unreadable(row)
    return tuple(configuration_of(row, row["config"]) for row in found), rows[0]["shown_revision"]


def _unreadable(row: Record) -> RecordUnreadableError:
    return unreadable("configuration", f"{row['application']}:{row['name']}", row)


_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# In PostgreSQL's own spelling, with strings emptied: the end of a path, an operator, and anything but a value.
_PATH_COMPARED_WITH_PATH = re.compile(r'(?:[$@*\])}]|\."") (?:==|!=|<=?|>=?) (?!""|-?\d|true|false|null)')


async def check_json_path(connection: Connection, json_path: str) -> None:
    """Check that the text is a SQL/JSON path predicate in lax mode. Raises InvalidRequestError."""
    try:
        row = await connection.fetchrow(_SQL["explain_json_path"], json_path)
    except _JSON_PATH_FAULTS as error:
        raise _bad_json_path(f"is not a SQL/JSON path: {error}") from error
    except asyncpg.QueryCanceledError as error:
        raise FilterTooSlowError from error
    assert row is not None
    path = _JSON_STRING.sub('""', row["path"])
    if path.count("**") > 1:
        # Each one multiplies PostgreSQL's memory use by the size of the document.
        raise _bad_json_path("has more than one **")
    if _PATH_COMPARED_WITH_PATH.search(path):
        # PostgreSQL compares every pair of values of the two, and cannot be interrupted meanwhile.
        raise _bad_json_path("compares a path with a path: compare it with a value")
    if row["path"].startswith("strict"):
        raise _bad_json_path("must be in lax mode")
    if row["answers"] not in ([True], [False], [None]):
        raise _bad_json_path("must be a predicate, such as $.replicas > 3 or exists($.tls)")


def _bad_json_path(description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field="json_path", description=description),))


async def page(connection: Connection, query: ConfigurationQuery) -> Page[Configuration]:
    """Return the page that the query asks for; in a long history it may be short although others follow.

    Raises RevisionUnknownError, RevisionCompactedError, FilterTooSlowError or InvalidRequestError.
    """
    try:
        if query.revision is not None and await log.has_changed_much(connection, query.revision, log.FEW_RECORDS):
            return await _page_of_the_past(connection, query, query.revision)
        return await _page_of_the_present(connection, query)
    except asyncpg.QueryCanceledError as error:
        if not query.has_filter:
            raise
        raise FilterTooSlowError from error
    except asyncpg.FeatureNotSupportedError as error:
        # Some paths fail only on certain values, such as times with and without a zone.
        raise _bad_json_path(f"cannot be evaluated: {error}") from error


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
        _application_ids(query),
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
        *(query.after or (None, None)),
        *(query.limit + 1, query.with_config),
    )


def _application_ids(query: ConfigurationQuery) -> Collection[str] | None:
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
