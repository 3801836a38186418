"""Rollbacks and undeletions: each becomes an update of its configuration, or a creation if that was deleted."""

from collections.abc import Sequence
from dataclasses import replace

from configsvc.domain.errors import ResourceExistsError, ResourceNotFoundError
from configsvc.domain.expectations import Expectation
from configsvc.domain.models import (
    Configuration,
    ConfigurationUpdate,
    ConfigurationVersion,
    IdRef,
    Operation,
    SchemaVersionRef,
    Unpinned,
)
from configsvc.domain.stored_json import Content
from configsvc.domain.writes import (
    AnyWrite,
    BatchWrite,
    Creation,
    Restoration,
    Rollback,
    Undeletion,
    Update,
    check_expected,
)
from configsvc.storage import history
from configsvc.storage.database import Connection


async def resolve_restorations(connection: Connection, writes: Sequence[AnyWrite]) -> tuple[BatchWrite, ...]:
    """Return the writes with restorations replaced by updates and creations.

    Nothing is locked: versions never change, and the write itself notices a concurrent change.

    Raises ResourceNotFoundError, ResourceExistsError, RevisionCompactedError or VersionMismatchError.
    """
    return tuple([await _resolved(connection, write) for write in writes])


async def _resolved(connection: Connection, write: AnyWrite) -> BatchWrite:
    match write:
        case Rollback():
            return await _rolled_back(connection, write)
        case Undeletion():
            return await _undeleted(connection, write)
        case _:
            return write


async def _rolled_back(connection: Connection, rollback: Rollback) -> Update | Creation:
    newest = await _newest(connection, rollback)
    current = newest.configuration
    target = await _target(connection, current, rollback.version)
    if newest.operation is not Operation.DELETED:
        return _update(rollback, target)
    _check_deleted(rollback.expected, current)
    return _creation(rollback, target, current)


async def _undeleted(connection: Connection, undeletion: Undeletion) -> Creation:
    newest = await _newest(connection, undeletion)
    if newest.operation is not Operation.DELETED:
        raise ResourceExistsError("configuration", str(undeletion.ref))
    current = newest.configuration
    return _creation(undeletion, await _target(connection, current, current.version - 1), current)


async def _newest(connection: Connection, write: Restoration) -> ConfigurationVersion:
    configuration_id = await history.last_holder(connection, write.ref)
    number = None if configuration_id is None else await history.newest_version(connection, configuration_id)
    newest = None if number is None else await history.version(connection, str(configuration_id), number)
    if newest is None or not write.context.scope.includes(newest.configuration.application_id):
        raise ResourceNotFoundError("configuration", str(write.ref))
    return newest


def _check_deleted(expected: Expectation, deletion: Configuration) -> None:
    """Raise VersionMismatchError unless the caller expects that nothing exists, or this deletion."""
    check_expected(replace(expected, version=None) if expected.version == 0 else expected, deletion)


async def _target(connection: Connection, current: Configuration, number: int) -> Configuration:
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
            config=target.config and _rewritten(target.config),
            patch=None,
            schema=_newest_pin(target) or Unpinned(),
        ),
        expected=rollback.expected,
        allow_missing=False,
        context=rollback.context,
    )


def _creation(restoration: Restoration, target: Configuration, deleted: Configuration) -> Creation:
    assert target.config is not None
    return Creation(
        application=IdRef(id=deleted.application_id),
        name=deleted.name,
        comments=target.comments,
        config=_rewritten(target.config),
        schema=_newest_pin(target),
        context=restoration.context,
        id=deleted.id,
    )


def _newest_pin(target: Configuration) -> SchemaVersionRef | None:
    return target.schema and SchemaVersionRef(schema=target.schema.schema, version=0)


def _rewritten(content: Content) -> Content:
    # Its text may have come from SQL, and differ from the one that is written now: 1.50 becomes 1.5.
    return Content(content.value)
