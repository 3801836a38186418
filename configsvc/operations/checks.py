"""Validate staged items against the schemas that they pin to, in another process."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from configsvc.domain.models import PinnedVersion, SchemaVersionRef
from configsvc.domain.operations import ItemError, ItemFault, Outcome
from configsvc.domain.writes import PinnedSchema
from configsvc.offload.processes import ProcessPool
from configsvc.storage import operations, schema_locks
from configsvc.storage.database import Connection, Database
from configsvc.storage.operations import Slice, WaitingItem
from configsvc.validation.compiled import DOCUMENTS_BYTES_LIMIT, DOCUMENTS_LIMIT
from configsvc.validation.pool_tasks import VersionDocuments, faults_of_configs

Answer = TypeVar("Answer")

_TOO_LARGE = ItemFault(
    field="schema", keyword="", message="refers to too many versions, or to versions that are too large"
)


UNREADABLE_CONFIG = ItemFault(
    field="config", keyword="", message="is damaged in the database and cannot be read: an operator has to repair it"
)

_UNREADABLE = ItemFault(
    field="schema", keyword="", message="is damaged in the database and cannot be read: an operator has to repair it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """The error for items that pin to an unusable version."""

    error: ItemError
    faults: tuple[ItemFault, ...] = ()


async def check_slice(
    database: Database, pool: ProcessPool, operation_id: str, span: Slice
) -> Mapping[str, PinnedSchema]:
    """Fail the waiting items of a slice that violate their schemas; return the schemas as they were meanwhile."""
    async with database.operation() as connection:
        items = await operations.pinned(connection, operation_id, span)
        schemas = await schema_locks.look(connection, {item.schema.schema for item in items})
    by_version: defaultdict[SchemaVersionRef, list[WaitingItem]] = defaultdict(list)
    for item in items:
        by_version[_resolve(item.schema, schemas)].append(item)
    failed: list[Outcome] = []
    for ref, group in by_version.items():
        failed += await _faults_of_group(database, pool, ref, schemas, group)
    if failed:
        async with database.operation() as connection:
            await operations.fail_items(connection, operation_id, failed)
    return schemas


def _resolve(ref: SchemaVersionRef, schemas: Mapping[str, PinnedSchema]) -> SchemaVersionRef:
    schema = schemas.get(ref.schema)
    return SchemaVersionRef(schema=ref.schema, version=ref.version or (schema.latest_version if schema else 0))


async def _faults_of_group(
    database: Database,
    pool: ProcessPool,
    ref: SchemaVersionRef,
    schemas: Mapping[str, PinnedSchema],
    group: Sequence[WaitingItem],
) -> list[Outcome]:
    schema = schemas.get(ref.schema)
    if schema is None:
        return [Outcome(index=item.index, error=ItemError.SCHEMA_NOT_FOUND) for item in group]
    async with database.operation() as connection:
        documents = await load_documents(connection, PinnedVersion(schema_id=schema.id, ref=ref))
    if isinstance(documents, Unusable):
        return [Outcome(index=item.index, error=documents.error, faults=documents.faults) for item in group]
    configs = {item.index: item.config for item in group if item.config is not None}
    faults = await call_for_all(pool, list(configs.values()), faults_of_configs, documents)
    return [
        Outcome(index=index, error=ItemError.SCHEMA_VIOLATED, faults=found)
        for index, found in zip(configs, faults, strict=True)
        if found
    ] + [
        Outcome(index=item.index, error=ItemError.INVALID, faults=(UNREADABLE_CONFIG,))
        for item in group
        if item.config is None
    ]


async def call_for_all(
    pool: ProcessPool, configs: Sequence[str], function: Callable[..., list[Answer]], *arguments: object
) -> list[Answer]:
    """Return the answers of a function for all configs, which it gives for some at a time."""
    answers: list[Answer] = []
    while len(answers) < len(configs):
        answers += await pool.call(function, *arguments, configs[len(answers) :])
    return answers


async def load_documents(connection: Connection, version: PinnedVersion) -> VersionDocuments | Unusable:
    """Return the document of a version, with everything that it refers to."""
    found = await schema_locks.documents(
        connection, [version.ref], limit=DOCUMENTS_LIMIT, limit_bytes=DOCUMENTS_BYTES_LIMIT
    )
    documents = found.get(version.ref)
    if documents is None:
        return Unusable(error=ItemError.SCHEMA_NOT_FOUND)
    if documents.unreadable is not None:
        return Unusable(error=ItemError.INVALID, faults=(_UNREADABLE,))
    if documents.document is None:
        return Unusable(error=ItemError.INVALID, faults=(_TOO_LARGE,))
    return VersionDocuments(version=version, document=documents.document, referenced=documents.referenced)
