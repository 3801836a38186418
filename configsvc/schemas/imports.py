"""Imports of schemas: all in one commit or none; a repeated import changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ulid import ULID

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import WriteConflictError
from configsvc.domain.models import Done, Effect, Schema, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import ImportedSchema, NewDocument, SchemaImports
from configsvc.schemas.linking import link
from configsvc.schemas.pinned import SnapshotReads
from configsvc.schemas.versions import Prechecked, precheck, recheck
from configsvc.storage import idempotency, log, pinned_configurations, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.schema_versions import Newest, NewVersion
from configsvc.writes.transactions import Writes

# One queue for all imports: they usually have schemas in common.
SUBJECT = "import of schemas"
# Stored with the request_id instead of a resource's id, where the version is a commit's id or a revision.
_COMMIT, _REVISION = "commit", "revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """The versions that the import will create, and the prechecks of existing schemas that get one."""

    new_versions: Mapping[SchemaVersionRef, NewDocument]
    prechecked: Mapping[str, Prechecked]


class SchemaImporter:
    def __init__(self, database: Database, writes: Writes, reads: Reads, snapshots: SnapshotReads) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads
        self._snapshots = snapshots

    async def run(
        self, imported: Sequence[ImportedSchema], *, strict: bool, context: WriteContext
    ) -> Done[SchemaImports]:
        """Create schemas, or new versions of existing ones unless the newest has the document. Names are unique.

        Raises InvalidRequestError, SchemaVersionRefusedError, WriteConflictError, WriteTooLargeError,
        RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
        """
        documents = {schema.name: schema.new for schema in imported}
        plan = await self._prepare(documents, context, strict=strict)

        async def change(connection: Connection) -> Effect:
            current = await schemas.lock_named(connection, list(documents))
            newest = await schema_versions.newest(connection, documents)
            new_versions = _new_versions(documents, newest)
            if not new_versions:
                head = await log.head(connection)
                return Effect(written=Written(resource_id=_REVISION, version=head), changed=False)
            if plan is None or new_versions.keys() != plan.new_versions.keys():
                raise WriteConflictError
            changed = [current[ref.schema] for ref in new_versions if ref.schema in current]
            if strict and changed:
                await recheck(connection, changed, plan.prechecked, self._snapshots.checks)
            created = [schema for schema in imported if schema.name not in current]
            await _write(connection, created, changed, new_versions, context)
            if strict and changed:
                moved = [ref for ref in new_versions if ref.schema in current]
                await pinned_configurations.move(connection, moved, context)
            commit_id = await schema_versions.commit_id(connection)
            return Effect(written=Written(resource_id=_COMMIT, version=commit_id), changed=True)

        done = await self._writes.run_once(context, SUBJECT, change, partial(_load, documents))
        self._reads.require(done.result.revision)
        return done

    async def _prepare(
        self, documents: Mapping[str, NewDocument], context: WriteContext, *, strict: bool
    ) -> ImportPlan | None:
        """Do the slow part before anything is locked; return None if an earlier call did the import."""
        async with self._database.read() as connection:
            if await idempotency.is_done(connection, context):
                return None
            newest = await schema_versions.newest(connection, documents)
            new_versions = _new_versions(documents, newest)
            found = await link(connection, list(new_versions.values()), new_versions) if new_versions else []
        prechecked: dict[str, Prechecked] = {}
        if strict:
            changed = {ref.schema: one for ref, one in zip(new_versions, found, strict=True) if ref.schema in newest}
            prechecked = await precheck(self._snapshots, changed)
        return ImportPlan(new_versions=new_versions, prechecked=prechecked)


def _new_versions(
    documents: Mapping[str, NewDocument], newest: Mapping[str, Newest]
) -> dict[SchemaVersionRef, NewDocument]:
    """Return the versions to create, with their documents."""
    new_versions: dict[SchemaVersionRef, NewDocument] = {}
    for name, new in documents.items():
        before = newest.get(name)
        if before is None or not before.is_same:
            new_versions[SchemaVersionRef(schema=name, version=before.latest_version + 1 if before else 1)] = new
    return new_versions


async def _write(
    connection: Connection,
    created: Sequence[ImportedSchema],
    changed: Iterable[Schema],
    new_versions: Mapping[SchemaVersionRef, NewDocument],
    context: WriteContext,
) -> None:
    ids = {schema.name: schema.id for schema in changed}
    if ids:
        await schemas.advance(connection, ids.values(), context)
    if created:
        new = [(str(ULID()), schema.name, schema.comments) for schema in created]
        inserted = await schemas.insert(connection, new, context)
        if len(inserted) < len(new):
            raise WriteConflictError
        ids |= {name: schema_id for schema_id, name, _ in new}
    versions = [NewVersion(schema_id=ids[ref.schema], ref=ref, new=document) for ref, document in new_versions.items()]
    await schema_versions.insert(connection, versions, context)


async def _load(documents: Mapping[str, NewDocument], connection: Connection, written: Written) -> SchemaImports:
    commit = written.version if written.resource_id == _COMMIT else None
    return await schema_versions.get_imported(connection, documents, commit, written.version)
