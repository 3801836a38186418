"""Imports of configurations: begun by a stream of messages, then run as an operation."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import asdict, replace

from configsvc.access.caller import Caller
from configsvc.domain.access import Role
from configsvc.domain.errors import InvalidRequestError, Violation, WriteConflictError
from configsvc.domain.models import WriteContext
from configsvc.domain.operations import (
    BulkOperation,
    Failure,
    ImportMessage,
    ImportSettings,
    OperationKind,
    OperationState,
    Outcome,
    progress_of,
)
from configsvc.domain.writes import PinnedSchema
from configsvc.offload.processes import ProcessPool
from configsvc.operations.checks import check_slice
from configsvc.operations.import_slices import (
    ImportJob,
    SchemaChangedError,
    WaitBudget,
    require_unchanged,
    write_slice,
)
from configsvc.operations.slices import finish, slices, write_all
from configsvc.operations.staging import Staging
from configsvc.storage import imports, operations
from configsvc.storage.database import Connection, Database
from configsvc.storage.imports import ApplicationRenamedError
from configsvc.storage.operations import Run, Slice
from configsvc.writes.transactions import Writes, transaction

ATOMIC_LIMIT = 100_000
NOTE_ITEMS = 5000
# Attempts when schemas get new versions between check and commit.
ATTEMPTS = 5


class RollBackError(Exception):
    """Rolls a transaction back after its outcomes are known."""


class Imports:
    """Imports of configurations from streams of any length."""

    def __init__(self, database: Database, writes: Writes, pool: ProcessPool) -> None:
        self._database = database
        self._writes = writes
        self._pool = pool

    async def start(self, messages: AsyncIterable[ImportMessage], caller: Caller) -> BulkOperation:
        """Stage the items of the messages, and submit the operation after the last one.

        The operation is confined to the applications that the caller may write to now, even if names change owners
        meanwhile. Raises InvalidRequestError, RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
        """
        staging = Staging(self._database, self._writes, OperationKind.IMPORT_CONFIGURATIONS)
        context, settings = None, None
        async for message in messages:
            if message.violations:
                raise InvalidRequestError(message.violations)
            if context is None or settings is None:
                settings = message.options.within(caller.scope(Role.EDITOR))
                context = _context(message, caller)
                await staging.begin(asdict(settings), context)
            await staging.add(message.items)
            _check_count(settings, staging.count)
            context = replace(context, fingerprint=message.digest)
        if context is None:
            raise InvalidRequestError((Violation(field="request", description="is required: the stream is empty"),))
        return await staging.submit(context)

    async def execute(self, operation: BulkOperation, run: Run) -> None:
        """Run an import to its end.

        Raises WriteConflictError, WriteTooLargeError, DatabaseUnavailableError, DatabaseBusyError or RunLostError.
        """
        settings = ImportSettings(**operation.settings)  # pyright: ignore[reportArgumentType]
        job = ImportJob(operation=operation, run=run, settings=settings, budget=WaitBudget())
        await self._resolve(job)
        if settings.atomic:
            await self._import_atomically(job)
        else:
            await self._import_by_slices(job)

    async def _resolve(self, job: ImportJob) -> None:
        """Look up the names of applications, and fail items with the same key."""
        async with self._database.operation() as connection:
            await imports.resolve_applications(connection, job.operation.id, job.settings.application_ids)
            await operations.fail_duplicates(connection, job.operation.id)
            await operations.recount(connection, job.run)

    async def _import_by_slices(self, job: ImportJob) -> None:
        async for span in slices(self._database, job.operation):
            await self._import_slice(job, span)
        await finish(self._database, job.run, OperationState.SUCCEEDED)

    async def _import_slice(self, job: ImportJob, span: Slice) -> None:
        """Check and write a slice, in a commit of its own."""
        for _ in range(ATTEMPTS):
            schemas = await check_slice(self._database, self._pool, job.operation.id, span)
            try:
                await self._commit_slice(job, span, schemas)
            except SchemaChangedError:
                continue
            except ApplicationRenamedError:
                await self._resolve(job)
                continue
            return
        raise WriteConflictError

    async def _commit_slice(self, job: ImportJob, span: Slice, schemas: Mapping[str, PinnedSchema]) -> None:
        outcomes: list[Outcome] = []
        try:
            async with self._database.operation() as connection, transaction(connection):
                outcomes = await write_slice(connection, job, span, schemas)
                await operations.advance(connection, job.run, progress_of(outcomes))
                _roll_back_unless(not job.settings.validate_only)
        except RollBackError:
            async with self._database.operation() as connection, transaction(connection):
                await operations.note_outcomes(connection, job.operation.id, outcomes)
                await operations.advance(connection, job.run, progress_of(outcomes))

    async def _import_atomically(self, job: ImportJob) -> None:
        for _ in range(ATTEMPTS):
            try:
                await self._commit_all(job, await self._check_all(job))
            except SchemaChangedError:
                continue
            except ApplicationRenamedError:
                await self._resolve(job)
                continue
            return
        raise WriteConflictError

    async def _check_all(self, job: ImportJob) -> Mapping[str, PinnedSchema]:
        schemas: dict[str, PinnedSchema] = {}
        async for span in slices(self._database, job.operation):
            found = await check_slice(self._database, self._pool, job.operation.id, span)
            require_unchanged(schemas, found)
            schemas |= found
        return schemas

    async def _commit_all(self, job: ImportJob, schemas: Mapping[str, PinnedSchema]) -> None:
        noted: list[Outcome] = []
        try:
            async with self._database.operation() as connection, transaction(connection):
                await self._write_all(connection, job, schemas, noted)
                failed = await operations.recount(connection, job.run)
                _roll_back_unless(not failed and not job.settings.validate_only)
                await operations.finish(connection, job.run, OperationState.SUCCEEDED)
        except RollBackError:
            await self._note(job, noted)

    async def _write_all(
        self, connection: Connection, job: ImportJob, schemas: Mapping[str, PinnedSchema], noted: list[Outcome]
    ) -> None:
        async def write(span: Slice) -> list[Outcome]:
            outcomes = await write_slice(connection, job, span, schemas)
            noted.extend(outcome for outcome in outcomes if outcome.error or job.settings.validate_only)
            return outcomes

        await write_all(self._database, connection, job.operation, job.run, write)

    async def _note(self, job: ImportJob, noted: list[Outcome]) -> None:
        """Note the outcomes of a transaction that was rolled back, and end the operation with them."""
        dry_run = job.settings.validate_only
        state = OperationState.SUCCEEDED if dry_run else OperationState.FAILED
        failure = None if dry_run else Failure.ITEMS_FAILED
        async with self._database.operation() as connection, transaction(connection):
            for start in range(0, len(noted), NOTE_ITEMS):
                await operations.note_outcomes(connection, job.operation.id, noted[start : start + NOTE_ITEMS])
            await operations.recount(connection, job.run)
            await operations.finish(connection, job.run, state, failure)


def _roll_back_unless(keep: bool) -> None:
    if not keep:
        raise RollBackError


def _context(message: ImportMessage, caller: Caller) -> WriteContext:
    assert caller.origin is not None
    named = message.change_request
    return WriteContext(
        actor=caller.actor,
        origin=replace(caller.origin, change_request=named) if named else caller.origin,
        reason=message.reason,
        request_id=message.request_id,
        fingerprint=message.digest,
        validate_only=message.options.validate_only,
        scope=caller.scope(Role.EDITOR),
    )


def _check_count(settings: ImportSettings, count: int) -> None:
    if settings.atomic and count > ATOMIC_LIMIT:
        description = f"has more than {ATOMIC_LIMIT} items: import them in mode PER_ITEM, or in several parts"
        raise InvalidRequestError((Violation(field="items", description=description),))
