"""SchemaService: requests to use cases, answers to messages."""

import asyncio

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
from configsvc.domain.errors import Violations
from configsvc.domain.scope import Everything
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.operations.migrations import ConfigurationMigrations
from configsvc.schemas.imports import SchemaImporter
from configsvc.schemas.use_cases import Schemas
from configsvc.schemas.versions import SchemaVersions
from configsvc.wire import requests, schema_requests
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.responses import fitting
from configsvc.wire.schemas import (
    check_message,
    fitting_versions,
    import_message,
    schema_message,
    schema_version_message,
)


class SchemaServicer:
    """Its methods are named for the RPCs that they answer. Documents are read and written in threads, for a large one
    would hold up all other calls.
    """

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
        wanted = await asyncio.to_thread(schema_requests.migration, request, caller)
        if wanted.application is None:
            caller.require_everywhere(Role.EDITOR)
        else:
            caller.require_application(Role.EDITOR, wanted.application)
        operation = await self._migrations.start(wanted.settings, wanted.application, wanted.context)
        return operation_message(operation)

    async def CreateSchema(self, request: CreateSchemaRequest, caller: Caller) -> Schema:
        wanted = await asyncio.to_thread(schema_requests.new_schema, request, caller)
        created = await self._schemas.create(wanted.name, wanted.comments, wanted.new, wanted.context)
        return schema_message(created, wanted.new.additions)

    async def GetSchema(self, request: GetSchemaRequest, caller: Caller) -> Schema:
        violations = Violations()
        ref = schema_requests.schema_ref(request, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        violations.check()
        return schema_message(await self._schemas.get(ref, min_revision=min_revision))

    async def GetSchemaVersion(self, request: GetSchemaVersionRequest, caller: Caller) -> SchemaVersion:
        violations = Violations()
        ref = schema_requests.schema_ref(request, violations)
        version = requests.non_negative(request.version, "version", violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        violations.check()
        found = await self._schemas.get_version(ref, version, min_revision=min_revision)
        return await asyncio.to_thread(schema_version_message, found)

    async def ListSchemas(self, request: ListSchemasRequest, caller: Caller) -> ListSchemasResponse:
        violations = Violations()
        name_prefix = requests.name_prefix(request.name_prefix, "name_prefix", violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(str,), violations=violations)
        violations.check()
        page = await self._schemas.list_page(
            name_prefix=name_prefix,
            min_revision=min_revision,
            revision=token.revision if token else None,
            after=str(token.after[0]) if token else None,
            limit=limit,
        )
        shown = fitting(map(schema_message, page.resources))
        last_key = (shown[-1].name,) if len(shown) < len(page.resources) else page.last_key
        return ListSchemasResponse(
            schemas=shown,
            next_page_token=page_token(request, revision=page.revision, resource_id=None, after=last_key),
            revision=page.revision,
        )

    async def CreateSchemaVersion(self, request: CreateSchemaVersionRequest, caller: Caller) -> SchemaVersion:
        wanted = await asyncio.to_thread(schema_requests.new_version, request, caller)
        created = await self._versions.create(
            wanted.ref,
            wanted.new,
            strict=wanted.strict,
            expected_version=wanted.expected_version,
            context=wanted.context,
        )
        return await asyncio.to_thread(schema_version_message, created)

    async def ListSchemaVersions(
        self, request: ListSchemaVersionsRequest, caller: Caller
    ) -> ListSchemaVersionsResponse:
        violations = Violations()
        ref = schema_requests.schema_ref(request, violations)
        with_document = schema_requests.wants_document(request.view, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(int,), violations=violations)
        violations.check()
        page = await self._schemas.list_versions(
            ref,
            min_revision=min_revision,
            before=(int(token.after[0]), token.resource_id or "") if token else None,
            limit=limit,
            with_document=with_document,
            limit_bytes=MAX_RESPONSE_BYTES,
        )
        shown = await asyncio.to_thread(fitting_versions, page.versions)
        goes_on = page.goes_on or len(shown) < len(page.versions)
        last_key = (shown[-1].version,) if goes_on else None
        return ListSchemaVersionsResponse(
            versions=shown,
            next_page_token=page_token(request, revision=page.revision, resource_id=page.schema_id, after=last_key),
            revision=page.revision,
        )

    async def CheckSchemaVersion(
        self, request: CheckSchemaVersionRequest, caller: Caller
    ) -> CheckSchemaVersionResponse:
        ref, new = await asyncio.to_thread(schema_requests.checked_version, request)
        return check_message(await self._versions.check(ref, new))

    async def DeleteSchema(self, request: DeleteSchemaRequest, caller: Caller) -> DeleteSchemaResponse:
        violations = Violations()
        ref = schema_requests.schema_ref(request, violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, Everything(), violations)
        violations.check()
        revision = await self._schemas.delete(ref, expected_version=expected_version, context=context)
        return DeleteSchemaResponse(revision=revision)

    async def ImportSchemas(self, request: ImportSchemasRequest, caller: Caller) -> ImportSchemasResponse:
        wanted = await asyncio.to_thread(schema_requests.schema_import, request, caller)
        return import_message(await self._importer.run(wanted.imported, strict=wanted.strict, context=wanted.context))
