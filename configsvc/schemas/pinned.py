"""Check new documents against the configurations that are pinned to their schema, however many there are."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from configsvc.domain.errors import DatabaseBusyError
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.schema_versions import MAX_OFFENDERS, ConfigurationFaults, PinnedCheck
from configsvc.storage import log, pinned_configurations
from configsvc.storage.database import Connection, Database
from configsvc.storage.pinned_configurations import PinnedConfiguration
from configsvc.validation.checks import Check, Checks, prepare_check
from configsvc.validation.compiled import CompiledSchema

SNAPSHOT_LIMIT_SECONDS = 30.0

_UNREADABLE = Fault(
    pointer="",
    keyword="",
    message="the configuration is damaged in the database and cannot be read: an operator has to repair it",
)


class SnapshotReads:
    """Long reads at one revision: one at a time in a process, so they take one connection and one page of memory."""

    def __init__(self, database: Database, checks: Checks) -> None:
        self.checks = checks
        self._database = database
        self._slot = asyncio.Semaphore(1)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Connection]:
        """Yield a connection that shows one revision. Raises DatabaseBusyError or DatabaseUnavailableError."""
        try:
            async with asyncio.timeout(SNAPSHOT_LIMIT_SECONDS):
                await self._slot.acquire()
        except TimeoutError as error:
            raise DatabaseBusyError from error
        try:
            async with (
                self._database.read_list() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection
        finally:
            self._slot.release()


async def check_pinned(
    connection: Connection,
    schema: str,
    compiled: CompiledSchema,
    checks: Checks,
    *,
    after_revision: int | None = None,
) -> PinnedCheck:
    """Check the configurations that are pinned to the schema, or those that changed after the revision, against a new
    document. Raises DatabaseBusyError.
    """
    revision = await log.head(connection)
    offenders: list[ConfigurationFaults] = []
    offender_count = checked_count = 0
    async for page in pinned_configurations.pages(connection, schema, after_revision=after_revision):
        count, found, slow = await asyncio.to_thread(_offenders, schema, compiled, page, MAX_OFFENDERS - len(offenders))
        offenders += found
        offender_count += count
        for one, check in slow:
            if faults := await checks.faults(check):
                offender_count += 1
                offenders += [_offender(one, faults)][: MAX_OFFENDERS - len(offenders)]
        checked_count += len(page)
    return PinnedCheck(
        offenders=tuple(offenders), offender_count=offender_count, checked_count=checked_count, revision=revision
    )


def _offenders(
    schema: str, compiled: CompiledSchema, page: Sequence[PinnedConfiguration], limit: int
) -> tuple[int, list[ConfigurationFaults], list[tuple[PinnedConfiguration, Check]]]:
    """Return the number of violators in a page, the first of them with their faults (which take much longer to find),
    and the checks that may take too long here: a thread holds Python's lock.
    """
    count = 0
    found: list[ConfigurationFaults] = []
    slow: list[tuple[PinnedConfiguration, Check]] = []
    for one in page:
        if one.config is None:
            count += 1
            if len(found) < limit:
                found.append(_offender(one, (_UNREADABLE,)))
            continue
        check = prepare_check(schema, compiled, json.loads(one.config), one.config)
        if check.may_take_long:
            slow.append((one, check))
        elif not compiled.validator.accepts(check.config):
            count += 1
            if len(found) < limit:
                found.append(_offender(one, compiled.validator.faults(check.config)))
    return count, found, slow


def _offender(one: PinnedConfiguration, faults: tuple[Fault, ...]) -> ConfigurationFaults:
    return ConfigurationFaults(
        id=one.id, application=one.application, name=one.name, version=one.version, faults=faults
    )
