"""Rollbacks: each becomes an update of its configuration, or a creation if that was deleted."""

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
from configsvc.domain.writes import AnyWrite, BatchWrite, Creation, Rollback, Update, check_version
from configsvc.storage import history
from configsvc.storage.database import Connection


async def resolve_rollbacks(connection: Connection, writes: Sequence[AnyWrite]) -> tuple[BatchWrite, ...]:
    """Return the writes with rollbacks replaced by updates and creations.

    Nothing is locked: versions never change, and the write itself notices a concurrent change.

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
    target = await _target(connection, rollback, current, is_deleted=is_deleted)
    if not is_deleted:
        return _update(rollback, target)
    check_version(rollback.expected_version, current.version)
    return _creation(rollback, target, current)


async def _newest(connection: Connection, ref: ConfigurationRef) -> ConfigurationVersion | None:
    configuration_id = await history.last_holder(connection, ref)
    if configuration_id is None:
        return None
    number = await history.newest_version(connection, configuration_id)
    return None if number is None else await history.version(connection, configuration_id, number)


async def _target(
    connection: Connection, rollback: Rollback, current: Configuration, *, is_deleted: bool
) -> Configuration:
    if not rollback.version and not is_deleted:
        description = "is required, unless the configuration is deleted"
        raise InvalidRequestError((Violation(field="version", description=description),))
    number = rollback.version or current.version - 1
    target = await history.version(connection, current.id, number)
    if target is None or target.operation is Operation.DELETED:
        raise ResourceNotFoundError("configuration", f"{current.id} version {number}")
    return target.configuration


def _update(rollback: Rollback, target: Configuration) -> Update:
    return Update(
        ref=IdRef(id=target.id),
        values=ConfigurationUpdate(
            name=None,
            comments=target.comments,
            config=target.config,
            merge_patch=None,
            schema=_newest_pin(target) or Unpinned(),
        ),
        expected_version=rollback.expected_version,
        context=rollback.context,
    )


def _creation(rollback: Rollback, target: Configuration, deleted: Configuration) -> Creation:
    assert target.config is not None
    return Creation(
        application=IdRef(id=deleted.application_id),
        name=deleted.name,
        comments=target.comments,
        config=target.config,
        schema=_newest_pin(target),
        context=rollback.context,
        id=deleted.id,
    )


def _newest_pin(target: Configuration) -> SchemaVersionRef | None:
    return target.schema and SchemaVersionRef(schema=target.schema.schema, version=0)
