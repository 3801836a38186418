"""The audit trail, read in pages of bounded work."""

from collections.abc import Sequence

import asyncpg
from asyncpg import Record

from configsvc.domain.access import Role
from configsvc.domain.audit import Change, ChangeFilter, ChangesPage, LogPosition
from configsvc.domain.errors import FilterTooSlowError
from configsvc.domain.models import Kind, Operation
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.queries import id_and_name, queries
from configsvc.storage.rows import schema_of
from configsvc.storage.unreadable_rows import Names, fetch_around, readable_rows

_SQL = queries("audit")
_LAST_REVISION = 2**63 - 1
_LAST_ORDINAL = 2**31 - 1
_PLACE = "compacted_revision, head, revision, ordinal, version, place, chosen"
_NAMES = Names(kind="change", columns=_PLACE, ids=_PLACE)


async def resource(connection: Connection, resource_id: str, kind: Kind | None) -> tuple[Kind, str | None] | None:
    """Return the kind of a resource and the id of its current or last application, if any; deleted resources count.

    None if the log does not know the resource, or knows it as another kind.
    """
    row = await connection.fetchrow(_SQL["resource"], resource_id, kind)
    return None if row is None else (Kind(row["kind"]), row["owner"])


async def changes(
    connection: Connection, chosen: ChangeFilter, *, before: LogPosition | None, limit: int, window: int
) -> ChangesPage:
    """Return at most limit changes that match the filter, out of the window records before a position (None: the
    newest).

    Changes that cannot be read are left out. With a resource_id, the kind must be set. Raises FilterTooSlowError.
    """
    try:
        rows = await (_of_resource if chosen.resource_id else _of_all)(connection, chosen, before, limit, window)
    except asyncpg.QueryCanceledError as error:
        if not chosen.has_filter:
            raise
        raise FilterTooSlowError from error
    matching = [row for row in rows if row["chosen"]]
    ends_early = len(matching) > limit
    last = matching[limit - 1] if ends_early else rows[-1]
    return ChangesPage(
        changes=tuple(map(_change, readable_rows(_NAMES, matching[:limit]))),
        last=_last(last, chosen) if ends_early or last["place"] == window else None,
        compacted_revision=rows[0]["compacted_revision"],
        head=rows[0]["head"],
    )


async def _of_all(
    connection: Connection, chosen: ChangeFilter, before: LogPosition | None, limit: int, window: int
) -> Sequence[Record]:
    until = _LAST_REVISION if chosen.until_revision is None else chosen.until_revision
    revision, ordinal = (before.revision, before.ordinal) if before else (until, _LAST_ORDINAL)
    return await fetch_around(
        connection,
        _NAMES,
        _SQL["changes"],
        chosen.actor,
        *id_and_name(chosen.application),
        chosen.kind,
        chosen.resource_name,
        asyncpg.Range(chosen.start_time, chosen.end_time),
        chosen.after_revision,
        revision,
        ordinal,
        window,
        limit + 1,
        chosen.scope.ids,
        chosen.outside_applications,
    )


async def _of_resource(
    connection: Connection, chosen: ChangeFilter, before: LogPosition | None, limit: int, window: int
) -> Sequence[Record]:
    return await fetch_around(
        connection,
        _NAMES,
        _SQL["changes_of_resource"],
        chosen.actor,
        *id_and_name(chosen.application),
        chosen.kind,
        chosen.resource_name,
        asyncpg.Range(chosen.start_time, chosen.end_time),
        chosen.after_revision,
        _LAST_REVISION if chosen.until_revision is None else chosen.until_revision,
        window,
        limit + 1,
        chosen.resource_id,
        before.version if before else None,
        chosen.scope.ids,
        chosen.outside_applications,
    )


def _position(row: Record) -> LogPosition:
    return LogPosition(revision=row["revision"], ordinal=row["ordinal"], version=row["version"])


def _last(row: Record, chosen: ChangeFilter) -> LogPosition:
    # Needed only for one resource; otherwise it might reveal a version that the caller may not see.
    return _position(row) if chosen.resource_id else _position(row)._replace(version=0)


def _change(row: Record) -> Change:
    renamed = row["previous_name"] != row["name"]
    return Change(
        position=_position(row),
        time=row["time"],
        operation=Operation(row["operation"]),
        kind=Kind(row["kind"]),
        resource_id=row["resource_id"],
        previous_version=row["previous_version"],
        application_id=row["application_id"] or "",
        application=row["application"] or "",
        name=row["name"],
        previous_name=row["previous_name"] if renamed else "",
        schema=schema_of(row),
        actor=row["actor"],
        reason=row["reason"],
        request_id=row["request_id"],
        origin=contexts.origin_of(row["origin"]),
        role=Role[row["role"] or "NONE"],
    )
