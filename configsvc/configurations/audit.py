"""Reads of the audit trail."""

from dataclasses import replace
from datetime import timedelta

from configsvc.domain.audit import ChangeFilter, ChangesPage, LogPosition
from configsvc.domain.models import Kind
from configsvc.storage import audit, history
from configsvc.storage.database import Connection, Database

# The log records that one page examines: well under a second of work.
WINDOW = 20_000
_INSTANT = timedelta(microseconds=1)


class Audit:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_changes(self, chosen: ChangeFilter, *, before: LogPosition | None, limit: int) -> ChangesPage:
        """Return changes before a log position (None: the newest), newest first; few or none if matches are rare.

        Raises FilterTooSlowError, DatabaseBusyError or DatabaseUnavailableError.
        """
        async with self._database.read_list() as connection:
            narrowed = await _narrowed(connection, chosen)
            return await audit.changes(connection, narrowed, before=before, limit=limit, window=WINDOW)


async def _narrowed(connection: Connection, chosen: ChangeFilter) -> ChangeFilter:
    """Narrow a filter to the revisions and the kind that its times and its resource imply."""
    if chosen.start_time:
        after, _ = await history.revision_at(connection, chosen.start_time - _INSTANT)
        chosen = replace(chosen, after_revision=max(chosen.after_revision, after))
    if chosen.end_time:
        until, _ = await history.revision_at(connection, chosen.end_time - _INSTANT)
        chosen = replace(chosen, until_revision=min(until, chosen.until_revision or until))
    if chosen.resource_id:
        chosen = replace(chosen, kind=await _kind(connection, chosen.resource_id, chosen))
    return chosen


async def _kind(connection: Connection, resource_id: str, chosen: ChangeFilter) -> Kind | None:
    """Return the kind of a resource, or None if it does not exist for the caller. No change has the kind None."""
    found = await audit.resource(connection, resource_id, chosen.kind)
    if found is None:
        return None
    kind, application_id = found
    if application_id is None:
        return kind if chosen.outside_applications else None
    return kind if chosen.scope.includes(application_id) else None
