"""Versions of schemas: new documents, stored versions, and checks of pinned configurations."""

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

    text: the document as JSON; references: stored versions that it refers to, each with the JSON Pointer of a
    reference; field: path in the request.
    """

    field: str
    document: JsonObject
    text: str
    additions: tuple[Addition, ...]
    references: dict[SchemaVersionRef, str]


def new_document(content: JsonObject, field: str, *, close: bool, violations: Violations) -> NewDocument | None:
    """Return the content as a document; if it is invalid, add every fault and return None."""
    faults = faults_of_document(content)
    for fault in faults:
        violations.add(f"{field}{fault.pointer}", fault.message)
    if faults:
        return None
    document, additions = closed(content) if close else (content, ())
    text = encode_json(document)
    # Most have no references, and the search takes as long as everything else.
    references = _stored_references(document) if STORED_SCHEME in text else {}
    return NewDocument(field=field, document=document, text=text, additions=additions, references=references)


def _stored_references(document: JsonObject) -> dict[SchemaVersionRef, str]:
    found = References(document)
    pointers: dict[SchemaVersionRef, str] = {}
    for location in found.locations.values():
        for keyword, uri in references_of(location.schema, found.draft):
            target = found.resolve(location, uri)
            if target.stored:
                pointers.setdefault(target.stored, f"{location.pointer}/{keyword}")
    return pointers


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """A version of a schema. document: JSON text, None if not requested; revision: 0 before its commit. additions: the
    first ones.
    """

    schema: str
    version: int
    document: str | None
    additions: tuple[Addition, ...]
    addition_count: int
    revision: int
    create_time: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """A page of the versions of a schema, newest first, as of a revision. `last`: the next page begins before it;
    None on the last page.
    """

    schema_id: str
    versions: tuple[SchemaVersion, ...]
    revision: int
    last: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFaults:
    """A configuration that violates a schema, with its faults."""

    id: str
    application: str
    name: str
    version: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedCheck:
    """The check of a document against the configurations pinned to its schema, as of a revision. offenders: the first
    MAX_OFFENDERS that violate it, by application and name.
    """

    offenders: tuple[ConfigurationFaults, ...]
    offender_count: int
    checked_count: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersionCheck:
    """The effects of a new version of a schema. incompatibilities: where the documents alone do not prove that every
    config valid by the newest version is valid by this one.
    """

    pinned: PinnedCheck
    incompatibilities: tuple[Fault, ...]
    additions: tuple[Addition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSchema:
    """A schema to import."""

    name: str
    comments: str
    new: NewDocument


class ImportOutcome(StrEnum):
    """The outcome for an imported schema."""

    CREATED = "CREATED"
    VERSION_CREATED = "VERSION_CREATED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaImport:
    """An imported schema: the outcome, and the version that has its document."""

    name: str
    outcome: ImportOutcome
    version: int
    additions: tuple[Addition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaImports:
    """The outcomes of an import. revision: that of the commit; 0 if nothing changed, or before the commit."""

    imports: tuple[SchemaImport, ...]
    revision: int
