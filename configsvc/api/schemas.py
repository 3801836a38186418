"""SchemaService, without a transport."""

import asyncio
from functools import partial

from google.longrunning.operations_proto_pb2 import Operation

from configapi.v1.schema_pb2 import Schema, SchemaVersion
from configapi.v1.schema_service_pb2 import (
    CheckSchemaVersionRequest,
    CheckSchemaVersionResponse,
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    DeleteSchemaResponse,
    GetSchemaRequest,
    GetSchemaVersionRequest,
    ImportSchemasRequest,
    ImportSchemasResponse,
    ListSchemasRequest,
    ListSchemasResponse,
    ListSchemaVersionsRequest,
    ListSchemaVersionsResponse,
    MigrateConfigurationsRequest,
)
from configsvc.access.caller import Caller
from configsvc.api.operations import operation_message
from configsvc.domain.access import Role
from configsvc.domain.scope import Everything
from configsvc.operations.migrations import ConfigurationMigrations
from configsvc.schemas.imports import SchemaImporter
from configsvc.schemas.use_cases import Schemas
from configsvc.schemas.versions import SchemaVersions
from configsvc.wire import schema_requests as wire
from configsvc.wire.schemas import (
    check_message,
    import_message,
    list_response,
    schema_message,
    schema_version_message,
    versions_response,
)


class SchemaServicer:
    """One method for each RPC, named like it. Threads read and write documents: a large one would block other calls."""

    def __init__(
        self,
        schemas: Schemas,
        versions: SchemaVersions,
        importer: SchemaImporter,
        migrations: ConfigurationMigrations,
    ) -> None:
        self._migrations = migrations
        self._schemas = schemas
        self._versions = versions
        self._importer = importer

    async def MigrateConfigurations(self, request: MigrateConfigurationsRequest, caller: Caller) -> Operation:
        parsed = await asyncio.to_thread(wire.migration, request, caller.author(caller.scope(Role.EDITOR)))
        if parsed.application is None:
            caller.require_everywhere(Role.EDITOR)
        else:
            caller.require_application(Role.EDITOR, parsed.application)
        return operation_message(await self._migrations.start(parsed.settings, parsed.application, parsed.context))

    async def CreateSchema(self, request: CreateSchemaRequest, caller: Caller) -> Schema:
        parsed = await asyncio.to_thread(wire.new_schema, request, caller.author(Everything()))
        created = await self._schemas.create(parsed.name, parsed.comments, parsed.new, parsed.context)
        return schema_message(created, parsed.new.additions)

    async def GetSchema(self, request: GetSchemaRequest, caller: Caller) -> Schema:
        parsed = wire.lookup(request)
        return schema_message(await self._schemas.get(parsed.ref, min_revision=parsed.min_revision))

    async def GetSchemaVersion(self, request: GetSchemaVersionRequest, caller: Caller) -> SchemaVersion:
        parsed = wire.version_lookup(request)
        found = await self._schemas.get_version(parsed.ref, parsed.version, min_revision=parsed.min_revision)
        return await asyncio.to_thread(schema_version_message, found)

    async def ListSchemas(self, request: ListSchemasRequest, caller: Caller) -> ListSchemasResponse:
        return list_response(request, await self._schemas.list_page(wire.listing(request)))

    async def CreateSchemaVersion(self, request: CreateSchemaVersionRequest, caller: Caller) -> SchemaVersion:
        parsed = await asyncio.to_thread(wire.new_version, request, caller.author(Everything()))
        expected, strict = parsed.expected_version, parsed.strict
        created = await self._versions.create(
            parsed.ref, parsed.new, strict=strict, expected_version=expected, context=parsed.context
        )
        return await asyncio.to_thread(schema_version_message, created)

    async def ListSchemaVersions(
        self, request: ListSchemaVersionsRequest, caller: Caller
    ) -> ListSchemaVersionsResponse:
        page = await self._schemas.list_versions(wire.version_listing(request))
        respond = partial(versions_response, last=page.last, revision=page.revision, schema_id=page.schema_id)
        return await asyncio.to_thread(respond, request, page.versions)

    async def CheckSchemaVersion(
        self, request: CheckSchemaVersionRequest, caller: Caller
    ) -> CheckSchemaVersionResponse:
        ref, new = await asyncio.to_thread(wire.checked_version, request)
        return check_message(await self._versions.check(ref, new))

    async def DeleteSchema(self, request: DeleteSchemaRequest, caller: Caller) -> DeleteSchemaResponse:
        parsed = wire.deletion(request, caller.author(Everything()))
        expected = parsed.expected_version
        revision = await self._schemas.delete(parsed.ref, expected_version=expected, context=parsed.context)
        return DeleteSchemaResponse(revision=revision)

    async def ImportSchemas(self, request: ImportSchemasRequest, caller: Caller) -> ImportSchemasResponse:
        parsed = await asyncio.to_thread(wire.schema_import, request, caller.author(Everything()))
        return import_message(await self._importer.run(parsed.imported, strict=parsed.strict, context=parsed.context))
