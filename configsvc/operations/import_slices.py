"""Write one slice of an import: wait for locks within a budget, then fail the items that stay locked."""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from configsvc.domain.errors import WriteConflictError
from configsvc.domain.operations import BulkOperation, ImportSettings, Outcome
from configsvc.domain.writes import PinnedSchema
from configsvc.storage import imports
from configsvc.storage.database import Connection
from configsvc.storage.imports import SliceFailedError, SliceLockedError
from configsvc.storage.operations import Run, Slice

# How long an import waits for locks: in all, and for each of them. Afterwards, items that need a locked row fail.
WAIT_BUDGET_SECONDS = 10.0
LOCK_SECONDS = 2.0
# Some locks show only when they are tried, such as that of a key that another session is about to insert.
LAST_LOCK_SECONDS = 0.05
WAIT_LIMIT_SECONDS = 120.0


class SchemaChangedError(Exception):
    """A schema changed since the items were checked against it."""


class WaitBudget:
    """The time that one import may wait for locks."""

    def __init__(self) -> None:
        self._waited = 0.0

    @property
    def is_left(self) -> bool:
        """True until WAIT_BUDGET_SECONDS are spent."""
        return self._waited < WAIT_BUDGET_SECONDS

    @property
    def lock_seconds(self) -> float:
        """The time limit of each lock."""
        return LOCK_SECONDS if self.is_left else LAST_LOCK_SECONDS

    @contextmanager
    def spend(self) -> Generator[None]:
        """Count the time as waiting if the work ends with SliceLockedError.

        Raises WriteConflictError beyond WAIT_LIMIT_SECONDS.
        """
        begun = time.monotonic()
        try:
            yield
        except SliceLockedError as error:
            self._waited += time.monotonic() - begun
            if self._waited > WAIT_LIMIT_SECONDS:
                raise WriteConflictError from error
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    operation: BulkOperation
    run: Run
    settings: ImportSettings
    budget: WaitBudget


async def write_slice(
    connection: Connection, job: ImportJob, span: Slice, schemas: Mapping[str, PinnedSchema]
) -> list[Outcome]:
    """Write the waiting items of a slice within a transaction; fail those that are invalid, missing or locked.

    Raises SchemaChangedError if a schema is not as in schemas, ApplicationRenamedError, or WriteConflictError.
    """
    while job.budget.is_left:
        try:
            return await _write_at_once(connection, job, span, schemas)
        except SliceLockedError:
            continue
        except SliceFailedError as error:
            return await _write_in_halves(connection, job, span, schemas, error)
    locked = await imports.fail_locked(connection, job.operation.id, span, job.settings.application_ids)
    try:
        return locked + await _write_at_once(connection, job, span, schemas)
    except SliceFailedError as error:
        return locked + await _write_in_halves(connection, job, span, schemas, error)


async def _write_at_once(
    connection: Connection, job: ImportJob, span: Slice, schemas: Mapping[str, PinnedSchema]
) -> list[Outcome]:
    with job.budget.spend():
        async with imports.written_at_once(connection, span, lock_seconds=job.budget.lock_seconds):
            # First of all: items outside the caller's applications fail as missing, whether or not they are locked.
            missing = await imports.share_applications(
                connection,
                job.operation,
                span,
                create=job.settings.create_applications,
                application_ids=job.settings.application_ids,
            )
            locked = await imports.share_schemas(connection, job.operation.id, span)
            require_unchanged(schemas, locked)
            mismatched = await imports.check_versions(connection, job.operation.id, span)
            written = await imports.write(connection, job.operation, span, locked, upsert=job.settings.upsert)
            return missing + mismatched + written


async def _write_in_halves(
    connection: Connection,
    job: ImportJob,
    span: Slice,
    schemas: Mapping[str, PinnedSchema],
    error: SliceFailedError,
) -> list[Outcome]:
    """Write each half of a failed slice, down to single items, so that only the items at fault fail."""
    if span.first == span.last:
        return await imports.fail_alone(connection, job.operation.id, error.outcome)
    middle = (span.first + span.last) // 2
    first = await write_slice(connection, job, Slice(first=span.first, last=middle), schemas)
    return first + await write_slice(connection, job, Slice(first=middle + 1, last=span.last), schemas)


def require_unchanged(before: Mapping[str, PinnedSchema], now: Mapping[str, PinnedSchema]) -> None:
    """Raise SchemaChangedError if a schema of before is not the same now."""
    if any(before.get(name, schema) != schema for name, schema in now.items()):
        raise SchemaChangedError
