"""Migrations: configurations moved from one version of their schema to another, their contents transformed."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from configsvc.domain.content import encode_json
from configsvc.domain.errors import DatabaseBusyError, ResourceNotFoundError, WriteConflictError
from configsvc.domain.models import ApplicationRef, PinnedVersion, SchemaVersionRef, WriteContext
from configsvc.domain.operations import (
    BulkOperation,
    Failure,
    ItemChange,
    ItemError,
    MigrationSettings,
    OperationKind,
    OperationState,
    Outcome,
    progress_of,
)
from configsvc.domain.scope import Scope
from configsvc.offload.processes import ProcessPool
from configsvc.operations.checks import Unusable, load_documents
from configsvc.operations.staging import Staging
from configsvc.storage import applications, operations, schema_locks
from configsvc.storage import configuration_migrations as moves
from configsvc.storage.database import Connection, Database
from configsvc.storage.operations import Run, Slice
from configsvc.validation.pool_tasks import Transformation, Transformed, VersionDocuments, transformed_configs
from configsvc.writes.transactions import Writes, transaction

SLICE_ITEMS = 500
SLICE_BYTES = 4 * 1024 * 1024
# How often others may change what is being moved before it is given up.
ATTEMPTS = 10


class ChangedMeanwhileError(Exception):
    """A configuration is not what it was when its move was prepared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One migration that is being carried out."""

    operation: BulkOperation
    run: Run
    settings: MigrationSettings
    documents: VersionDocuments


class ConfigurationMigrations:
    """Moves configurations to another version of their schema."""

    def __init__(self, database: Database, writes: Writes, pool: ProcessPool) -> None:
        self._database = database
        self._writes = writes
        self._pool = pool

    async def start(
        self, settings: MigrationSettings, application: ApplicationRef | None, context: WriteContext
    ) -> BulkOperation:
        """Lets the operation begin. Version 0 to move to is the newest.

        Raises ResourceNotFoundError, RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
        """
        async with self._database.read() as connection:
            to = await _existing(connection, settings.to)
            if settings.from_version:
                await _existing(connection, replace(settings.to, version=settings.from_version))
            application_id = await _application_id(connection, application, context.scope)
        staging = Staging(self._database, self._writes, OperationKind.MIGRATE_CONFIGURATIONS)
        await staging.begin(asdict(replace(settings, to=to, application_id=application_id)), context)
        return await staging.submit(context)

    async def carry(self, operation: BulkOperation, run: Run) -> None:
        """Carries a migration out to its end. Raises WriteConflictError, WriteTooLargeError, DatabaseUnavailableError,
        DatabaseBusyError or RunLostError.
        """
        one = await self._prepared(operation, run)
        if one.settings.validate_only:
            await self._show(one)
        elif one.settings.valid_only:
            await self._move_by_slices(one)
        else:
            await self._move_as_one(one)

    async def _prepared(self, operation: BulkOperation, run: Run) -> Migration:
        settings = _settings(operation)
        async with self._database.operation() as connection, transaction(connection):
            if not operation.total:
                total = await moves.stage(connection, operation.id, settings)
                await operations.set_total(connection, run, total)
                operation = replace(operation, total=total)
            await operations.recount(connection, run)
            schemas = await schema_locks.look(connection, [settings.to.schema])
            if settings.to.schema not in schemas:
                raise WriteConflictError
            version = PinnedVersion(schema_id=schemas[settings.to.schema].id, ref=settings.to)
            documents = await load_documents(connection, version)
        if isinstance(documents, Unusable):
            raise WriteConflictError
        return Migration(operation=operation, run=run, settings=settings, documents=documents)

    async def _slices(self, one: Migration) -> AsyncGenerator[Slice]:
        after = -1
        while True:
            async with self._database.operation() as connection:
                places = await _next_slice(connection, one, after)
            if places is None:
                return
            yield places
            after = places.last

    async def _check(self, one: Migration, places: Slice) -> None:
        """Transforms what waits in a slice, and holds it against the schema."""
        async with self._database.operation() as connection:
            items = await moves.unchecked(connection, one.operation.id, places)
        transformation = _transformation(one.settings)
        found = await self._pool.call(
            transformed_configs, one.documents, transformation, [item.before for item in items]
        )
        checked = [
            _checked(one.settings, item.place, transformed) for item, transformed in zip(items, found, strict=True)
        ]
        if checked:
            async with self._database.operation() as connection:
                await moves.note_checked(connection, one.operation.id, checked, dry_run=one.settings.validate_only)

    async def _show(self, one: Migration) -> None:
        async for places in self._slices(one):
            await self._check(one, places)
            async with self._database.operation() as connection, transaction(connection):
                await moves.end_dry_run(connection, one.operation.id, places)
                await operations.recount(connection, one.run)
        await self._finish(one, OperationState.SUCCEEDED)

    async def _move_by_slices(self, one: Migration) -> None:
        async for places in self._slices(one):
            await self._move_slice(one, places)
        await self._finish(one, OperationState.SUCCEEDED)

    async def _move_slice(self, one: Migration, places: Slice) -> None:
        for _ in range(ATTEMPTS):
            await self._check(one, places)
            try:
                async with self._database.operation() as connection, transaction(connection):
                    await _move(connection, one, places)
                    await operations.recount(connection, one.run)
            except (ChangedMeanwhileError, WriteConflictError):
                await self._restage(one)
            else:
                return
        raise WriteConflictError

    async def _move_as_one(self, one: Migration) -> None:
        for _ in range(ATTEMPTS):
            async for places in self._slices(one):
                await self._check(one, places)
            async with self._database.operation() as connection:
                failed = await operations.recount(connection, one.run)
            if failed:
                await self._finish(one, OperationState.FAILED, Failure.ITEMS_FAILED)
                return
            try:
                await self._commit_all(one)
            except (ChangedMeanwhileError, WriteConflictError):
                await self._restage(one)
            else:
                return
        raise WriteConflictError

    async def _commit_all(self, one: Migration) -> None:
        async with self._database.operation() as connection, transaction(connection):
            after = -1
            while places := await _next_slice(connection, one, after):
                moved = await _move(connection, one, places)
                after = places.last
                # What is shown meanwhile is not worth beginning anew for: the count is made again below.
                with suppress(DatabaseBusyError, WriteConflictError):
                    async with self._database.write() as other:
                        await operations.advance(other, one.run, progress_of(moved))
            await operations.recount(connection, one.run)
            await operations.finish(connection, one.run, OperationState.SUCCEEDED)

    async def _restage(self, one: Migration) -> None:
        async with self._database.operation() as connection, transaction(connection):
            await moves.restage(connection, one.operation.id, one.settings)
            await operations.recount(connection, one.run)

    async def _finish(self, one: Migration, state: OperationState, failure: Failure | None = None) -> None:
        async with self._database.operation() as connection, transaction(connection):
            await operations.recount(connection, one.run)
            await operations.finish(connection, one.run, state, failure)


async def _move(connection: Connection, one: Migration, places: Slice) -> list[Outcome]:
    held = await schema_locks.share_or_wait(connection, [one.settings.to.schema])
    version = one.documents.version
    schema = held.get(version.ref.schema)
    # One that was deleted and made again has other documents.
    is_same = schema is not None and schema.id == version.schema_id
    if not is_same or not await moves.lock(connection, one.operation.id, places):
        raise ChangedMeanwhileError
    return await moves.move(connection, one.operation, places)


async def _next_slice(connection: Connection, one: Migration, after: int) -> Slice | None:
    return await operations.next_slice(
        connection, one.operation, after=after, limit=SLICE_ITEMS, limit_bytes=SLICE_BYTES
    )


def _checked(settings: MigrationSettings, place: int, found: Transformed) -> moves.CheckedItem:
    stays = found.is_same and settings.from_version == settings.to.version
    error = None
    if found.faults:
        error = ItemError.SCHEMA_VIOLATED if found.violates else ItemError.INVALID
    return moves.CheckedItem(
        place=place,
        config=found.config,
        change=None if error or stays else ItemChange.UPDATED,
        error=error,
        faults=found.faults,
    )


def _transformation(settings: MigrationSettings) -> Transformation:
    patch = settings.json_patch
    text = encode_json([*patch]) if patch is not None else None
    return Transformation(json_patch=text, merge_patch=settings.merge_patch)


def _settings(operation: BulkOperation) -> MigrationSettings:
    stored: dict[str, Any] = dict(operation.settings)
    stored["to"] = SchemaVersionRef(**stored["to"])
    return MigrationSettings(**stored)


async def _existing(connection: Connection, ref: SchemaVersionRef) -> SchemaVersionRef:
    """The version, with its number. Raises ResourceNotFoundError."""
    schemas = await schema_locks.look(connection, [ref.schema])
    if ref.schema not in schemas:
        raise ResourceNotFoundError("schema", ref.schema)
    latest = schemas[ref.schema].latest_version
    if ref.version > latest:
        raise ResourceNotFoundError("schema version", str(ref))
    return replace(ref, version=ref.version or latest)


async def _application_id(connection: Connection, ref: ApplicationRef | None, scope: Scope) -> str | None:
    if ref is None:
        return None
    application = await applications.get(connection, ref)
    if application is None or not scope.includes(application.id):
        raise ResourceNotFoundError("application", str(ref))
    return application.id
