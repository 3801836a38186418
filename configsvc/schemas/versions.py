"""How a schema gets a new version, and what becomes of the configurations that are pinned to it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import ResourceNotFoundError, SchemaVersionRefusedError, WriteConflictError
from configsvc.domain.jsonschema.compatibility import incompatibilities
from configsvc.domain.models import Schema, SchemaRef, SchemaVersionRef, WriteContext, Written
from configsvc.domain.schema_versions import MAX_OFFENDERS, NewDocument, PinnedCheck, SchemaVersion, SchemaVersionCheck
from configsvc.domain.writes import check_version
from configsvc.schemas.linking import Linked, linked
from configsvc.schemas.pinned import Snapshots, check_pinned
from configsvc.schemas.use_cases import locked, turn
from configsvc.storage import idempotency, pinned_configurations, schema_versions, schemas
from configsvc.storage.database import Connection, Database
from configsvc.storage.schema_versions import NewVersion
from configsvc.validation.checks import ContentChecks
from configsvc.validation.compiled import Compiled
from configsvc.writes.transactions import Writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A document that every configuration satisfied that was pinned to its schema at a revision."""

    compiled: Compiled
    revision: int


class SchemaVersions:
    """Every method raises DatabaseUnavailableError or DatabaseBusyError."""

    def __init__(self, database: Database, writes: Writes, reads: Reads, snapshots: Snapshots) -> None:
        self._database = database
        self._writes = writes
        self._reads = reads
        self._snapshots = snapshots

    async def create(
        self, ref: SchemaRef, new: NewDocument, *, strict: bool, expected_version: int, context: WriteContext
    ) -> SchemaVersion:
        """The new version, or the newest if that has this document. With strict, all configurations that are pinned to
        the schema move to the new one.

        Raises ResourceNotFoundError, VersionMismatchError, InvalidRequestError, SchemaVersionRefusedError,
        WriteConflictError, WriteTooLargeError or RequestIdReusedError.
        """
        passed = await self._prepared(ref, new, strict=strict, expected_version=expected_version, context=context)

        async def change(connection: Connection) -> Written:
            current = await locked(connection, ref, expected_version)
            newest = await schema_versions.newest(connection, {current.name: new})
            if newest[current.name].is_same:
                return Written(resource_id=current.id, version=current.version)
            if strict:
                # Only what was the newest document, or done, a moment ago has not passed.
                await check_changed(
                    connection, [current], {current.name: passed} if passed else {}, self._snapshots.checks
                )
            return await _added(connection, current, new, context, strict=strict)

        load = partial(schema_versions.get_written, new)
        created = await self._writes.run_once(context, turn(ref), change, load)
        if strict:
            self._reads.require(created.revision)
        return created

    async def check(self, ref: SchemaRef, new: NewDocument) -> SchemaVersionCheck:
        """What the new version would do, at one revision. Raises ResourceNotFoundError or InvalidRequestError."""
        async with self._snapshots.take() as connection:
            newest = await schema_versions.get(connection, ref, 0)
            if newest is None:
                raise ResourceNotFoundError("schema", str(ref))
            (found,) = await linked(connection, (new,), {})
            compiled = await asyncio.to_thread(found.compiled)
            check = await check_pinned(connection, newest.schema, compiled, self._snapshots.checks)
        return await asyncio.to_thread(_compared, newest, new, check)

    async def _prepared(
        self, ref: SchemaRef, new: NewDocument, *, strict: bool, expected_version: int, context: WriteContext
    ) -> Passed | None:
        """Does what takes long before anything is locked."""
        async with self._database.read() as connection:
            if await idempotency.is_done(connection, context):
                return None
            current = await schemas.get(connection, ref)
            if current is None:
                raise ResourceNotFoundError("schema", str(ref))
            check_version(expected_version, current.version)
            (found,) = await linked(connection, (new,), {})
            newest = await schema_versions.newest(connection, {current.name: new})
        if not strict or current.name not in newest or newest[current.name].is_same:
            return None
        return (await passed_by_pinned(self._snapshots, {current.name: found}))[current.name]


async def passed_by_pinned(snapshots: Snapshots, documents: Mapping[str, Linked]) -> dict[str, Passed]:
    """Holds the documents against the configurations that are pinned to their schemas.

    Raises SchemaVersionRefusedError about all that are refused.
    """
    passed: dict[str, Passed] = {}
    refused: dict[str, PinnedCheck] = {}
    for schema, found in documents.items():
        compiled = await asyncio.to_thread(found.compiled)
        async with snapshots.take() as connection:
            check = await check_pinned(connection, schema, compiled, snapshots.checks)
        passed[schema] = Passed(compiled=compiled, revision=check.revision)
        refused[schema] = check
    _refuse(refused)
    return passed


async def check_changed(
    connection: Connection, changed: list[Schema], passed: Mapping[str, Passed], checks: ContentChecks
) -> None:
    """Keeps writers of pinned configurations away until the end of the transaction, and looks at what they have changed
    since the documents passed.

    Raises SchemaVersionRefusedError, or WriteConflictError if one has not passed.
    """
    if any(schema.name not in passed for schema in changed):
        raise WriteConflictError
    await schemas.close(connection, [schema.id for schema in changed])
    results = {
        schema.name: await check_pinned(
            connection,
            schema.name,
            passed[schema.name].compiled,
            checks,
            after_revision=passed[schema.name].revision,
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


async def _added(
    connection: Connection, current: Schema, new: NewDocument, context: WriteContext, *, strict: bool
) -> Written:
    (written,) = await schemas.advance(connection, (current.id,), context)
    ref = SchemaVersionRef(schema=current.name, version=current.latest_version + 1)
    await schema_versions.insert(connection, (NewVersion(schema_id=current.id, ref=ref, new=new),), context)
    if strict:
        await pinned_configurations.move(connection, (ref,), context)
    return written


def _compared(newest: SchemaVersion, new: NewDocument, check: PinnedCheck) -> SchemaVersionCheck:
    assert newest.document is not None
    return SchemaVersionCheck(
        pinned=check,
        incompatibilities=incompatibilities(json.loads(newest.document), new.document),
        additions=new.additions,
    )
