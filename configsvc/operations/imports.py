"""Imports of configurations: how they begin, and how they are carried out."""

import time
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from configsvc.access.caller import Caller
from configsvc.domain.access import Role
from configsvc.domain.errors import DatabaseBusyError, InvalidRequestError, Violation, WriteConflictError
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
from configsvc.operations.staging import Staging
from configsvc.storage import imports, operations
from configsvc.storage.database import Connection, Database
from configsvc.storage.imports import SliceFailedError, SliceHeldError
from configsvc.storage.operations import Run, Slice
from configsvc.writes.transactions import Writes, transaction

ATOMIC_LIMIT = 100_000
SLICE_ITEMS = 500
SLICE_BYTES = 4 * 1024 * 1024
NOTE_ITEMS = 5000
# How often schemas may get new versions while an import is checked against them.
ATTEMPTS = 5
# An import waits so long, in all, for rows that others hold, each time for each of them at most LOCK_SECONDS. After
# that, the items that are about them fail.
PATIENCE_SECONDS = 10.0
LOCK_SECONDS = 2.0
# What is not seen to be held, such as a key that another session is about to insert, can only be tried.
IMPATIENT_LOCK_SECONDS = 0.05
WAIT_LIMIT_SECONDS = 120.0


class SchemaMovedError(Exception):
    """A schema is not as it was when the items were checked against it."""


class NotKeptError(Exception):
    """Rolls a transaction back whose outcomes are known now."""


class Patience:
    """How long one import waits, in all, for what others hold."""

    def __init__(self) -> None:
        self._waited = 0.0

    @property
    def lasts(self) -> bool:
        """Whether what others hold is waited for."""
        return self._waited < PATIENCE_SECONDS

    @property
    def lock_seconds(self) -> float:
        """How long each lock is waited for."""
        return LOCK_SECONDS if self.lasts else IMPATIENT_LOCK_SECONDS

    @contextmanager
    def counted(self) -> Generator[None]:
        """Counts what is done under it as waiting, if it ends with SliceHeldError. Raises WriteConflictError when it
        was too much.
        """
        begun = time.monotonic()
        try:
            yield
        except SliceHeldError as error:
            self._waited += time.monotonic() - begun
            if self._waited > WAIT_LIMIT_SECONDS:
                raise WriteConflictError from error
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import that is being carried out."""

    operation: BulkOperation
    run: Run
    settings: ImportSettings
    patience: Patience


class Imports:
    """Brings configurations, as many as a stream has."""

    def __init__(self, database: Database, writes: Writes, pool: ProcessPool) -> None:
        self._database = database
        self._writes = writes
        self._pool = pool

    async def start(self, messages: AsyncIterable[ImportMessage], caller: Caller) -> BulkOperation:
        """Stages what the messages bring, and lets the operation begin after the last. It writes to those applications
        alone that the caller may write to now, whatever names others have by then.

        Raises InvalidRequestError, RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
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

    async def carry(self, operation: BulkOperation, run: Run) -> None:
        """Carries an import out to its end. Raises WriteConflictError, WriteTooLargeError, DatabaseUnavailableError,
        DatabaseBusyError or RunLostError.
        """
        settings = ImportSettings(**operation.settings)  # pyright: ignore[reportArgumentType]
        one = Import(operation=operation, run=run, settings=settings, patience=Patience())
        async with self._database.operation() as connection:
            await operations.fail_duplicates(connection, operation.id)
            await operations.recount(connection, run)
        if one.settings.atomic:
            await self._carry_as_one(one)
        else:
            await self._carry_by_slices(one)

    async def _carry_by_slices(self, one: Import) -> None:
        async for places in self._slices(one):
            await self._carry_slice(one, places)
        async with self._database.operation() as connection, transaction(connection):
            await operations.recount(connection, one.run)
            await operations.finish(connection, one.run, OperationState.SUCCEEDED)

    async def _slices(self, one: Import) -> AsyncGenerator[Slice]:
        """The items that wait, in slices; what is done between two of them is done by then."""
        after = -1
        while True:
            async with self._database.operation() as connection:
                places = await _next_slice(connection, one, after)
            if places is None:
                return
            yield places
            after = places.last

    async def _carry_slice(self, one: Import, places: Slice) -> None:
        """Checks and writes a slice, in a commit of its own."""
        for _ in range(ATTEMPTS):
            schemas = await check_slice(self._database, self._pool, one.operation.id, places)
            try:
                await self._commit_slice(one, places, schemas)
            except SchemaMovedError:
                continue
            return
        raise WriteConflictError

    async def _commit_slice(self, one: Import, places: Slice, schemas: Mapping[str, PinnedSchema]) -> None:
        outcomes: list[Outcome] = []
        try:
            async with self._database.operation() as connection, transaction(connection):
                outcomes = await _write(connection, one, places, schemas)
                await operations.advance(connection, one.run, progress_of(outcomes))
                _keep(not one.settings.validate_only)
        except NotKeptError:
            async with self._database.operation() as connection, transaction(connection):
                await operations.note_outcomes(connection, one.operation.id, outcomes)
                await operations.advance(connection, one.run, progress_of(outcomes))

    async def _carry_as_one(self, one: Import) -> None:
        for _ in range(ATTEMPTS):
            try:
                await self._commit_all(one, await self._check_all(one))
            except SchemaMovedError:
                continue
            return
        raise WriteConflictError

    async def _check_all(self, one: Import) -> Mapping[str, PinnedSchema]:
        schemas: dict[str, PinnedSchema] = {}
        async for places in self._slices(one):
            found = await check_slice(self._database, self._pool, one.operation.id, places)
            _require_same(schemas, found)
            schemas |= found
        return schemas

    async def _commit_all(self, one: Import, schemas: Mapping[str, PinnedSchema]) -> None:
        outcomes: list[Outcome] = []
        try:
            async with self._database.operation() as connection, transaction(connection):
                await self._write_all(connection, one, schemas, outcomes)
                failed = await operations.recount(connection, one.run)
                _keep(not failed and not one.settings.validate_only)
                await operations.finish(connection, one.run, OperationState.SUCCEEDED)
        except NotKeptError:
            await self._note(one, outcomes)

    async def _write_all(
        self,
        connection: Connection,
        one: Import,
        schemas: Mapping[str, PinnedSchema],
        outcomes: list[Outcome],
    ) -> None:
        after = -1
        while places := await _next_slice(connection, one, after):
            written = await _write(connection, one, places, schemas)
            outcomes += [outcome for outcome in written if outcome.error or one.settings.validate_only]
            after = places.last
            # What is shown meanwhile is not worth beginning anew for: the count is made again at the end.
            with suppress(DatabaseBusyError, WriteConflictError):
                async with self._database.write() as other:
                    await operations.advance(other, one.run, progress_of(written))

    async def _note(self, one: Import, noted: list[Outcome]) -> None:
        """Tells what would have been done, or what kept it from being done."""
        dry_run = one.settings.validate_only
        async with self._database.operation() as connection, transaction(connection):
            for start in range(0, len(noted), NOTE_ITEMS):
                await operations.note_outcomes(connection, one.operation.id, noted[start : start + NOTE_ITEMS])
            await operations.recount(connection, one.run)
            if dry_run:
                await operations.finish(connection, one.run, OperationState.SUCCEEDED)
            else:
                await operations.finish(connection, one.run, OperationState.FAILED, Failure.ITEMS_FAILED)


def _keep(keep: bool) -> None:
    if not keep:
        raise NotKeptError


async def _next_slice(connection: Connection, one: Import, after: int) -> Slice | None:
    return await operations.next_slice(
        connection, one.operation, after=after, limit=SLICE_ITEMS, limit_bytes=SLICE_BYTES
    )


async def _write(
    connection: Connection, one: Import, places: Slice, schemas: Mapping[str, PinnedSchema]
) -> list[Outcome]:
    """Writes a slice within a transaction. What others hold is waited for as long as the import is patient; after that,
    the items that are about it fail.
    """
    while one.patience.lasts:
        try:
            return await _write_at_once(connection, one, places, schemas)
        except SliceHeldError:
            continue
        except SliceFailedError as error:
            return await _write_in_halves(connection, one, places, schemas, error)
    held = await imports.fail_held(connection, one.operation.id, places, one.settings.application_ids)
    try:
        return held + await _write_at_once(connection, one, places, schemas)
    except SliceFailedError as error:
        return held + await _write_in_halves(connection, one, places, schemas, error)


async def _write_at_once(
    connection: Connection, one: Import, places: Slice, schemas: Mapping[str, PinnedSchema]
) -> list[Outcome]:
    with one.patience.counted():
        async with imports.written_at_once(connection, places, lock_seconds=one.patience.lock_seconds):
            # First of all: what is not the caller's is not there, whoever holds what it is about.
            missing = await imports.share_applications(
                connection,
                one.operation,
                places,
                create=one.settings.create_applications,
                application_ids=one.settings.application_ids,
            )
            held = await imports.share_schemas(connection, one.operation.id, places)
            _require_same(schemas, held)
            return missing + await imports.write(connection, one.operation, places, held, upsert=one.settings.upsert)


async def _write_in_halves(
    connection: Connection,
    one: Import,
    places: Slice,
    schemas: Mapping[str, PinnedSchema],
    error: SliceFailedError,
) -> list[Outcome]:
    """So that only the items at fault fail."""
    if places.first == places.last:
        return await imports.fail_alone(connection, one.operation.id, error.outcome)
    middle = (places.first + places.last) // 2
    first = await _write(connection, one, Slice(first=places.first, last=middle), schemas)
    return first + await _write(connection, one, Slice(first=middle + 1, last=places.last), schemas)


def _require_same(before: Mapping[str, PinnedSchema], now: Mapping[str, PinnedSchema]) -> None:
    if any(before.get(name, schema) != schema for name, schema in now.items()):
        raise SchemaMovedError


def _context(message: ImportMessage, caller: Caller) -> WriteContext:
    assert caller.origin is not None
    return WriteContext(
        actor=caller.actor,
        origin=caller.origin,
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
