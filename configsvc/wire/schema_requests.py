"""SchemaService: requests. Parsers raise InvalidRequestError with every fault.

Parsing a large document takes tens of milliseconds: too long for the event loop.
"""

from dataclasses import dataclass

from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SCHEMA_VIEW_BASIC, Closing, SchemaView
from configapi.v1.schema_pb2 import SchemaVersion as SchemaVersionMessage
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    CheckSchemaVersionRequest,
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    GetSchemaRequest,
    GetSchemaVersionRequest,
    ImportSchemasRequest,
    ListSchemasRequest,
    ListSchemaVersionsRequest,
    MigrateConfigurationsRequest,
    SchemaVersionMode,
)
from configapi.v1.schema_service_pb2 import (
    ImportedSchema as ImportedSchemaMessage,
)
from configsvc.domain.errors import Violations
from configsvc.domain.expectations import Expectation
from configsvc.domain.models import ApplicationRef, IdRef, Moment, NameRef, SchemaRef, SchemaVersionRef, WriteContext
from configsvc.domain.names import check_id, check_name
from configsvc.domain.operations import MigrationSettings
from configsvc.domain.requests import Author, PageRequest, SchemaVersionListing
from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES, ImportedSchema, NewDocument, new_document
from configsvc.domain.selection import Selector
from configsvc.wire import fields
from configsvc.wire.expectations import expectation
from configsvc.wire.json_fields import json_object, json_patch, wants_json
from configsvc.wire.moments import epoch, moment
from configsvc.wire.paging import name_key, number_key, page_request
from configsvc.wire.schemas import document_message
from configsvc.wire.selectors import name_selector

MAX_IMPORTED = 1000

AnySchemaRef = (
    GetSchemaRequest
    | GetSchemaVersionRequest
    | ListSchemaVersionsRequest
    | CreateSchemaVersionRequest
    | CheckSchemaVersionRequest
    | DeleteSchemaRequest
)
AnyDocument = CreateSchemaRequest | CreateSchemaVersionRequest | CheckSchemaVersionRequest | ImportedSchemaMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A GetSchemaRequest. `epoch` empty: any, as in all requests."""

    ref: SchemaRef
    moment: Moment
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLookup:
    """A GetSchemaVersionRequest. `version` 0: the newest."""

    ref: SchemaRef
    version: int
    moment: Moment
    epoch: str
    as_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A ListSchemasRequest."""

    name_prefix: str
    moment: Moment
    epoch: str
    page: PageRequest[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionListing:
    """A ListSchemaVersionsRequest."""

    listing: SchemaVersionListing
    epoch: str
    as_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCheck:
    """A CheckSchemaVersionRequest."""

    ref: SchemaRef
    new: NewDocument
    moment: Moment
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A DeleteSchemaRequest. `allow_missing`: if it exists."""

    ref: SchemaRef
    expected: Expectation
    allow_missing: bool
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchema:
    """A CreateSchemaRequest."""

    name: str
    comments: str
    new: NewDocument
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A CreateSchemaVersionRequest. `answer`: the document in the form of the response."""

    ref: SchemaRef
    new: NewDocument
    strict: bool
    expected: Expectation
    context: WriteContext
    answer: SchemaVersionMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A MigrateConfigurationsRequest. The settings lack the id of the application."""

    settings: MigrationSettings
    application: ApplicationRef | None
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An ImportSchemasRequest."""

    imported: list[ImportedSchema]
    strict: bool
    context: WriteContext


def _schema_ref(message: AnySchemaRef, violations: Violations) -> SchemaRef:
    match message.WhichOneof("ref"):
        case "id":
            check_id(message.id, "id", violations)
            return IdRef(id=message.id)
        case "name":
            check_name(message.name, "name", violations)
            return NameRef(name=message.name)
        case None:
            violations.add("ref", "must name a schema: set id or name")
            return NameRef(name="")


def lookup(request: GetSchemaRequest) -> Lookup:
    with Violations() as violations:
        return Lookup(
            ref=_schema_ref(request, violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
        )


def version_lookup(request: GetSchemaVersionRequest) -> VersionLookup:
    with Violations() as violations:
        return VersionLookup(
            ref=_schema_ref(request, violations),
            version=fields.non_negative(request.version, "version", violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
            as_text=wants_json(request.format, violations),
        )


def listing(request: ListSchemasRequest) -> Listing:
    with Violations() as violations:
        return Listing(
            name_prefix=fields.name_prefix(request.name_prefix, violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
            page=page_request(request, name_key, violations),
        )


def version_listing(request: ListSchemaVersionsRequest) -> VersionListing:
    with Violations() as violations:
        if request.view not in SchemaView.values():
            violations.add("view", fields.not_one_of(SchemaView.keys(), request.view))
        listing = SchemaVersionListing(
            ref=_schema_ref(request, violations),
            moment=moment(request, violations),
            with_document=request.view != SCHEMA_VIEW_BASIC,
            page=page_request(request, number_key, violations),
        )
        return VersionListing(
            listing=listing,
            epoch=epoch(request.epoch, violations),
            as_text=wants_json(request.format, violations),
        )


def deletion(request: DeleteSchemaRequest, author: Author) -> Deletion:
    with Violations() as violations:
        return Deletion(
            ref=_schema_ref(request, violations),
            expected=expectation(request, request.expected_etag, violations),
            allow_missing=request.allow_missing,
            context=fields.write_context(request, author, violations),
        )


def new_schema(request: CreateSchemaRequest, author: Author) -> NewSchema:
    with Violations() as violations:
        name = fields.new_name(request.name, "name", violations)
        comments = fields.comments(request.comments, "comments", violations)
        new = _document(request, violations)
        context = fields.write_context(request, author, violations)
    assert new is not None
    return NewSchema(name=name, comments=comments, new=new, context=context)


def new_version(request: CreateSchemaVersionRequest, author: Author) -> NewVersion:
    """Parse the request. Raises FormatUnsuitableError if the response could not have the document in its form."""
    with Violations() as violations:
        ref = _schema_ref(request, violations)
        new = _document(request, violations)
        strict = _is_strict(request.mode, violations)
        expected = expectation(request, request.expected_etag, violations)
        context = fields.write_context(request, author, violations)
        as_text = wants_json(request.format, violations)
    assert new is not None
    answer = document_message(new.document, str(ref), as_text=as_text)
    return NewVersion(ref=ref, new=new, strict=strict, expected=expected, context=context, answer=answer)


def checked_version(request: CheckSchemaVersionRequest) -> VersionCheck:
    with Violations() as violations:
        ref = _schema_ref(request, violations)
        new = _document(request, violations)
        wanted, expected_epoch = moment(request, violations), epoch(request.epoch, violations)
    assert new is not None
    return VersionCheck(ref=ref, new=new, moment=wanted, epoch=expected_epoch)


def schema_import(request: ImportSchemasRequest, author: Author) -> Import:
    with Violations() as violations:
        if not 1 <= len(request.schemas) <= MAX_IMPORTED:
            violations.add("schemas", f"has {len(request.schemas)} items: must have between 1 and {MAX_IMPORTED}")
        _check_names(request, violations)
        close = _closes(request.closing, violations)
        strict = _is_strict(request.mode, violations)
        context = fields.write_context(request, author, violations)
        imported = [
            _imported(schema, f"schemas[{index}]", close=close, violations=violations)
            for index, schema in enumerate(request.schemas[:MAX_IMPORTED])
        ]
    return Import(imported=[schema for schema in imported if schema], strict=strict, context=context)


def _check_names(request: ImportSchemasRequest, violations: Violations) -> None:
    first: dict[str, int] = {}
    for index, schema in enumerate(request.schemas[:MAX_IMPORTED]):
        same = first.setdefault(schema.name, index)
        if schema.name and same != index:
            violations.add(f"schemas[{index}].name", f"is also the name of schemas[{same}]")


def _imported(
    message: ImportedSchemaMessage, field: str, *, close: bool, violations: Violations
) -> ImportedSchema | None:
    name = fields.new_name(message.name, f"{field}.name", violations)
    comments = fields.comments(message.comments, f"{field}.comments", violations)
    new = _closed_document(message, field, close=close, violations=violations)
    return ImportedSchema(name=name, comments=comments, new=new) if new else None


def _document(
    request: CreateSchemaRequest | CreateSchemaVersionRequest | CheckSchemaVersionRequest, violations: Violations
) -> NewDocument | None:
    return _closed_document(request, "", close=_closes(request.closing, violations), violations=violations)


def _closed_document(message: AnyDocument, field: str, *, close: bool, violations: Violations) -> NewDocument | None:
    found = Violations()
    content = json_object(message, "document", field, found, limit_bytes=MAX_DOCUMENT_BYTES, wide_numbers=True)
    path = fields.path_of(field, message.WhichOneof("content") or "document")
    if content is None:
        found.add(path, "is required, and may be empty: set document or document_json")
    new = None if content is None or found else new_document(content, path, close=close, violations=found)
    violations.extend(found)
    return new


def _closes(closing: Closing.ValueType, violations: Violations) -> bool:
    if closing not in Closing.values():
        violations.add("closing", fields.not_one_of(Closing.keys(), closing))
    return closing != CLOSING_AS_WRITTEN


def _is_strict(mode: SchemaVersionMode.ValueType, violations: Violations) -> bool:
    if mode not in SchemaVersionMode.values():
        violations.add("mode", fields.not_one_of(SchemaVersionMode.keys(), mode))
    return mode != SCHEMA_VERSION_MODE_PINNED


def migration(request: MigrateConfigurationsRequest, author: Author) -> Migration:
    with Violations() as violations:
        check_name(request.schema, "schema", violations)
        selector = _selector(request, violations)
        context = fields.write_context(request, author, violations)
        settings = MigrationSettings(
            to=SchemaVersionRef(
                schema=request.schema, version=fields.non_negative(request.to_version, "to_version", violations)
            ),
            from_version=fields.non_negative(request.from_version, "from_version", violations),
            application_id=None,
            name_prefix=selector.name_prefix,
            names=sorted(selector.names),
            json_patch=json_patch(request, "", violations),
            merge_patch=json_object(request, "merge_patch", "", violations),
            valid_only=request.valid_only,
            validate_only=request.validate_only,
        )
    return Migration(settings=settings, application=selector.application, context=context)


def _selector(request: MigrateConfigurationsRequest, violations: Violations) -> Selector:
    """Return the selector; an empty one selects everything."""
    match request.WhichOneof("selection"):
        case None:
            violations.add("selection", "is required: set selector, or all_configurations to migrate everything")
        case "selector" if not request.selector.ListFields():
            description = "selects everything: set application, name_prefix or names, or all_configurations"
            violations.add("selector", description)
        case _:
            pass
    return name_selector(request.selector, "selector", "a migration", violations)
