"""A cache of compiled schema versions, bounded by number and by memory."""

import asyncio
import pickle
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import InvalidRequestError, RecordUnreadableError, ResourceNotFoundError, Violation
from configsvc.domain.jsonschema.linked import UnusableSchemaError
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import PinnedVersion, SchemaVersionRef
from configsvc.storage import schema_locks
from configsvc.storage.database import Connection
from configsvc.telemetry.families import Families, counter, gauge

COUNT_LIMIT = 1000
# Of documents as JSON text; compiled, they take several times as much memory.
BYTES_LIMIT = 16 * 1024 * 1024
# Of one version, with everything that it refers to.
DOCUMENTS_LIMIT = 256
DOCUMENTS_BYTES_LIMIT = 8 * 1024 * 1024

# Larger documents are compiled in a thread.
BYTES_COMPILED_AT_ONCE = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledSchema:
    """A validator, and its documents pickled for another process. bytes: size of the documents as JSON text."""

    validator: Validator
    documents: bytes
    bytes: int


CompiledOrError = CompiledSchema | InvalidRequestError | RecordUnreadableError | ResourceNotFoundError


def compile_schema(
    document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject], size: int
) -> CompiledSchema:
    """Compile a document, which takes milliseconds, tens of them if it is large. Raises UnusableSchemaError."""
    documents = pickle.dumps((document, referenced))
    return CompiledSchema(validator=Validator(document, referenced), documents=documents, bytes=size)


class ValidatorCache:
    """The least-recently-used cache of compiled schema versions. Versions never change, so entries never expire."""

    def __init__(self) -> None:
        self.hits = self.misses = 0
        self._compiled: BoundedCache[PinnedVersion, CompiledSchema] = BoundedCache(
            limit_count=COUNT_LIMIT, limit_bytes=BYTES_LIMIT, size_of=_bytes
        )

    def __len__(self) -> int:
        return len(self._compiled)

    def collect(self) -> Families:
        """Yield the metrics of the cache."""
        yield counter("validator_hits", "Validators found in memory.", self.hits)
        yield counter("validator_misses", "Validators that had to be compiled.", self.misses)
        yield gauge("validators", "Validators in memory.", len(self))
        yield gauge(
            "validator_document_bytes", "JSON text of the documents they are compiled from.", self._compiled.bytes
        )

    async def get(
        self, connection: Connection, versions: Collection[PinnedVersion]
    ) -> dict[PinnedVersion, CompiledOrError]:
        """Return the compiled versions, or errors for those that cannot be used. The caller has locked their schemas,
        or does not depend on their existence.
        """
        known = {version: found for version in versions if (found := self._compiled.get(version))}
        missing = [version for version in versions if version not in known]
        self.hits += len(known)
        self.misses += len(missing)
        return known | await self._load(connection, missing) if missing else dict(known)

    async def _load(
        self, connection: Connection, missing: Collection[PinnedVersion]
    ) -> dict[PinnedVersion, CompiledOrError]:
        refs = [version.ref for version in missing]
        found = await schema_locks.documents(connection, refs, limit=DOCUMENTS_LIMIT, limit_bytes=DOCUMENTS_BYTES_LIMIT)
        return {version: await self._compile(version, found.get(version.ref)) for version in missing}

    async def _compile(self, version: PinnedVersion, found: schema_locks.Documents | None) -> CompiledOrError:
        if found is None:
            return ResourceNotFoundError("schema version", str(version.ref))
        if found.unreadable is not None:
            return found.unreadable
        if found.document is None:
            return _too_large(version)
        try:
            parts = (found.document, found.referenced, found.bytes)
            at_once = found.bytes <= BYTES_COMPILED_AT_ONCE
            compiled = compile_schema(*parts) if at_once else await asyncio.to_thread(compile_schema, *parts)
        except UnusableSchemaError as error:
            return _unusable(version, error)
        self._compiled.put(version, compiled)
        return compiled


def _bytes(_: PinnedVersion, compiled: CompiledSchema) -> int:
    return compiled.bytes


def _unusable(version: PinnedVersion, error: UnusableSchemaError) -> InvalidRequestError:
    description = f"is pinned to {version.ref}, which cannot be used for validation: {error}"
    return InvalidRequestError((Violation(field="schema", description=description),))


def _too_large(version: PinnedVersion) -> InvalidRequestError:
    description = (
        f"is pinned to {version.ref}, which refers to more than {DOCUMENTS_LIMIT} versions, or to more than "
        f"{DOCUMENTS_BYTES_LIMIT} bytes of them"
    )
    return InvalidRequestError((Violation(field="schema", description=description),))
