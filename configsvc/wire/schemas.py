"""SchemaService: messages and responses."""

import json
from collections.abc import Iterable, Sequence

from configapi.v1.content_pb2 import ContentFault
from configapi.v1.schema_pb2 import Schema as SchemaMessage
from configapi.v1.schema_pb2 import SchemaAddition
from configapi.v1.schema_pb2 import SchemaVersion as SchemaVersionMessage
from configapi.v1.schema_service_pb2 import (
    CheckSchemaVersionResponse,
    ImportSchemasResponse,
    ListSchemasRequest,
    ListSchemasResponse,
    ListSchemaVersionsRequest,
    ListSchemaVersionsResponse,
)
from configapi.v1.schema_service_pb2 import ConfigurationFaults as ConfigurationFaultsMessage
from configapi.v1.schema_service_pb2 import SchemaImport as SchemaImportMessage
from configsvc.domain.content import MAX_CONTENT_DEPTH, MAX_NUMBER, JsonValue, encode_json
from configsvc.domain.jsonschema.closing import Addition
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.models import Page, Schema
from configsvc.domain.schema_versions import (
    ConfigurationFaults,
    ImportOutcome,
    SchemaImports,
    SchemaVersion,
    SchemaVersionCheck,
)
from configsvc.domain.sizes import LISTED_BYTES
from configsvc.wire.content import struct_of
from configsvc.wire.paging import fitting_list, fitting_page
from configsvc.wire.responses import ROOM_BYTES, listed, size_of
from configsvc.wire.times import timestamp

_OUTCOMES = {outcome: SchemaImportMessage.Outcome.Value(f"OUTCOME_{outcome}") for outcome in ImportOutcome}


def schema_message(schema: Schema, additions: Iterable[Addition] = ()) -> SchemaMessage:
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
        additions=_additions(additions),
    )


def schema_version_message(version: SchemaVersion) -> SchemaVersionMessage:
    """Return the message of a version. A large document takes tens of milliseconds."""
    message = SchemaVersionMessage(
        schema=version.schema,
        version=version.version,
        revision=version.revision,
        create_time=timestamp(version.create_time),
        created_by=version.created_by,
        additions=_additions(version.additions),
    )
    if version.document is not None:
        _set_document(message, version.document)
    return message


def _set_document(message: SchemaVersionMessage, text: str) -> None:
    document = json.loads(text)
    if _fits_struct(document, 1):
        message.document.CopyFrom(struct_of(document))
    # Small numbers take several times their text.
    if not message.HasField("document") or message.ByteSize() > ROOM_BYTES:
        message.ClearField("document")
        message.document_json = encode_json(document)


def _fits_struct(value: JsonValue, depth: int) -> bool:
    """Return whether a Struct holds the value exactly, at a depth that every client can parse."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return depth <= MAX_CONTENT_DEPTH and all(_fits_struct(item, depth + 1) for item in items)
    return not isinstance(value, int) or abs(value) <= MAX_NUMBER


def list_response(request: ListSchemasRequest, page: Page[Schema]) -> ListSchemasResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, schema_message, lambda schema: (schema.name,))
    return ListSchemasResponse(schemas=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision)


def versions_response(
    request: ListSchemaVersionsRequest,
    versions: Sequence[SchemaVersion],
    *,
    last: int | None,
    revision: int,
    schema_id: str,
) -> ListSchemaVersionsResponse:
    """Return the response that carries as many of the versions as fit. Large documents take tens of milliseconds.

    The next page begins before the version `last`; None: there is none.
    """
    fitted = fitting_page(
        request,
        versions,
        schema_version_message,
        lambda version: (version.version,),
        last_key=None if last is None else (last,),
        revision=revision,
        resource_id=schema_id,
    )
    return ListSchemaVersionsResponse(
        versions=fitted.messages, next_page_token=fitted.next_page_token, revision=revision
    )


def check_message(check: SchemaVersionCheck) -> CheckSchemaVersionResponse:
    """Return the effects of a new version, with as many offenders as fit into one response."""
    # The other two lists need their room too.
    room = ROOM_BYTES - 2 * LISTED_BYTES
    return CheckSchemaVersionResponse(
        offenders=listed(map(configuration_faults_message, check.pinned.offenders), room),
        offender_count=check.pinned.offender_count,
        checked_count=check.pinned.checked_count,
        backward_compatible=not check.incompatibilities,
        incompatibilities=listed(map(content_fault_message, check.incompatibilities)),
        additions=_additions(check.additions),
        revision=check.pinned.revision,
    )


def configuration_faults_message(found: ConfigurationFaults) -> ConfigurationFaultsMessage:
    """Return the message of a configuration that violates a schema."""
    return ConfigurationFaultsMessage(
        id=found.id,
        application=found.application,
        name=found.name,
        version=found.version,
        faults=listed(map(content_fault_message, found.faults)),
    )


def content_fault_message(fault: Fault) -> ContentFault:
    """Return the message of a fault."""
    return ContentFault(pointer=fault.pointer, keyword=fault.keyword, message=fault.message)


def import_message(done: SchemaImports) -> ImportSchemasResponse:
    """Return the outcomes of an import, with as many additions as fit into one response."""
    imports = [
        SchemaImportMessage(name=schema.name, outcome=_OUTCOMES[schema.outcome], version=schema.version)
        for schema in done.imports
    ]
    room = ROOM_BYTES - sum(map(size_of, imports))
    for message, schema in zip(imports, done.imports, strict=True):
        message.additions.extend(_additions(schema.additions, min(room, LISTED_BYTES)))
        room -= sum(map(size_of, message.additions))
    return ImportSchemasResponse(imports=imports, revision=done.revision)


def _additions(additions: Iterable[Addition], room: int = LISTED_BYTES) -> list[SchemaAddition]:
    messages = (SchemaAddition(pointer=addition.pointer, keyword=addition.keyword) for addition in additions)
    return listed(messages, room)
