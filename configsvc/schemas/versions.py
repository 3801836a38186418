"""New versions of schemas, and the configurations that are pinned to them.

A strict version is checked against all pinned configurations before anything is locked (precheck), and against those
that changed since, under the locks (recheck).
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import ResourceNotFoundError, SchemaVersionRefusedError, WriteConflictError
from configsvc.domain.expectations import Expectation
from configsvc.domain.jsonschema.compatibility import incompatibilities
from configsvc.domain.models import Done, Effect, Moment, Schema, SchemaRef, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import MAX_OFFENDERS, NewDocument, PinnedCheck, SchemaVersion, SchemaVersionCheck
from configsvc.schemas.linking import LinkedDocument, link
from configsvc.schemas.pinned import SnapshotReads, check_pinned
from configsvc.schemas.use_cases import lock_schema, require_schema, subject_of
from configsvc.storage import idempotency, pinned_configurations, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.moments import revision_of
from configsvc.storage.schema_versions import NewVersion
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import CompiledSchema
from configsvc.writes.transactions import Writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prechecked:
    """A document that all configurations satisfied that were pinned to its schema at a revision."""

    compiled: CompiledSchema
    revision: int


class SchemaVersions:
    """Versions of schemas. Every method raises DatabaseUnavailableError or DatabaseBusyError."""

    def __init__(self, database: Database, writes: Writes, reads: Reads, snapshots: SnapshotReads) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads
        self._snapshots = snapshots

    async def create(
        self, ref: SchemaRef, new: NewDocument, *, strict: bool, expected: Expectation, context: WriteContext
    ) -> Done[SchemaVersion]:
        """Return the new version, or the newest if that has this document. With strict, all configurations that are
        pinned to the schema move to the new version.

        Raises ResourceNotFoundError, VersionMismatchError, InvalidRequestError, SchemaVersionRefusedError,
        WriteConflictError, WriteTooLargeError or RequestIdReusedError.
        """
        prechecked = await self._prepare(ref, new, strict=strict, expected=expected, context=context)

        async def change(connection: Connection) -> Effect:
            current = require_schema(await lock_schema(connection, ref, expected), ref)
            newest = await schema_versions.newest(connection, {current.name: new})
            if newest[current.name].is_same:
                return Effect(written=Written(resource_id=current.id, version=current.version), changed=False)
            if strict:
                # There was no precheck if the document was the newest, or the call was done, a moment ago.
                await recheck(
                    connection, [current], {current.name: prechecked} if prechecked else {}, self._snapshots.checks
                )
            added = await _add(connection, current, new, context, strict=strict)
            return Effect(written=added, changed=True)

        load = partial(schema_versions.get_written, new)
        created = await self._writes.run_once(context, subject_of(ref), change, load)
        if strict:
            self._reads.require(created.result.revision)
        return created

    async def check(self, ref: SchemaRef, new: NewDocument, moment: Moment) -> SchemaVersionCheck:
        """Return the effects of a new version, at one revision.

        Raises ResourceNotFoundError, RevisionUnknownError or InvalidRequestError.
        """
        async with self._snapshots.open() as connection:
            await revision_of(connection, moment)
            newest, _ = await schema_versions.get(connection, ref, 0)
            if newest is None:
                raise ResourceNotFoundError("schema", str(ref))
            (found,) = await link(connection, (new,), {})
            compiled = await asyncio.to_thread(found.compile)
            check = await check_pinned(connection, newest.schema, compiled, self._snapshots.checks)
        return await asyncio.to_thread(_compare, newest, new, check)

    async def _prepare(
        self, ref: SchemaRef, new: NewDocument, *, strict: bool, expected: Expectation, context: WriteContext
    ) -> Prechecked | None:
        """Do the slow part before anything is locked."""
        async with self._database.read() as connection:
            if await idempotency.is_done(connection, context):
                return None
            current = require_schema(await schemas.get(connection, ref), ref)
            expected.check_version(current.version)
            expected.check_etag(current.etag, current.version)
            (found,) = await link(connection, (new,), {})
            newest = await schema_versions.newest(connection, {current.name: new})
        if not strict or current.name not in newest or newest[current.name].is_same:
            return None
        return (await precheck(self._snapshots, {current.name: found}))[current.name]


async def precheck(snapshots: SnapshotReads, documents: Mapping[str, LinkedDocument]) -> dict[str, Prechecked]:
    """Check the documents against the configurations that are pinned to their schemas.

    Raises SchemaVersionRefusedError for all documents that fail.
    """
    prechecked: dict[str, Prechecked] = {}
    refused: dict[str, PinnedCheck] = {}
    for schema, found in documents.items():
        compiled = await asyncio.to_thread(found.compile)
        async with snapshots.open() as connection:
            check = await check_pinned(connection, schema, compiled, snapshots.checks)
        prechecked[schema] = Prechecked(compiled=compiled, revision=check.revision)
        refused[schema] = check
    _refuse(refused)
    return prechecked


async def recheck(
    connection: Connection, changed: list[Schema], prechecked: Mapping[str, Prechecked], checks: Checks
) -> None:
    """Block writes of pinned configurations until the end of the transaction, and check those that changed since the
    precheck.

    Raises SchemaVersionRefusedError, or WriteConflictError for a schema without a precheck.
    """
    if any(schema.name not in prechecked for schema in changed):
        raise WriteConflictError
    await schemas.close(connection, [schema.id for schema in changed])
    results = {
        schema.name: await check_pinned(
            connection,
            schema.name,
            prechecked[schema.name].compiled,
            checks,
            after_revision=prechecked[schema.name].revision,
        )
        for schema in changed
    }
    _refuse(results)


def _refuse(checks: Mapping[str, PinnedCheck]) -> None:
    refused = {schema: check for schema, check in checks.items() if check.offender_count}
    if refused:
        raise SchemaVersionRefusedError(
            schema=", ".join(refused),
            offenders=tuple(str(offender) for check in refused.values() for offender in check.offenders)[
                :MAX_OFFENDERS
            ],
            count=sum(check.offender_count for check in refused.values()),
        )


async def _add(
    connection: Connection, current: Schema, new: NewDocument, context: WriteContext, *, strict: bool
) -> Written:
    (written,) = await schemas.advance(connection, (current.id,), context)
    ref = SchemaVersionRef(schema=current.name, version=current.latest_version + 1)
    await schema_versions.insert(connection, (NewVersion(schema_id=current.id, ref=ref, new=new),), context)
    if strict:
        await pinned_configurations.move(connection, (ref,), context)
    return written


def _compare(newest: SchemaVersion, new: NewDocument, check: PinnedCheck) -> SchemaVersionCheck:
    assert newest.document is not None
    return SchemaVersionCheck(
        pinned=check,
        incompatibilities=incompatibilities(json.loads(newest.document), new.document),
        additions=new.additions,
    )
