"""Helpers that call SchemaService."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.rpc.error_details_pb2 import PreconditionFailure

from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, Schema, SchemaVersion
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    CheckSchemaVersionRequest,
    CheckSchemaVersionResponse,
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    GetSchemaRequest,
    GetSchemaVersionRequest,
    ImportedSchema,
    ImportSchemasRequest,
    ImportSchemasResponse,
    ListSchemasRequest,
    ListSchemasResponse,
    ListSchemaVersionsRequest,
    ListSchemaVersionsResponse,
)
from configsvc.domain.content import JsonObject
from tests.api.calls import Caught, Connection
from tests.service import Service, status_of, struct

# An object with a number of replicas, and nothing else.
REPLICAS: JsonObject = {"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}}}
AT_MOST_10: JsonObject = {
    "type": "object",
    "properties": {"replicas": {"type": "integer", "minimum": 0, "maximum": 10}},
}


async def create_schema(
    service: Service, name: str = "web", document: JsonObject | None = None, **fields: Any
) -> Schema:
    request = CreateSchemaRequest(name=name, document=struct(REPLICAS if document is None else document), **fields)
    return (await service.schemas.CreateSchema(request)).schema


async def get_schema(service: Service, name: str = "web", **fields: Any) -> Schema:
    return (await service.schemas.GetSchema(GetSchemaRequest(name=name, **fields))).schema


async def get_version(service: Service, name: str = "web", version: int = 0, **fields: Any) -> SchemaVersion:
    request = GetSchemaVersionRequest(name=name, version=version, **fields)
    return (await service.schemas.GetSchemaVersion(request)).schema_version


def version_request(document: JsonObject, name: str = "web", **fields: Any) -> CreateSchemaVersionRequest:
    return CreateSchemaVersionRequest(name=name, document=struct(document), **fields)


async def create_version(service: Service, document: JsonObject, name: str = "web", **fields: Any) -> SchemaVersion:
    """Create a version, in mode STRICT unless told otherwise."""
    return (await service.schemas.CreateSchemaVersion(version_request(document, name, **fields))).schema_version


async def add_version(service: Service, document: JsonObject, name: str = "web", **fields: Any) -> SchemaVersion:
    """Create a version in mode PINNED."""
    return await create_version(service, document, name, mode=SCHEMA_VERSION_MODE_PINNED, **fields)


async def check_version(
    service: Service, document: JsonObject, name: str = "web", **fields: Any
) -> CheckSchemaVersionResponse:
    request = CheckSchemaVersionRequest(name=name, document=struct(document), **fields)
    return await service.schemas.CheckSchemaVersion(request)


async def delete_schema(service: Service, name: str = "web", **fields: Any) -> int:
    return (await service.schemas.DeleteSchema(DeleteSchemaRequest(name=name, **fields))).revision


def imported(name: str, document: JsonObject) -> ImportedSchema:
    return ImportedSchema(name=name, document=struct(document))


def import_request(documents: dict[str, JsonObject], **fields: Any) -> ImportSchemasRequest:
    """Return a request to import schemas, AS_WRITTEN unless told otherwise."""
    schemas = [imported(name, document) for name, document in documents.items()]
    fields.setdefault("closing", CLOSING_AS_WRITTEN)
    return ImportSchemasRequest(schemas=schemas, **fields)


async def import_schemas(service: Service, documents: dict[str, JsonObject], **fields: Any) -> ImportSchemasResponse:
    """Import schemas, AS_WRITTEN unless told otherwise."""
    return await service.schemas.ImportSchemas(import_request(documents, **fields))


async def schema_pages(service: Service, **fields: Any) -> list[ListSchemasResponse]:
    """Return all pages of a list of schemas."""
    found: list[ListSchemasResponse] = []
    token = ""
    while not found or token:
        found.append(await service.schemas.ListSchemas(ListSchemasRequest(page_token=token, **fields)))
        token = found[-1].next_page_token
    return found


async def schema_names(service: Service, **fields: Any) -> list[str]:
    return [schema.name for page in await schema_pages(service, **fields) for schema in page.schemas]


async def version_pages(service: Service, name: str = "web", **fields: Any) -> list[ListSchemaVersionsResponse]:
    """Return all pages of a list of versions."""
    found: list[ListSchemaVersionsResponse] = []
    token = ""
    while not found or token:
        request = ListSchemaVersionsRequest(name=name, page_token=token, **fields)
        found.append(await service.schemas.ListSchemaVersions(request))
        token = found[-1].next_page_token
    return found


async def pin(psql: Connection, *names: str, schema: str = "web", version: int = 1, config: str = "{}") -> None:
    """Insert pinned configurations of the application shop, even if they violate the schema."""
    await psql.execute("INSERT INTO applications (name) VALUES ('shop') ON CONFLICT DO NOTHING")
    await psql.execute(
        """
        INSERT INTO configurations (application, name, config, schema, schema_version)
        SELECT 'shop', name, $2::jsonb, $3, $4 FROM unnest($1::text[]) AS name
        """,
        list(names),
        config,
        schema,
        version,
    )


def subjects_of(caught: Caught) -> list[str]:
    """Return the subjects that the PreconditionFailure of an error names."""
    failure = PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in status_of(caught.value).details)
    return [violation.subject for violation in failure.violations]


CALL_LIMIT_BYTES = 4 * 1024 * 1024


def calls_of(corpus: Path) -> Iterator[ImportSchemasRequest]:
    """Yield all schemas of the corpus as text, in calls of a size that a server takes."""
    request = ImportSchemasRequest(closing=CLOSING_AS_WRITTEN)
    for path in sorted(corpus.glob("*/schema.json")):
        one = ImportedSchema(name=path.parent.name, document_json=path.read_text(encoding="utf-8"))
        if request.ByteSize() + one.ByteSize() + 8 > CALL_LIMIT_BYTES:
            yield request
            request = ImportSchemasRequest(closing=CLOSING_AS_WRITTEN)
        request.schemas.append(one)
    yield request
