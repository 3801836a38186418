"""Versions of schemas: as callers give them, as they are stored, and what a new one would do to what is pinned."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.errors import Violations
from configsvc.domain.jsonschema.closing import Addition, closed
from configsvc.domain.jsonschema.documents import faults_of_document
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.references import References, references_of
from configsvc.domain.models import SchemaVersionRef

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_OFFENDERS = 100
STORED_SCHEME = "configsvc:"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A well-formed JSON Schema as it is to be stored, with what closing added to it.

    text is the document as JSON; references are the stored versions that it refers to, each with a JSON Pointer to
    where; field is its path in the request.
    """

    field: str
    document: JsonObject
    text: str
    additions: tuple[Addition, ...]
    references: dict[SchemaVersionRef, str]


def new_document(content: JsonObject, field: str, *, close: bool, violations: Violations) -> NewDocument | None:
    """The document that the content is; None if it is at fault, and every fault is added."""
    faults = faults_of_document(content)
    for fault in faults:
        violations.add(f"{field}{fault.pointer}", fault.message)
    if faults:
        return None
    document, additions = closed(content) if close else (content, ())
    text = encode_json(document)
    # Most refer to none, and looking for references takes as long as all the rest.
    references = _stored_references(document) if STORED_SCHEME in text else {}
    return NewDocument(field=field, document=document, text=text, additions=additions, references=references)


def _stored_references(document: JsonObject) -> dict[SchemaVersionRef, str]:
    found = References(document)
    pointers: dict[SchemaVersionRef, str] = {}
    for place in found.locations.values():
        for keyword, uri in references_of(place.schema):
            target = found.resolve(place, uri)
            if target.stored:
                pointers.setdefault(target.stored, f"{place.pointer}/{keyword}")
    return pointers


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """A version of a schema. document is JSON text, None where it was not asked for; revision is 0 before its
    commit.
    """

    schema: str
    version: int
    document: str | None
    additions: tuple[Addition, ...]
    revision: int
    create_time: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFaults:
    """A configuration that does not satisfy a schema, and why."""

    id: str
    application: str
    name: str
    version: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedCheck:
    """What a document makes of the configurations that are pinned to its schema, as of a revision: the first
    MAX_OFFENDERS that it refuses, in the order of application and name, how many it refuses, and how many there are.
    """

    offenders: tuple[ConfigurationFaults, ...]
    offender_count: int
    checked_count: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersionCheck:
    """What a new version of a schema would do. incompatibilities: where the documents alone do not show that whatever
    satisfies the newest version satisfies this one.
    """

    pinned: PinnedCheck
    incompatibilities: tuple[Fault, ...]
    additions: tuple[Addition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSchema:
    """A schema as it comes from outside."""

    name: str
    comments: str
    new: NewDocument


class ImportOutcome(StrEnum):
    """What became of an imported schema."""

    CREATED = "CREATED"
    VERSION_CREATED = "VERSION_CREATED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaImport:
    """What became of an imported schema, and which version has its document."""

    name: str
    outcome: ImportOutcome
    version: int
    additions: tuple[Addition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaImports:
    """What became of all, and the commit that changed something; 0: nothing changed, or not yet."""

    imports: tuple[SchemaImport, ...]
    revision: int
