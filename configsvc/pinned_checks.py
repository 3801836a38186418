"""New documents held against the configurations that are pinned to their schema, however many there are."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from configsvc.domain.errors import DatabaseBusyError
from configsvc.domain.schema_versions import MAX_OFFENDERS, ConfigurationFaults, PinnedCheck
from configsvc.domain.validation import Validator
from configsvc.storage import log, pinned
from configsvc.storage.pinned import PinnedConfiguration

if TYPE_CHECKING:
    from configsvc.storage.database import Connection, Database

SNAPSHOT_LIMIT_SECONDS = 30.0


class Snapshots:
    """Reads that may be long: one at a time in a process, so that they take one connection and one page of memory."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._one = asyncio.Semaphore(1)

    @asynccontextmanager
    async def take(self) -> AsyncGenerator["Connection"]:
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
    connection: "Connection", schema: str, validator: Validator, *, after_revision: int | None = None
) -> PinnedCheck:
    """What the validator makes of the configurations that are pinned to the schema, or of those of them that were
    changed after the revision.
    """
    revision = await log.head(connection)
    offenders: list[ConfigurationFaults] = []
    offender_count = checked_count = 0
    async for page in pinned.pages(connection, schema, after_revision=after_revision):
        count, found = await asyncio.to_thread(_offenders, validator, page, MAX_OFFENDERS - len(offenders))
        offenders += found
        offender_count += count
        checked_count += len(page)
    return PinnedCheck(
        offenders=tuple(offenders), offender_count=offender_count, checked_count=checked_count, revision=revision
    )


def _offenders(
    validator: Validator, page: Sequence[PinnedConfiguration], limit: int
) -> tuple[int, list[ConfigurationFaults]]:
    """How many of a page are at fault, and the first of them with their faults, which take much longer to find."""
    count = 0
    found: list[ConfigurationFaults] = []
    for one in page:
        config = json.loads(one.config)
        if validator.accepts(config):
            continue
        count += 1
        if len(found) < limit:
            faults = validator.faults(config)
            found.append(
                ConfigurationFaults(
                    id=one.id, application=one.application, name=one.name, version=one.version, faults=faults
                )
            )
    return count, found
