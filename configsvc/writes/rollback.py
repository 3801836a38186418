"""What going back to an earlier state of a configuration amounts to: an update, or a creation if it was deleted."""

from collections.abc import Sequence

from configsvc.domain.errors import InvalidRequestError, ResourceNotFoundError, Violation
from configsvc.domain.models import (
    Configuration,
    ConfigurationRef,
    ConfigurationUpdate,
    ConfigurationVersion,
    IdRef,
    Operation,
    SchemaVersionRef,
    Unpinned,
)
from configsvc.domain.writes import AnyWrite, Creation, JointWrite, Rollback, Update, check_version
from configsvc.storage import history
from configsvc.storage.database import Connection


async def without_rollbacks(connection: Connection, writes: Sequence[AnyWrite]) -> tuple[JointWrite, ...]:
    """The writes, with what rollbacks amount to in their places. What they are about is not locked: versions never
    change, and whoever changes the configuration meanwhile is noticed when the write is made.

    Raises ResourceNotFoundError, RevisionCompactedError, VersionMismatchError or InvalidRequestError.
    """
    return tuple([await _write(connection, write) if isinstance(write, Rollback) else write for write in writes])


async def _write(connection: Connection, rollback: Rollback) -> Update | Creation:
    newest = await _newest(connection, rollback.ref)
    scope = rollback.context.scope
    if newest is None or not scope.includes(newest.configuration.application_id):
        raise ResourceNotFoundError("configuration", str(rollback.ref))
    current = newest.configuration
    is_deleted = newest.operation is Operation.DELETED
    wanted = await _wanted(connection, rollback, current, is_deleted=is_deleted)
    if not is_deleted:
        return _update(rollback, wanted)
    check_version(rollback.expected_version, current.version)
    return _creation(rollback, wanted, current)


async def _newest(connection: Connection, ref: ConfigurationRef) -> ConfigurationVersion | None:
    configuration_id = await history.last_holder(connection, ref)
    if configuration_id is None:
        return None
    number = await history.newest_version(connection, configuration_id)
    return None if number is None else await history.version(connection, configuration_id, number)


async def _wanted(
    connection: Connection, rollback: Rollback, current: Configuration, *, is_deleted: bool
) -> Configuration:
    if not rollback.version and not is_deleted:
        description = "is required: only of a deleted configuration there is a last version before"
        raise InvalidRequestError((Violation(field="version", description=description),))
    number = rollback.version or current.version - 1
    wanted = await history.version(connection, current.id, number)
    if wanted is None or wanted.operation is Operation.DELETED:
        raise ResourceNotFoundError("configuration", f"{current.id} version {number}")
    return wanted.configuration


def _update(rollback: Rollback, wanted: Configuration) -> Update:
    return Update(
        ref=IdRef(id=wanted.id),
        values=ConfigurationUpdate(
            name=None,
            comments=wanted.comments,
            config=wanted.config,
            merge_patch=None,
            schema=_newest_pin(wanted) or Unpinned(),
        ),
        expected_version=rollback.expected_version,
        context=rollback.context,
    )


def _creation(rollback: Rollback, wanted: Configuration, deleted: Configuration) -> Creation:
    assert wanted.config is not None
    return Creation(
        application=IdRef(id=deleted.application_id),
        name=deleted.name,
        comments=wanted.comments,
        config=wanted.config,
        schema=_newest_pin(wanted),
        context=rollback.context,
        id=deleted.id,
    )


def _newest_pin(wanted: Configuration) -> SchemaVersionRef | None:
    return wanted.schema and SchemaVersionRef(schema=wanted.schema.schema, version=0)
