"""New documents held against the configurations that are pinned to their schema, however many there are."""

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
from configsvc.validation.checks import Check, ContentChecks, check_of
from configsvc.validation.compiled import Compiled

SNAPSHOT_LIMIT_SECONDS = 30.0


class Snapshots:
    """Reads that may be long: one at a time in a process, so that they take one connection and one page of memory."""

    def __init__(self, database: Database, checks: ContentChecks) -> None:
        self.checks = checks
        self._database = database
        self._one = asyncio.Semaphore(1)

    @asynccontextmanager
    async def take(self) -> AsyncGenerator[Connection]:
        """A connection that shows one revision. Raises DatabaseBusyError or DatabaseUnavailableError."""
        try:
            async with asyncio.timeout(SNAPSHOT_LIMIT_SECONDS):
                await self._one.acquire()
        except TimeoutError as error:
            raise DatabaseBusyError from error
        try:
            async with (
                self._database.read() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection
        finally:
            self._one.release()


async def check_pinned(
    connection: Connection,
    schema: str,
    compiled: Compiled,
    checks: ContentChecks,
    *,
    after_revision: int | None = None,
) -> PinnedCheck:
    """What the document makes of the configurations that are pinned to the schema, or of those that were changed
    after the revision. Raises DatabaseBusyError.
    """
    revision = await log.head(connection)
    offenders: list[ConfigurationFaults] = []
    offender_count = checked_count = 0
    async for page in pinned_configurations.pages(connection, schema, after_revision=after_revision):
        count, found, slow = await asyncio.to_thread(_offenders, compiled, page, MAX_OFFENDERS - len(offenders))
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
    compiled: Compiled, page: Sequence[PinnedConfiguration], limit: int
) -> tuple[int, list[ConfigurationFaults], list[tuple[PinnedConfiguration, Check]]]:
    """How many of a page are at fault, and the first of them with their faults, which take much longer to find; and
    those that may take too long for a thread, which holds Python's lock.
    """
    count = 0
    found: list[ConfigurationFaults] = []
    slow: list[tuple[PinnedConfiguration, Check]] = []
    for one in page:
        check = check_of(compiled, json.loads(one.config), one.config)
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
