"""Checks of JSON Schema documents, and the stored versions that they refer to."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

import jsonschema_rs

from configsvc.domain.content import JsonObject, JsonValue, escaped
from configsvc.domain.jsonschema.compiled import CompiledSchemas
from configsvc.domain.jsonschema.faults import MAX_FAULTS, Fault, pointer_of
from configsvc.domain.jsonschema.keywords import DEFAULT_DRAFT, DRAFT_URIS, draft_of
from configsvc.domain.jsonschema.linked import UnusableSchemaError
from configsvc.domain.jsonschema.metaschemas import meta_validator
from configsvc.domain.jsonschema.mistakes import describe_mistake
from configsvc.domain.jsonschema.patterns import fault_of_pattern
from configsvc.domain.jsonschema.references import (
    Location,
    References,
    UnresolvedError,
    id_keyword,
    references_of,
    split_uri,
)
from configsvc.domain.models import SchemaVersionRef

MAX_MESSAGE_LENGTH = 200


def faults_of_document(document: JsonObject) -> tuple[Fault, ...]:
    """Return the faults of a schema document by itself, at most MAX_FAULTS; none if it is well-formed."""
    if draft_of(document) is None:
        return (Fault(pointer="/$schema", keyword="$schema", message=_unknown_draft(document["$schema"])),)
    return tuple(islice(_faults(document), MAX_FAULTS)) or tuple(_faults_of_compiling(document))


def references(document: JsonObject) -> frozenset[SchemaVersionRef]:
    """Return the stored versions that a well-formed document refers to."""
    found = References(document)
    targets = (
        found.resolve(location, uri)
        for location in found.locations.values()
        for _, uri in references_of(location.schema, found.draft)
    )
    return frozenset(target.stored for target in targets if target.stored)


def _faults_of_compiling(document: JsonObject) -> Iterator[Fault]:
    """Yield faults that only compiling finds. Documents with stored versions are compiled with their validator."""
    if not references(document):
        try:
            CompiledSchemas(document, {})
        except UnusableSchemaError as error:
            yield Fault(pointer=error.pointer, keyword="$ref", message=error.message)


def _unknown_draft(uri: JsonValue) -> str:
    meant = get_close_matches(uri[:MAX_MESSAGE_LENGTH], DRAFT_URIS, n=1, cutoff=0.8) if isinstance(uri, str) else []
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return f"must be one of the known drafts: {', '.join(DRAFT_URIS)}; without it, the newest applies{hint}"


def _faults(document: JsonObject) -> Iterator[Fault]:
    seen = set[tuple[str, str]]()
    for fault in _meta_faults(document):
        if (fault.pointer, fault.keyword) not in seen:
            seen.add((fault.pointer, fault.keyword))
            yield fault
    found = References(document)
    for location in found.locations.values():
        yield from _faults_of_location(location, found)


def _meta_faults(document: JsonObject) -> Iterator[Fault]:
    meta = meta_validator(draft_of(document) or DEFAULT_DRAFT)
    if not meta.is_valid(document):
        for error in meta.iter_errors(document):
            yield from _innermost(error)


def _innermost(error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
    """Yield the faults of the alternative of the meta-schema that matched deepest."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AnyOf):
        depth = len(error.instance_path)
        deep = [branch for branch in kind.context if all(len(inner.instance_path) > depth for inner in branch)]
        if deep:
            for inner in deep[0]:
                yield from _innermost(inner)
            return
    message = describe_mistake(error)[:MAX_MESSAGE_LENGTH]
    yield Fault(pointer=pointer_of(error.instance_path), keyword=kind.name, message=message)


def _faults_of_location(location: Location, found: References) -> Iterator[Fault]:
    yield from _pattern_faults(location)
    for keyword, reference in references_of(location.schema, found.draft):
        try:
            found.resolve(location, reference)
        except UnresolvedError as error:
            yield Fault(pointer=f"{location.pointer}/{keyword}", keyword=keyword, message=str(error))
    yield from _id_faults(location, found.draft)
    if "$schema" in location.schema and draft_of(location.schema) != found.draft:
        yield Fault(
            pointer=f"{location.pointer}/$schema", keyword="$schema", message="is a different draft than the document's"
        )


def _id_faults(location: Location, draft: int) -> Iterator[Fault]:
    keyword = id_keyword(draft)
    own = location.schema.get(keyword)
    try:
        if isinstance(own, str):
            split_uri(location.base, own)
    except UnresolvedError as error:
        yield Fault(pointer=f"{location.pointer}/{keyword}", keyword=keyword, message=str(error))


def _pattern_faults(location: Location) -> Iterator[Fault]:
    pattern = location.schema.get("pattern")
    fault = fault_of_pattern(pattern) if isinstance(pattern, str) else None
    if fault:
        yield Fault(pointer=f"{location.pointer}/pattern", keyword="pattern", message=fault)
    members = location.schema.get("patternProperties")
    for key in members if isinstance(members, dict) else ():
        fault = fault_of_pattern(key)
        if fault:
            pointer = f"{location.pointer}/patternProperties/{escaped(key)}"
            yield Fault(pointer=pointer, keyword="patternProperties", message=fault)
