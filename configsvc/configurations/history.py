"""Reads of the history of configurations: earlier states, versions, comparisons."""

import asyncio
from dataclasses import dataclass, replace

from configsvc.domain.differences import Comparison, compared
from configsvc.domain.errors import InvalidRequestError, RecordUnreadableError, ResourceNotFoundError, Violation
from configsvc.domain.models import (
    AtVersion,
    Configuration,
    ConfigurationRef,
    ConfigurationVersion,
    Operation,
    PastMoment,
    VersionsPage,
)
from configsvc.domain.requests import VersionListing
from configsvc.domain.scope import Everything, Scope
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.storage import history, moments, role_bindings
from configsvc.storage.database import Connection, Database


class ConfigurationHistory:
    """The use cases of the history.

    Every method raises ResourceNotFoundError, DatabaseBusyError and DatabaseUnavailableError, and finds only what is or
    was last in an application of the scope.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, ref: ConfigurationRef, moment: PastMoment, *, scope: Scope) -> tuple[Configuration, int]:
        """Return a configuration at an earlier moment, and the revision of that moment.

        Raises RevisionUnknownError, RevisionCompactedError or RecordUnreadableError.
        """
        async with self._database.read() as connection:
            try:
                configuration, revision = await _at(connection, ref, moment, scope)
            except RecordUnreadableError as error:
                if await _is_there(connection, error.resource_id, scope):
                    raise
                configuration, revision = None, 0
            is_there = await _is_there(connection, configuration.id if configuration else None, scope)
            if configuration is None or not is_there:
                raise ResourceNotFoundError("configuration", str(ref))
        return configuration, revision

    async def list_versions(self, listing: VersionListing) -> tuple[str, VersionsPage]:
        """Return the id of the configuration and a page of its versions up to the moment, newest first.

        Raises RevisionUnknownError or RevisionCompactedError.
        """
        async with self._database.read() as connection:
            start = await _start(connection, listing)
            page = await history.versions(
                connection,
                start.configuration_id,
                before=start.before,
                limit=listing.page.limit,
                with_config=listing.with_config,
                limit_bytes=MAX_RESPONSE_BYTES,
            )
        if page is None:
            raise ResourceNotFoundError("configuration", str(listing.ref))
        return start.configuration_id, replace(page, revision=start.revision or page.revision)

    async def compare(self, ref: ConfigurationRef, from_version: int, to_version: int, *, scope: Scope) -> Comparison:
        """Compare two versions; 0 means the newest and the one before `to_version`.

        Raises RevisionCompactedError or RecordUnreadableError.
        """
        async with self._database.read() as connection:
            configuration_id = await _known(connection, ref, scope)
            if not to_version:
                to_version = await history.newest_version(connection, configuration_id) or 1
            if to_version == 1 and not from_version:
                description = "is not set, and there is no version before version 1, the first: name a version"
                raise InvalidRequestError((Violation(field="from_version", description=description),))
            before = await _version(connection, configuration_id, from_version or to_version - 1)
            after = await _version(connection, configuration_id, to_version)
        # Large ones would block the event loop noticeably.
        return await asyncio.to_thread(compared, before.configuration, after.configuration)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """The configuration whose versions before one (None: all) are listed, up to a revision (None: now)."""

    configuration_id: str
    before: int | None
    revision: int | None


async def _start(connection: Connection, listing: VersionListing) -> _Start:
    page = listing.page
    if page.after is not None:
        known = await _known(connection, listing.refs[-1], listing.scope)
        return _Start(configuration_id=known, before=page.after, revision=page.revision)
    revision = await moments.revision_of(connection, listing.moment)
    if revision is None:
        known = await _known(connection, listing.ref, listing.scope)
        return _Start(configuration_id=known, before=None, revision=None)
    found = await history.last_at(connection, listing.ref, revision)
    is_there = await _is_there(connection, found.resource_id if found else None, listing.scope)
    if found is None or not is_there:
        raise ResourceNotFoundError("configuration", str(listing.ref))
    return _Start(configuration_id=found.resource_id, before=found.version + 1, revision=revision)


async def _known(connection: Connection, ref: ConfigurationRef, scope: Scope) -> str:
    configuration_id = await history.last_holder(connection, ref)
    is_there = await _is_there(connection, configuration_id, scope)
    if configuration_id is None or not is_there:
        raise ResourceNotFoundError("configuration", str(ref))
    return configuration_id


async def _is_there(connection: Connection, configuration_id: str | None, scope: Scope) -> bool:
    """Return whether a configuration is, or was last, in an application of the scope.

    The database is asked for one that was not found (None) too: a missing one costs the same work as a foreign one.
    """
    if isinstance(scope, Everything):
        return True
    asked = configuration_id or ""
    application_id = (await role_bindings.applications_of(connection, (asked,))).get(asked)
    return application_id is not None and scope.includes(application_id)


async def _at(
    connection: Connection, ref: ConfigurationRef, moment: PastMoment, scope: Scope
) -> tuple[Configuration | None, int]:
    if isinstance(moment, AtVersion):
        version = await _version(connection, await _known(connection, ref, scope), moment.version)
        found = None if version.operation is Operation.DELETED else version.configuration
        return found, version.configuration.revision
    revision = await moments.revision_of(connection, moment)
    assert revision is not None
    return await history.at_revision(connection, ref, revision), revision


async def _version(connection: Connection, configuration_id: str, number: int) -> ConfigurationVersion:
    version = await history.version(connection, configuration_id, number)
    if version is None:
        raise ResourceNotFoundError("configuration", f"{configuration_id} version {number}")
    return version
