"""Past configurations: their versions, and their states at a revision or time."""

from datetime import datetime

from asyncpg import Record

from configsvc.domain.errors import RevisionCompactedError
from configsvc.domain.models import (
    Configuration,
    ConfigurationRef,
    ConfigurationVersion,
    IdRef,
    KeyRef,
    Operation,
    VersionsPage,
    Written,
)
from configsvc.storage.database import Connection
from configsvc.storage.log import check_head, check_kept
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one, readable_rows

_SQL = queries("history")

_AT_REVISION = "head_revision, compacted_revision, id, application_id, version"
_NAMES_AT_REVISION = Names(kind="configuration", columns=_AT_REVISION, ids=_AT_REVISION)
_VERSION = "compacted_revision, oldest_version, id, application_id, version"
_NAMES_OF_VERSION = Names(kind="configuration version", columns=_VERSION, ids=_VERSION)
_VERSIONS = "oldest_version, head_revision, rows_found, id, version"
_NAMES_OF_VERSIONS = Names(kind="configuration version", columns=_VERSIONS, ids=_VERSIONS)


async def last_holder(connection: Connection, ref: ConfigurationRef) -> str | None:
    """Return the id of the configuration that has the key, or had it last; an id is returned unchecked."""
    match ref:
        case IdRef(id=configuration_id):
            return configuration_id
        case KeyRef(application=application, name=name):
            return await connection.fetchval(_SQL["last_holder"], application, name)


async def revision_at(connection: Connection, time: datetime) -> tuple[int, datetime]:
    """Return the last revision committed by the time (0: none), and the last time that can be read."""
    row = await connection.fetchrow(_SQL["revision_at"], time)
    assert row is not None
    return row["revision"], row["now"]


async def at_revision(connection: Connection, ref: ConfigurationRef, revision: int) -> Configuration | None:
    """Return the configuration at the revision.

    Raises RevisionUnknownError, RevisionCompactedError or RecordUnreadableError.
    """
    match ref:
        case IdRef(id=configuration_id):
            holder = configuration_id
        case KeyRef(application=application, name=name):
            holder = await connection.fetchval(_SQL["holder_at"], application, name, revision)
    row = await fetch_one(
        connection,
        _NAMES_AT_REVISION,
        lambda row: f"{ref} version {row['version']}",
        _SQL["at_revision"],
        holder,
        revision,
    )
    assert row is not None
    check_head(revision, row["head_revision"])
    check_kept(revision, row["compacted_revision"])
    if row["id"] is None or (
        isinstance(ref, KeyRef) and (row["application"], row["name"]) != (ref.application, ref.name)
    ):
        return None
    return configuration_of(row, row["config"])


async def last_at(connection: Connection, ref: ConfigurationRef, revision: int) -> Written | None:
    """Return the configuration that had the key at the revision, or had it last by then, with its version there, which
    may be a deletion.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    found = await at_revision(connection, ref, revision)
    if found is not None:
        return Written(resource_id=found.id, version=found.version)
    match ref:
        case IdRef(id=configuration_id):
            holder = configuration_id
        case KeyRef(application=application, name=name):
            holder = await connection.fetchval(_SQL["last_holder_by"], application, name, revision)
    version = await connection.fetchval(_SQL["version_at"], holder, revision)
    return Written(resource_id=holder, version=version) if version else None


async def version(connection: Connection, configuration_id: str, number: int) -> ConfigurationVersion | None:
    """Return one version. Raises RevisionCompactedError or RecordUnreadableError."""
    name = f"{configuration_id} version {number}"
    row = await fetch_one(connection, _NAMES_OF_VERSION, lambda _: name, _SQL["version"], configuration_id, number)
    assert row is not None
    if row["id"] is not None:
        return _version_of(row)
    if row["oldest_version"] is not None and 1 <= number < row["oldest_version"]:
        raise RevisionCompactedError(version=number, compacted_revision=row["compacted_revision"])
    return None


async def versions(
    connection: Connection,
    configuration_id: str,
    *,
    before: int | None,
    limit: int,
    with_config: bool,
    limit_bytes: int,
) -> VersionsPage | None:
    """Return the versions before one (None: all), newest first, within limit and limit_bytes of config.

    None if the log has no trace of the configuration. Versions that cannot be read are left out.
    """
    arguments = (configuration_id, before, limit + 1, with_config, limit_bytes)
    rows = await fetch_around(connection, _NAMES_OF_VERSIONS, _SQL["versions"], *arguments)
    if rows[0]["oldest_version"] is None:
        return None
    shown = [row for row in rows[:limit] if row["id"] is not None]
    more = bool(shown) and rows[0]["rows_found"] > len(shown)
    return VersionsPage(
        versions=tuple(map(_version_of, readable_rows(_NAMES_OF_VERSIONS, shown))),
        revision=rows[0]["head_revision"],
        compacted=rows[0]["oldest_version"] > 1,
        last=shown[-1]["version"] if more else None,
    )


async def newest_version(connection: Connection, configuration_id: str) -> int | None:
    """Return the number of the newest version; None if the log has no trace of the configuration."""
    return await connection.fetchval(_SQL["newest_version"], configuration_id)


def _version_of(row: Record) -> ConfigurationVersion:
    return ConfigurationVersion(
        configuration=configuration_of(row, row["config"]),
        operation=Operation(row["operation"]),
        reason=row["reason"],
        request_id=row["request_id"],
        change_request=row["change_request"] or "",
    )
