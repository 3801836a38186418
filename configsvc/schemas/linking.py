"""Resolve references from new documents to stored versions."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from configsvc.domain.content import JsonObject
from configsvc.domain.errors import Violations
from configsvc.domain.jsonschema.linked import UnusableSchemaError
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.schema_versions import NewDocument
from configsvc.storage import schema_versions
from configsvc.storage.database import Connection
from configsvc.storage.schema_versions import StoredDocument
from configsvc.validation.compiled import CompiledSchema, compile_schema

# Of one document, directly or not: each write of a pinned configuration may have to read and compile all of them.
REFERENCED_LIMIT = 200
REFERENCED_LIMIT_BYTES = 4 * 1024 * 1024
# Of all documents of one call.
LOADED_LIMIT = 4000
LOADED_LIMIT_BYTES = 16 * 1024 * 1024

NewVersions = Mapping[SchemaVersionRef, NewDocument]
Stored = Mapping[SchemaVersionRef, StoredDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDocument:
    """A document with everything that it refers to, directly or not."""

    new: NewDocument
    referenced: Mapping[SchemaVersionRef, JsonObject]

    def compile(self) -> CompiledSchema:
        """Compile the document, which takes milliseconds, tens of them if it is large. Raises UnusableSchemaError."""
        return compile_schema(self.new.document, self.referenced, len(self.new.text))


async def link(connection: Connection, new: Sequence[NewDocument], new_versions: NewVersions) -> list[LinkedDocument]:
    """Return the documents with what they refer to: stored versions, or versions that the call will create.

    Raises InvalidRequestError with every fault.
    """
    violations = Violations()
    outside = {ref for document in new for ref in document.references if ref not in new_versions}
    stored = await schema_versions.documents(connection, outside, limit=LOADED_LIMIT, limit_bytes=LOADED_LIMIT_BYTES)
    if stored is None:
        violations.add(new[0].field, f"refers to more than {LOADED_LIMIT_BYTES} bytes of stored versions, in total")
        violations.check()
    found = await asyncio.to_thread(_link_all, new, new_versions, stored or {}, violations)
    violations.check()
    return found


def _link_all(
    new: Sequence[NewDocument], new_versions: NewVersions, stored: Stored, violations: Violations
) -> list[LinkedDocument]:
    _check_order(new_versions, violations)
    if violations:
        return []
    return [_link(document, new_versions, stored, violations) for document in new]


def _check_order(new_versions: NewVersions, violations: Violations) -> None:
    """Add a fault if versions refer to one another in a cycle: none of their schemas could ever be deleted."""
    sorter = TopologicalSorter(
        {ref: document.references.keys() & new_versions.keys() for ref, document in new_versions.items()}
    )
    try:
        sorter.prepare()
    except CycleError as error:
        # Each refers to the one before it.
        cycle: list[SchemaVersionRef] = error.args[1]
        document, referenced = new_versions[cycle[1]], cycle[0]
        names = ", ".join(map(str, cycle[:5]))
        violations.add(f"{document.field}{document.references[referenced]}", f"creates a cycle of references: {names}")


def _link(new: NewDocument, new_versions: NewVersions, stored: Stored, violations: Violations) -> LinkedDocument:
    missing = [ref for ref in new.references if ref not in new_versions and ref not in stored]
    for ref in missing:
        violations.add(f"{new.field}{new.references[ref]}", f"refers to schema version {ref}, which does not exist")
    referenced = dict(_reached(new, new_versions, stored))
    found = LinkedDocument(new=new, referenced={ref: document for ref, (document, _) in referenced.items()})
    if len(referenced) > REFERENCED_LIMIT or sum(size for _, size in referenced.values()) > REFERENCED_LIMIT_BYTES:
        limits = f"{REFERENCED_LIMIT} versions and {REFERENCED_LIMIT_BYTES} bytes of them are allowed"
        violations.add(new.field, f"refers to too many versions, directly or indirectly: at most {limits}")
    elif referenced and not missing:
        _check_usable(found, violations)
    return found


def _check_usable(found: LinkedDocument, violations: Violations) -> None:
    """Add a fault if the document cannot be compiled. One without references was checked when it was parsed."""
    try:
        found.compile()
    except UnusableSchemaError as error:
        violations.add(f"{found.new.field}{error.pointer}", error.message)


def _reached(
    new: NewDocument, new_versions: NewVersions, stored: Stored
) -> Iterator[tuple[SchemaVersionRef, tuple[JsonObject, int]]]:
    """Yield the versions that a document refers to, directly or not, each with its document and its size in bytes."""
    waiting, seen = list(new.references), set[SchemaVersionRef]()
    while waiting:
        ref = waiting.pop()
        if ref in seen:
            continue
        seen.add(ref)
        if ref in new_versions:
            yield ref, (new_versions[ref].document, len(new_versions[ref].text))
            waiting += new_versions[ref].references
        elif ref in stored:
            yield ref, (json.loads(stored[ref].text), len(stored[ref].text))
            waiting += stored[ref].references
