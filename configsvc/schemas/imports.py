"""How many schemas come in at once: all in one commit or none, and nothing a second time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ulid import ULID

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import WriteConflictError
from configsvc.domain.models import Schema, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import ImportedSchema, NewDocument, SchemaImports
from configsvc.schemas.linking import linked
from configsvc.schemas.pinned import Snapshots
from configsvc.schemas.versions import Passed, check_changed, passed_by_pinned
from configsvc.storage import idempotency, log, pinned_configurations, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.schema_versions import Newest, NewVersion
from configsvc.writes.transactions import Writes

# Two imports at once would want the same schemas more often than not.
TURN = "import of schemas"
# What a call that is repeated finds in place of the id of a resource: whose place the version takes.
_COMMIT, _REVISION = "commit", "revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the import will make of what is there: the versions that are new, and of the schemas that have others
    already, those of which the pinned configurations have passed.
    """

    made: Mapping[SchemaVersionRef, NewDocument]
    passed: Mapping[str, Passed]


class SchemaImporter:
    def __init__(self, database: Database, writes: Writes, reads: Reads, snapshots: Snapshots) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads
        self._snapshots = snapshots

    async def run(self, imported: Sequence[ImportedSchema], *, strict: bool, context: WriteContext) -> SchemaImports:
        """Creates schemas with different names, or versions of those that exist, unless the newest has the document.

        Raises InvalidRequestError, SchemaVersionRefusedError, WriteConflictError, WriteTooLargeError,
        RequestIdReusedError, DatabaseUnavailableError or DatabaseBusyError.
        """
        documents = {schema.name: schema.new for schema in imported}
        plan = await self._prepared(documents, context, strict=strict)

        async def change(connection: Connection) -> Written:
            current = await schemas.lock_named(connection, list(documents))
            newest = await schema_versions.newest(connection, documents)
            made = _made(documents, newest)
            if not made:
                return Written(resource_id=_REVISION, version=await log.head(connection))
            if plan is None or made.keys() != plan.made.keys():
                raise WriteConflictError
            changed = [current[ref.schema] for ref in made if ref.schema in current]
            if strict and changed:
                await check_changed(connection, changed, plan.passed, self._snapshots.checks)
            await _write(
                connection, [schema for schema in imported if schema.name not in current], changed, made, context
            )
            if strict and changed:
                await pinned_configurations.move(connection, [ref for ref in made if ref.schema in current], context)
            return Written(resource_id=_COMMIT, version=await schema_versions.commit_id(connection))

        done = await self._writes.run_once(context, TURN, change, partial(_load, documents))
        self._reads.require(done.revision)
        return done

    async def _prepared(
        self, documents: Mapping[str, NewDocument], context: WriteContext, *, strict: bool
    ) -> Plan | None:
        """Does what takes long before anything is locked; None if the call was made before."""
        async with self._database.read() as connection:
            if await idempotency.is_done(connection, context):
                return None
            newest = await schema_versions.newest(connection, documents)
            made = _made(documents, newest)
            found = await linked(connection, list(made.values()), made) if made else []
        passed: dict[str, Passed] = {}
        if strict:
            changed = {ref.schema: one for ref, one in zip(made, found, strict=True) if ref.schema in newest}
            passed = await passed_by_pinned(self._snapshots, changed)
        return Plan(made=made, passed=passed)


def _made(documents: Mapping[str, NewDocument], newest: Mapping[str, Newest]) -> dict[SchemaVersionRef, NewDocument]:
    """The versions that are new, with their documents."""
    made: dict[SchemaVersionRef, NewDocument] = {}
    for name, new in documents.items():
        before = newest.get(name)
        if before is None or not before.is_same:
            made[SchemaVersionRef(schema=name, version=before.latest_version + 1 if before else 1)] = new
    return made


async def _write(
    connection: Connection,
    created: Sequence[ImportedSchema],
    changed: Iterable[Schema],
    made: Mapping[SchemaVersionRef, NewDocument],
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
    versions = [NewVersion(schema_id=ids[ref.schema], ref=ref, new=document) for ref, document in made.items()]
    await schema_versions.insert(connection, versions, context)


async def _load(documents: Mapping[str, NewDocument], connection: Connection, written: Written) -> SchemaImports:
    commit = written.version if written.resource_id == _COMMIT else None
    return await schema_versions.get_imported(connection, documents, commit, written.version)
