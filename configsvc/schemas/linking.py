"""New documents brought together with the stored versions that they refer to."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from configsvc.domain.content import JsonObject
from configsvc.domain.errors import Violations
from configsvc.domain.jsonschema.compiled import UnusableSchemaError
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.schema_versions import NewDocument
from configsvc.storage import schema_versions
from configsvc.storage.database import Connection
from configsvc.storage.schema_versions import StoredDocument
from configsvc.validation.compiled import Compiled, compiled

# Of one document, directly or not: whoever writes a configuration has to read and compile all of them.
REFERENCED_LIMIT = 200
REFERENCED_LIMIT_BYTES = 4 * 1024 * 1024
# Of all documents of one call.
LOADED_LIMIT = 4000
LOADED_LIMIT_BYTES = 16 * 1024 * 1024

Made = Mapping[SchemaVersionRef, NewDocument]
Stored = Mapping[SchemaVersionRef, StoredDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A document with all that it refers to, directly or not."""

    new: NewDocument
    referenced: Mapping[SchemaVersionRef, JsonObject]

    def compiled(self) -> Compiled:
        """Takes milliseconds, and for a large document tens of them. Raises UnusableSchemaError."""
        return compiled(self.new.document, self.referenced, len(self.new.text))


async def linked(connection: Connection, new: Sequence[NewDocument], made: Made) -> list[Linked]:
    """The documents with what they refer to: stored versions, or versions that the call will have made.

    Raises InvalidRequestError with every fault.
    """
    violations = Violations()
    outside = {ref for document in new for ref in document.references if ref not in made}
    stored = await schema_versions.documents(connection, outside, limit=LOADED_LIMIT, limit_bytes=LOADED_LIMIT_BYTES)
    if stored is None:
        violations.add(new[0].field, f"refers to more than {LOADED_LIMIT_BYTES} bytes of stored versions, all told")
        violations.check()
    found = await asyncio.to_thread(_linked, new, made, stored or {}, violations)
    violations.check()
    return found


def _linked(new: Sequence[NewDocument], made: Made, stored: Stored, violations: Violations) -> list[Linked]:
    _check_order(made, violations)
    if violations:
        return []
    return [_linked_one(document, made, stored, violations) for document in new]


def _check_order(made: Made, violations: Violations) -> None:
    """Adds a fault if versions refer to one another in a circle: none of their schemas could ever be deleted."""
    sorter = TopologicalSorter({ref: document.references.keys() & made.keys() for ref, document in made.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        # Each is referred to by the one that follows.
        circle: list[SchemaVersionRef] = error.args[1]
        document, referenced = made[circle[1]], circle[0]
        names = ", ".join(map(str, circle[:5]))
        violations.add(f"{document.field}{document.references[referenced]}", f"closes a circle of references: {names}")


def _linked_one(new: NewDocument, made: Made, stored: Stored, violations: Violations) -> Linked:
    missing = [ref for ref in new.references if ref not in made and ref not in stored]
    for ref in missing:
        violations.add(f"{new.field}{new.references[ref]}", f"refers to schema version {ref}, which does not exist")
    referenced = dict(_reached(new, made, stored))
    found = Linked(new=new, referenced={ref: document for ref, (document, _) in referenced.items()})
    if len(referenced) > REFERENCED_LIMIT or sum(size for _, size in referenced.values()) > REFERENCED_LIMIT_BYTES:
        limits = f"{REFERENCED_LIMIT} versions and {REFERENCED_LIMIT_BYTES} bytes of them are allowed"
        violations.add(new.field, f"refers to too much, directly or not: at most {limits}")
    elif referenced and not missing:
        _check_usable(found, violations)
    return found


def _check_usable(found: Linked, violations: Violations) -> None:
    """A document that refers to none was found usable when it was read."""
    try:
        found.compiled()
    except UnusableSchemaError as error:
        violations.add(f"{found.new.field}{error.pointer}", error.message)


def _reached(new: NewDocument, made: Made, stored: Stored) -> Iterator[tuple[SchemaVersionRef, tuple[JsonObject, int]]]:
    """The versions that a document refers to, directly or not, each with its document and the size of that."""
    waiting, seen = list(new.references), set[SchemaVersionRef]()
    while waiting:
        ref = waiting.pop()
        if ref in seen:
            continue
        seen.add(ref)
        if ref in made:
            yield ref, (made[ref].document, len(made[ref].text))
            waiting += made[ref].references
        elif ref in stored:
            yield ref, (json.loads(stored[ref].text), len(stored[ref].text))
            waiting += stored[ref].references
