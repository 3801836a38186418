"""Migrations: move configurations to another version of their schema, and transform their contents."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from configsvc.domain.content import encode_json
from configsvc.domain.errors import ResourceNotFoundError, WriteConflictError
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
)
from configsvc.domain.scope import Scope
from configsvc.offload.processes import ProcessPool
from configsvc.operations.checks import UNREADABLE_CONFIG, Unusable, call_for_all, load_documents
from configsvc.operations.slices import finish, slices, write_all
from configsvc.operations.staging import Staging
from configsvc.storage import applications, operations, schema_locks
from configsvc.storage import configuration_migrations as moves
from configsvc.storage.database import Connection, Database
from configsvc.storage.operations import Run, Slice
from configsvc.validation.pool_tasks import Transformation, Transformed, VersionDocuments, transformed_configs
from configsvc.writes.transactions import Writes, transaction

# Attempts when others change what is being moved.
ATTEMPTS = 10


_UNREADABLE = Transformed(config=None, faults=(UNREADABLE_CONFIG,), is_same=False, violates=False)


class ChangedMeanwhileError(Exception):
    """A configuration changed since its move was prepared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationJob:
    operation: BulkOperation
    run: Run
    settings: MigrationSettings
    documents: VersionDocuments


class ConfigurationMigrations:
    """Migrations of configurations to another version of their schema."""

    def __init__(self, database: Database, writes: Writes, pool: ProcessPool) -> None:
        self._database = database
        self._writes = writes
        self._pool = pool

    async def start(
        self, settings: MigrationSettings, application: ApplicationRef | None, context: WriteContext
    ) -> BulkOperation:
        """Submit a migration. Target version 0 is the newest.

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

    async def execute(self, operation: BulkOperation, run: Run) -> None:
        """Run a migration to its end.

        Raises WriteConflictError, WriteTooLargeError, DatabaseUnavailableError, DatabaseBusyError or RunLostError.
        """
        job = await self._prepare(operation, run)
        if job.settings.validate_only:
            await self._dry_run(job)
        elif job.settings.valid_only:
            await self._move_by_slices(job)
        else:
            await self._move_atomically(job)

    async def _prepare(self, operation: BulkOperation, run: Run) -> MigrationJob:
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
        return MigrationJob(operation=operation, run=run, settings=settings, documents=documents)

    async def _check(self, job: MigrationJob, span: Slice) -> None:
        """Transform the waiting items of a slice, and validate them against the schema."""
        async with self._database.operation() as connection:
            items = await moves.unchecked(connection, job.operation.id, span)
        transformation = _transformation(job.settings)
        configs = {item.index: item.before for item in items if item.before is not None}
        texts = list(configs.values())
        found = await call_for_all(self._pool, texts, transformed_configs, job.documents, transformation)
        checked = [_checked(job.settings, index, one) for index, one in zip(configs, found, strict=True)]
        checked += [_checked(job.settings, item.index, _UNREADABLE) for item in items if item.before is None]
        if checked:
            async with self._database.operation() as connection:
                await moves.note_checked(connection, job.operation.id, checked, dry_run=job.settings.validate_only)

    async def _dry_run(self, job: MigrationJob) -> None:
        async for span in slices(self._database, job.operation):
            await self._check(job, span)
            async with self._database.operation() as connection, transaction(connection):
                await moves.end_dry_run(connection, job.operation.id, span)
                await operations.recount(connection, job.run)
        await finish(self._database, job.run, OperationState.SUCCEEDED)

    async def _move_by_slices(self, job: MigrationJob) -> None:
        async for span in slices(self._database, job.operation):
            await self._move_slice(job, span)
        await finish(self._database, job.run, OperationState.SUCCEEDED)

    async def _move_slice(self, job: MigrationJob, span: Slice) -> None:
        for _ in range(ATTEMPTS):
            await self._check(job, span)
            try:
                async with self._database.operation() as connection, transaction(connection):
                    await _move(connection, job, span)
                    await operations.recount(connection, job.run)
            except (ChangedMeanwhileError, WriteConflictError):
                await self._restage(job)
            else:
                return
        raise WriteConflictError

    async def _move_atomically(self, job: MigrationJob) -> None:
        for _ in range(ATTEMPTS):
            async for span in slices(self._database, job.operation):
                await self._check(job, span)
            async with self._database.operation() as connection:
                failed = await operations.recount(connection, job.run)
            if failed:
                await finish(self._database, job.run, OperationState.FAILED, Failure.ITEMS_FAILED)
                return
            try:
                await self._commit_all(job)
            except (ChangedMeanwhileError, WriteConflictError):
                await self._restage(job)
            else:
                return
        raise WriteConflictError

    async def _commit_all(self, job: MigrationJob) -> None:
        async with self._database.operation() as connection, transaction(connection):
            await write_all(self._database, connection, job.operation, job.run, partial(_move, connection, job))
            await operations.recount(connection, job.run)
            await operations.finish(connection, job.run, OperationState.SUCCEEDED)

    async def _restage(self, job: MigrationJob) -> None:
        async with self._database.operation() as connection, transaction(connection):
            await moves.restage(connection, job.operation.id, job.settings)
            await operations.recount(connection, job.run)


async def _move(connection: Connection, job: MigrationJob, span: Slice) -> list[Outcome]:
    locked = await schema_locks.share_or_wait(connection, [job.settings.to.schema])
    version = job.documents.version
    schema = locked.get(version.ref.schema)
    # A schema that was deleted and created again has other documents.
    is_same = schema is not None and schema.id == version.schema_id
    if not is_same or not await moves.lock(connection, job.operation.id, span):
        raise ChangedMeanwhileError
    return await moves.move(connection, job.operation, span)


def _checked(settings: MigrationSettings, index: int, found: Transformed) -> moves.CheckedItem:
    stays = found.is_same and settings.from_version == settings.to.version
    error = None
    if found.faults:
        error = ItemError.SCHEMA_VIOLATED if found.violates else ItemError.INVALID
    return moves.CheckedItem(
        index=index,
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
    """Return the version with its number resolved. Raises ResourceNotFoundError."""
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
