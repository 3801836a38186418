"""Imports of configurations: how they begin, and how they are carried out."""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from configsvc.checks import check_slice
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
from configsvc.process_pool import ProcessPool
from configsvc.staging import Staging
from configsvc.storage import imports, operations
from configsvc.storage.imports import SliceFailedError
from configsvc.storage.operations import Run, Slice
from configsvc.writes import Writes, transaction

if TYPE_CHECKING:
    from configsvc.domain.writes import PinnedSchema
    from configsvc.storage.database import Connection, Database

ATOMIC_LIMIT = 100_000
SLICE_ITEMS = 500
SLICE_BYTES = 4 * 1024 * 1024
NOTE_ITEMS = 5000
# How often schemas may get new versions while an import is checked against them.
ATTEMPTS = 5


class SchemaMovedError(Exception):
    """A schema is not as it was when the items were checked against it."""


class NotKeptError(Exception):
    """Rolls a transaction back whose outcomes are known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import that is being carried out."""

    operation: BulkOperation
    run: Run
    settings: ImportSettings


class Imports:
    """Brings configurations, as many as a stream has."""

    def __init__(self, database: "Database", writes: Writes, pool: ProcessPool) -> None:
        self._database = database
        self._writes = writes
        self._pool = pool

    async def start(
        self, messages: AsyncIterable[ImportMessage], actor: str, application_ids: frozenset[str] | None
    ) -> BulkOperation:
        """Stages what the messages bring, and lets the operation begin after the last. It writes to the applications
        with the ids alone, whatever names others have by then; None: to all.

        Raises InvalidRequestError, RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
        """
        staging = Staging(self._database, self._writes, OperationKind.IMPORT_CONFIGURATIONS)
        context, settings = None, None
        async for message in messages:
            if message.violations:
                raise InvalidRequestError(message.violations)
            if context is None or settings is None:
                confined_to = None if application_ids is None else sorted(application_ids)
                settings = replace(message.settings, application_ids=confined_to)
                context = _context(message, actor)
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
        one = Import(operation=operation, run=run, settings=ImportSettings(**operation.settings))  # pyright: ignore[reportArgumentType]
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

    async def _commit_slice(self, one: Import, places: Slice, schemas: Mapping[str, "PinnedSchema"]) -> None:
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

    async def _check_all(self, one: Import) -> Mapping[str, "PinnedSchema"]:
        schemas: dict[str, PinnedSchema] = {}
        async for places in self._slices(one):
            found = await check_slice(self._database, self._pool, one.operation.id, places)
            _require_same(schemas, found)
            schemas |= found
        return schemas

    async def _commit_all(self, one: Import, schemas: Mapping[str, "PinnedSchema"]) -> None:
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
        connection: "Connection",
        one: Import,
        schemas: Mapping[str, "PinnedSchema"],
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


async def _next_slice(connection: "Connection", one: Import, after: int) -> Slice | None:
    return await operations.next_slice(
        connection, one.operation, after=after, limit=SLICE_ITEMS, limit_bytes=SLICE_BYTES
    )


async def _write(
    connection: "Connection", one: Import, places: Slice, schemas: Mapping[str, "PinnedSchema"]
) -> list[Outcome]:
    """Writes a slice within a transaction; where it fails as a whole, in halves, so that only the items at fault do."""
    try:
        held = await imports.share_schemas(connection, one.operation.id, places)
        _require_same(schemas, held)
        return await imports.write(
            connection,
            one.operation,
            places,
            held,
            upsert=one.settings.upsert,
            create_applications=one.settings.create_applications,
            application_ids=one.settings.application_ids,
        )
    except SliceFailedError as error:
        if places.first == places.last:
            await operations.fail_items(connection, one.operation.id, (error.outcome,))
            return [error.outcome]
    middle = (places.first + places.last) // 2
    first = await _write(connection, one, Slice(first=places.first, last=middle), schemas)
    return first + await _write(connection, one, Slice(first=middle + 1, last=places.last), schemas)


def _require_same(before: Mapping[str, "PinnedSchema"], now: Mapping[str, "PinnedSchema"]) -> None:
    if any(before.get(name, schema) != schema for name, schema in now.items()):
        raise SchemaMovedError


def _context(message: ImportMessage, actor: str) -> WriteContext:
    return WriteContext(
        actor=actor,
        reason=message.reason,
        request_id=message.request_id,
        fingerprint=message.digest,
        validate_only=message.settings.validate_only,
    )


def _check_count(settings: ImportSettings, count: int) -> None:
    if settings.atomic and count > ATOMIC_LIMIT:
        description = f"has more than {ATOMIC_LIMIT} items: import them in mode PER_ITEM, or in several parts"
        raise InvalidRequestError((Violation(field="items", description=description),))
