"""SchemaService, without a transport."""

import asyncio

from google.longrunning.operations_proto_pb2 import Operation

from configapi.v1.schema_service_pb2 import (
    CheckSchemaVersionRequest,
    CheckSchemaVersionResponse,
    CreateSchemaRequest,
    CreateSchemaResponse,
    CreateSchemaVersionRequest,
    CreateSchemaVersionResponse,
    DeleteSchemaRequest,
    DeleteSchemaResponse,
    GetSchemaRequest,
    GetSchemaResponse,
    GetSchemaVersionRequest,
    GetSchemaVersionResponse,
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
from configsvc.feed.feed import Feed
from configsvc.operations.migrations import ConfigurationMigrations
from configsvc.schemas.imports import SchemaImporter
from configsvc.schemas.use_cases import Schemas
from configsvc.schemas.versions import SchemaVersions
from configsvc.wire import schema_requests as wire
from configsvc.wire.schemas import (
    check_response,
    creation_response,
    import_response,
    list_response,
    new_version_response,
    schema_message,
    schema_version_message,
    versions_response,
)


class SchemaServicer:
    """One method for each RPC, named like it. Threads read and write documents: a large one would block other calls.

    The epoch of an answer is taken before its data are read, so that it is never newer than they are.
    """

    def __init__(
        self,
        schemas: Schemas,
        versions: SchemaVersions,
        importer: SchemaImporter,
        migrations: ConfigurationMigrations,
        feed: Feed,
    ) -> None:
        self._migrations = migrations
        self._schemas = schemas
        self._versions = versions
        self._importer = importer
        self._feed = feed

    async def MigrateConfigurations(self, request: MigrateConfigurationsRequest, caller: Caller) -> Operation:
        parsed = await asyncio.to_thread(wire.migration, request, caller.author(caller.scope(Role.EDITOR)))
        if parsed.application is None:
            caller.require_everywhere(Role.EDITOR)
        else:
            caller.require_application(Role.EDITOR, parsed.application)
        epoch = self._feed.epoch_for()
        started = await self._migrations.start(parsed.settings, parsed.application, parsed.context)
        return operation_message(started, epoch)

    async def CreateSchema(self, request: CreateSchemaRequest, caller: Caller) -> CreateSchemaResponse:
        parsed = await asyncio.to_thread(wire.new_schema, request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        created = await self._schemas.create(parsed.name, parsed.comments, parsed.new, parsed.context)
        return creation_response(created, parsed.new.additions, epoch)

    async def GetSchema(self, request: GetSchemaRequest, caller: Caller) -> GetSchemaResponse:
        parsed = wire.lookup(request)
        epoch = self._feed.epoch_for(parsed.epoch)
        schema, revision = await self._schemas.get(parsed.ref, parsed.moment)
        return GetSchemaResponse(schema=schema_message(schema), revision=revision, epoch=epoch)

    async def GetSchemaVersion(self, request: GetSchemaVersionRequest, caller: Caller) -> GetSchemaVersionResponse:
        parsed = wire.version_lookup(request)
        epoch = self._feed.epoch_for(parsed.epoch)
        found, revision = await self._schemas.get_version(parsed.ref, parsed.version, parsed.moment)
        message = await asyncio.to_thread(schema_version_message, found, as_text=parsed.as_text)
        return GetSchemaVersionResponse(schema_version=message, revision=revision, epoch=epoch)

    async def ListSchemas(self, request: ListSchemasRequest, caller: Caller) -> ListSchemasResponse:
        parsed = wire.listing(request)
        epoch = self._feed.epoch_for(parsed.epoch)
        page = await self._schemas.list_page(parsed.name_prefix, parsed.moment, parsed.page)
        return list_response(request, page, epoch)

    async def CreateSchemaVersion(
        self, request: CreateSchemaVersionRequest, caller: Caller
    ) -> CreateSchemaVersionResponse:
        parsed = await asyncio.to_thread(wire.new_version, request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        created = await self._versions.create(
            parsed.ref, parsed.new, strict=parsed.strict, expected=parsed.expected, context=parsed.context
        )
        return await asyncio.to_thread(new_version_response, parsed.answer, created, epoch)

    async def ListSchemaVersions(
        self, request: ListSchemaVersionsRequest, caller: Caller
    ) -> ListSchemaVersionsResponse:
        parsed = wire.version_listing(request)
        epoch = self._feed.epoch_for(parsed.epoch)
        page = await self._schemas.list_versions(parsed.listing)
        return await asyncio.to_thread(versions_response, request, page, epoch, as_text=parsed.as_text)

    async def CheckSchemaVersion(
        self, request: CheckSchemaVersionRequest, caller: Caller
    ) -> CheckSchemaVersionResponse:
        parsed = await asyncio.to_thread(wire.checked_version, request)
        epoch = self._feed.epoch_for(parsed.epoch)
        return check_response(await self._versions.check(parsed.ref, parsed.new, parsed.moment), epoch)

    async def DeleteSchema(self, request: DeleteSchemaRequest, caller: Caller) -> DeleteSchemaResponse:
        parsed = wire.deletion(request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        deleted = await self._schemas.delete(
            parsed.ref, expected=parsed.expected, allow_missing=parsed.allow_missing, context=parsed.context
        )
        return DeleteSchemaResponse(revision=deleted.result, epoch=epoch, changed=deleted.changed)

    async def ImportSchemas(self, request: ImportSchemasRequest, caller: Caller) -> ImportSchemasResponse:
        parsed = await asyncio.to_thread(wire.schema_import, request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        imported = await self._importer.run(parsed.imported, strict=parsed.strict, context=parsed.context)
        return await asyncio.to_thread(import_response, imported, epoch)
