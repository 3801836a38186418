"""JSON Schema documents: whether one is well-formed, and which stored versions it names."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import jsonschema_rs

from configsvc.domain.content import JsonObject, escaped
from configsvc.domain.jsonschema.compiled import CompiledSchemas, UnusableSchemaError
from configsvc.domain.jsonschema.faults import MAX_FAULTS, Fault, pointer_of
from configsvc.domain.jsonschema.keywords import DEFAULT_DRAFT, DRAFT_URIS, draft_of, draft_uri
from configsvc.domain.jsonschema.patterns import fault_of_pattern
from configsvc.domain.jsonschema.references import Place, References, UnresolvedError, references_of
from configsvc.domain.models import SchemaVersionRef

MAX_MESSAGE_LENGTH = 200


def faults_of_document(document: JsonObject) -> tuple[Fault, ...]:
    """All that is wrong with a schema document by itself, at most MAX_FAULTS; empty if it is well-formed."""
    if draft_of(document) is None:
        return (Fault(pointer="/$schema", keyword="$schema", message=_unknown_draft()),)
    return tuple(islice(_faults(document), MAX_FAULTS)) or tuple(_faults_of_compiling(document))


def references(document: JsonObject) -> frozenset[SchemaVersionRef]:
    """The stored versions that a well-formed document refers to."""
    found = References(document)
    targets = (found.resolve(place, uri) for place in found.places.values() for _, uri in references_of(place.schema))
    return frozenset(target.stored for target in targets if target.stored)


def _faults_of_compiling(document: JsonObject) -> Iterator[Fault]:
    """What shows only when all parts come together; with stored versions, that is when the validator is made."""
    if not references(document):
        try:
            CompiledSchemas(document, {})
        except UnusableSchemaError as error:
            yield Fault(pointer=error.pointer, keyword="$ref", message=error.message)


def _unknown_draft() -> str:
    return f"is none of the drafts that are known: {', '.join(DRAFT_URIS)}"


def _faults(document: JsonObject) -> Iterator[Fault]:
    seen = set[tuple[str, str]]()
    for fault in _meta_faults(document):
        if (fault.pointer, fault.keyword) not in seen:
            seen.add((fault.pointer, fault.keyword))
            yield fault
    found = References(document)
    for place in found.places.values():
        yield from _faults_of_place(place, found)


def _meta_faults(document: JsonObject) -> Iterator[Fault]:
    meta = _meta_validator(draft_of(document) or DEFAULT_DRAFT)
    if not meta.is_valid(document):
        for error in meta.iter_errors(document):
            yield from _innermost(error)


@lru_cache(maxsize=len(DRAFT_URIS))
def _meta_validator(draft: int) -> jsonschema_rs.Validator:
    uri = draft_uri(draft)
    # What `format` says of patterns and references is told by the faults of places, with a reason.
    meta: dict[str, object] = {"$schema": uri, "$ref": uri}
    return jsonschema_rs.validator_for(meta, validate_formats=False, offline=True, mask="this")


def _innermost(error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
    """The faults of the alternative that came furthest, where the meta-schema has several."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AnyOf):
        depth = len(error.instance_path)
        deep = [branch for branch in kind.context if all(len(inner.instance_path) > depth for inner in branch)]
        if deep:
            for inner in deep[0]:
                yield from _innermost(inner)
            return
    yield Fault(pointer=pointer_of(error.instance_path), keyword=kind.name, message=error.message[:MAX_MESSAGE_LENGTH])


def _faults_of_place(place: Place, found: References) -> Iterator[Fault]:
    yield from _pattern_faults(place)
    for keyword, reference in references_of(place.schema):
        try:
            found.resolve(place, reference)
        except UnresolvedError as error:
            yield Fault(pointer=f"{place.pointer}/{keyword}", keyword=keyword, message=str(error))
    if "$schema" in place.schema and draft_of(place.schema) != found.draft:
        yield Fault(
            pointer=f"{place.pointer}/$schema", keyword="$schema", message="is another draft than the document's"
        )


def _pattern_faults(place: Place) -> Iterator[Fault]:
    pattern = place.schema.get("pattern")
    fault = fault_of_pattern(pattern) if isinstance(pattern, str) else None
    if fault:
        yield Fault(pointer=f"{place.pointer}/pattern", keyword="pattern", message=fault)
    members = place.schema.get("patternProperties")
    for key in members if isinstance(members, dict) else ():
        fault = fault_of_pattern(key)
        if fault:
            pointer = f"{place.pointer}/patternProperties/{escaped(key)}"
            yield Fault(pointer=pointer, keyword="patternProperties", message=fault)
