"""SchemaService: messages and responses."""

import json
from collections.abc import Iterable, Sequence
from functools import partial

from configapi.v1.content_pb2 import ContentFault
from configapi.v1.schema_pb2 import Schema as SchemaMessage
from configapi.v1.schema_pb2 import SchemaAddition
from configapi.v1.schema_pb2 import SchemaVersion as SchemaVersionMessage
from configapi.v1.schema_service_pb2 import (
    CheckSchemaVersionResponse,
    CreateSchemaResponse,
    CreateSchemaVersionResponse,
    ImportSchemasResponse,
    ListSchemasRequest,
    ListSchemasResponse,
    ListSchemaVersionsRequest,
    ListSchemaVersionsResponse,
)
from configapi.v1.schema_service_pb2 import ConfigurationFaults as ConfigurationFaultsMessage
from configapi.v1.schema_service_pb2 import SchemaImport as SchemaImportMessage
from configsvc.domain.content import MAX_CONTENT_DEPTH, MAX_NUMBER, JsonObject, JsonValue, encode_json
from configsvc.domain.errors import FormatUnsuitableError, ResponseTooLargeError
from configsvc.domain.jsonschema.closing import Addition
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.models import Done, Page, Schema
from configsvc.domain.schema_versions import (
    ConfigurationFaults,
    ImportOutcome,
    SchemaImports,
    SchemaVersion,
    SchemaVersionCheck,
    VersionPage,
)
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.content import fill_struct
from configsvc.wire.paging import fitting_list, fitting_page
from configsvc.wire.responses import ELEMENT_BYTES, ROOM_BYTES, listed, size_of
from configsvc.wire.times import timestamp

# Beside the other fields of a response, such as its epoch, token and names.
VERSION_BYTES = ROOM_BYTES
DOCUMENT_BYTES = VERSION_BYTES - 16 * 1024
# A response has three lists at most. The first offender always fits.
LIST_BYTES = VERSION_BYTES // 3
OFFENDER_BYTES = LIST_BYTES - ELEMENT_BYTES

_OUTCOMES = {outcome: SchemaImportMessage.Outcome.Value(f"OUTCOME_{outcome}") for outcome in ImportOutcome}


def schema_message(schema: Schema) -> SchemaMessage:
    """Return the message of a schema."""
    return SchemaMessage(
        id=schema.id,
        name=schema.name,
        comments=schema.comments,
        latest_version=schema.latest_version,
        version=schema.version,
        revision=schema.revision,
        create_time=timestamp(schema.create_time),
        update_time=timestamp(schema.update_time),
        etag=schema.etag,
    )


def creation_response(done: Done[Schema], additions: Sequence[Addition], epoch: str) -> CreateSchemaResponse:
    """Return the response to a creation."""
    return CreateSchemaResponse(
        schema=schema_message(done.result),
        revision=done.result.revision,
        epoch=epoch,
        changed=done.changed,
        additions=_additions(additions, LIST_BYTES),
        addition_count=len(additions),
    )


def document_message(document: JsonObject, name: str, *, as_text: bool) -> SchemaVersionMessage:
    """Return a message with a document. A large one takes tens of milliseconds.

    `name`: the version, for errors. Raises FormatUnsuitableError if a Struct cannot hold it, or ResponseTooLargeError.
    """
    message = SchemaVersionMessage()
    if as_text:
        message.document_json = encode_json(document)
    elif _fits_struct(document, 1):
        fill_struct(message.document, document)
    else:
        raise FormatUnsuitableError("schema document", name)
    # As a Struct, small numbers take several times their text.
    if message.ByteSize() <= DOCUMENT_BYTES:
        return message
    if as_text:
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
    raise FormatUnsuitableError("schema document", name)


def _fits_struct(value: JsonValue, depth: int) -> bool:
    """Return whether a Struct holds the value exactly, at a depth that every client can parse."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return depth <= MAX_CONTENT_DEPTH and all(_fits_struct(item, depth + 1) for item in items)
    return not isinstance(value, int) or abs(value) <= MAX_NUMBER


def schema_version_message(version: SchemaVersion, *, as_text: bool) -> SchemaVersionMessage:
    """Return the message of a version. Raises what `document_message` raises."""
    if version.document is None:
        return _completed(SchemaVersionMessage(), version)
    document = json.loads(version.document)
    return _completed(document_message(document, f"{version.schema}@{version.version}", as_text=as_text), version)


def _completed(message: SchemaVersionMessage, version: SchemaVersion) -> SchemaVersionMessage:
    """Return a message that has the document, with the rest of the version."""
    message.schema = version.schema
    message.version = version.version
    message.revision = version.revision
    message.create_time.CopyFrom(timestamp(version.create_time))
    message.created_by = version.created_by
    message.addition_count = version.addition_count
    message.additions.extend(_additions(version.additions, VERSION_BYTES - message.ByteSize()))
    return message


def new_version_response(
    answer: SchemaVersionMessage, done: Done[SchemaVersion], epoch: str
) -> CreateSchemaVersionResponse:
    """Return the response to a new version, whose document the answer has."""
    return CreateSchemaVersionResponse(
        schema_version=_completed(answer, done.result),
        revision=done.result.revision,
        epoch=epoch,
        changed=done.changed,
    )


def list_response(request: ListSchemasRequest, page: Page[Schema], epoch: str) -> ListSchemasResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, schema_message, lambda schema: (schema.name,))
    return ListSchemasResponse(
        schemas=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision, epoch=epoch
    )


def versions_response(
    request: ListSchemaVersionsRequest, page: VersionPage, epoch: str, *, as_text: bool
) -> ListSchemaVersionsResponse:
    """Return the response that carries as many of the versions as fit. Large documents take tens of milliseconds.

    Raises what `document_message` raises.
    """
    versions = page.versions
    fitted = fitting_page(
        request,
        versions,
        partial(schema_version_message, as_text=as_text),
        lambda version: (version.version,),
        last_key=None if page.last is None else (page.last,),
        revision=page.revision,
        resource_id=page.schema_id,
    )
    return ListSchemaVersionsResponse(
        versions=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision, epoch=epoch
    )


def check_response(check: SchemaVersionCheck, epoch: str) -> CheckSchemaVersionResponse:
    """Return the effects of a new version. Each list has its part of a response."""
    return CheckSchemaVersionResponse(
        offenders=listed(map(configuration_faults_message, check.pinned.offenders), LIST_BYTES),
        offender_count=check.pinned.offender_count,
        checked_count=check.pinned.checked_count,
        backward_compatible=not check.incompatibilities,
        incompatibilities=listed(map(content_fault_message, check.incompatibilities), LIST_BYTES),
        incompatibility_count=len(check.incompatibilities),
        additions=_additions(check.additions, LIST_BYTES),
        addition_count=len(check.additions),
        revision=check.pinned.revision,
        epoch=epoch,
    )


def configuration_faults_message(found: ConfigurationFaults) -> ConfigurationFaultsMessage:
    """Return the message of a configuration that violates a schema."""
    message = ConfigurationFaultsMessage(
        id=found.id,
        application=found.application,
        name=found.name,
        version=found.version,
        fault_count=len(found.faults),
    )
    message.faults.extend(listed(map(content_fault_message, found.faults), OFFENDER_BYTES - message.ByteSize()))
    return message


def content_fault_message(fault: Fault) -> ContentFault:
    """Return the message of a fault."""
    return ContentFault(pointer=fault.pointer, keyword=fault.keyword, message=fault.message)


def import_response(done: Done[SchemaImports], epoch: str) -> ImportSchemasResponse:
    """Return the outcomes of an import, with as many of the additions as fit."""
    response = ImportSchemasResponse(revision=done.result.revision, epoch=epoch, changed=done.changed)
    for schema in done.result.imports:
        response.imports.add(
            name=schema.name,
            outcome=_OUTCOMES[schema.outcome],
            version=schema.version,
            addition_count=len(schema.additions),
        )
    left = VERSION_BYTES - response.ByteSize() - len(response.imports) * ELEMENT_BYTES
    for message, schema in zip(response.imports, done.result.imports, strict=True):
        additions = _additions(schema.additions, left)
        message.additions.extend(additions)
        left -= sum(map(size_of, additions))
    return response


def _additions(additions: Iterable[Addition], limit_bytes: int) -> list[SchemaAddition]:
    messages = (SchemaAddition(pointer=addition.pointer, keyword=addition.keyword) for addition in additions)
    return listed(messages, limit_bytes)
