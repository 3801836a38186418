"""SchemaService: requests. Parsers raise InvalidRequestError with every fault.

Parsing a large document takes tens of milliseconds: too long for the event loop.
"""

from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SCHEMA_VIEW_BASIC, Closing, SchemaView
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
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import Violations
from configsvc.domain.json_text import content_from_text
from configsvc.domain.models import ApplicationRef, IdRef, NameRef, SchemaRef, SchemaVersionRef, WriteContext
from configsvc.domain.names import check_id, check_name
from configsvc.domain.operations import MigrationSettings
from configsvc.domain.requests import Author, NameListing, NameLookup, SchemaVersionListing
from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES, ImportedSchema, NewDocument, new_document
from configsvc.domain.transformations import checked_json_patch
from configsvc.wire import fields
from configsvc.wire.content import content_from
from configsvc.wire.paging import name_key, number_key, page_request

MAX_IMPORTED = 1000

AnySchemaRef = (
    GetSchemaRequest
    | GetSchemaVersionRequest
    | ListSchemaVersionsRequest
    | CreateSchemaVersionRequest
    | CheckSchemaVersionRequest
    | DeleteSchemaRequest
)
AnyDocument = CreateSchemaRequest | CreateSchemaVersionRequest | CheckSchemaVersionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLookup:
    """A GetSchemaVersionRequest. `version` 0: the newest."""

    ref: SchemaRef
    version: int
    min_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A DeleteSchemaRequest. `expected_version` 0: any."""

    ref: SchemaRef
    expected_version: int
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
    """A CreateSchemaVersionRequest."""

    ref: SchemaRef
    new: NewDocument
    strict: bool
    expected_version: int
    context: WriteContext


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


def lookup(request: GetSchemaRequest) -> NameLookup:
    with Violations() as violations:
        return NameLookup(
            ref=_schema_ref(request, violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
        )


def version_lookup(request: GetSchemaVersionRequest) -> VersionLookup:
    with Violations() as violations:
        return VersionLookup(
            ref=_schema_ref(request, violations),
            version=fields.non_negative(request.version, "version", violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
        )


def listing(request: ListSchemasRequest) -> NameListing:
    with Violations() as violations:
        return NameListing(
            name_prefix=fields.name_prefix(request.name_prefix, violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            page=page_request(request, name_key, violations),
        )


def version_listing(request: ListSchemaVersionsRequest) -> SchemaVersionListing:
    with Violations() as violations:
        if request.view not in SchemaView.values():
            violations.add("view", fields.not_one_of(SchemaView.keys(), request.view))
        return SchemaVersionListing(
            ref=_schema_ref(request, violations),
            with_document=request.view != SCHEMA_VIEW_BASIC,
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            page=page_request(request, number_key, violations),
        )


def deletion(request: DeleteSchemaRequest, author: Author) -> Deletion:
    with Violations() as violations:
        return Deletion(
            ref=_schema_ref(request, violations),
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
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
    with Violations() as violations:
        ref = _schema_ref(request, violations)
        new = _document(request, violations)
        strict = _is_strict(request.mode, violations)
        expected_version = fields.non_negative(request.expected_version, "expected_version", violations)
        context = fields.write_context(request, author, violations)
    assert new is not None
    return NewVersion(ref=ref, new=new, strict=strict, expected_version=expected_version, context=context)


def checked_version(request: CheckSchemaVersionRequest) -> tuple[SchemaRef, NewDocument]:
    """Return the schema and the document to check. Raises InvalidRequestError."""
    with Violations() as violations:
        ref = _schema_ref(request, violations)
        new = _document(request, violations)
    assert new is not None
    return ref, new


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
    found = Violations()
    chosen = message.WhichOneof("content")
    content = _imported_content(message, field, found)
    new = None if found else new_document(content, f"{field}.{chosen}", close=close, violations=found)
    violations.extend(found)
    return ImportedSchema(name=name, comments=comments, new=new) if new else None


def _imported_content(message: ImportedSchemaMessage, field: str, violations: Violations) -> JsonObject:
    match message.WhichOneof("content"):
        case "document":
            return content_from(message.document, f"{field}.document", violations, limit_bytes=MAX_DOCUMENT_BYTES)
        case "document_json":
            return content_from_text(
                message.document_json,
                f"{field}.document_json",
                violations,
                limit_bytes=MAX_DOCUMENT_BYTES,
                wide_numbers=True,
            )
        case None:
            violations.add(f"{field}.document", "is required: set document or document_json")
            return {}


def _document(request: AnyDocument, violations: Violations) -> NewDocument | None:
    found = Violations()
    if not request.HasField("document"):
        found.add("document", "is required; it may be empty: {}")
    close = _closes(request.closing, found)
    content = content_from(request.document, "document", found, limit_bytes=MAX_DOCUMENT_BYTES)
    new = None if found else new_document(content, "document", close=close, violations=found)
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
        application = fields.application_if_any(request, violations)
        context = fields.write_context(request, author, violations)
        patched, merged = request.HasField("json_patch"), request.HasField("merge_patch")
        settings = MigrationSettings(
            to=SchemaVersionRef(
                schema=request.schema, version=fields.non_negative(request.to_version, "to_version", violations)
            ),
            from_version=fields.non_negative(request.from_version, "from_version", violations),
            application_id=None,
            json_patch=_json_patch(request, violations) if patched else None,
            merge_patch=content_from(request.merge_patch, "merge_patch", violations) if merged else None,
            valid_only=request.valid_only,
            validate_only=request.validate_only,
        )
    return Migration(settings=settings, application=application, context=context)


def _json_patch(request: MigrateConfigurationsRequest, violations: Violations) -> list[JsonObject]:
    # Wrapped in an object, it is checked like any content.
    wrapper = Struct()
    wrapper.fields["json_patch"].list_value.CopyFrom(request.json_patch)
    patch = content_from(wrapper, "", violations).get("json_patch", [])
    assert isinstance(patch, list)
    return checked_json_patch(patch, "json_patch", violations)
