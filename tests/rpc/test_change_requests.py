"""The field change_request of every method that has one."""

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.empty_pb2 import Empty

from configapi.v1 import (
    access_service_pb2,
    application_service_pb2,
    audit_service_pb2,
    configuration_service_pb2,
    operation_service_pb2,
    schema_service_pb2,
    server_service_pb2,
    source_service_pb2,
)
from configapi.v1.access_service_pb2 import CreateRoleBindingRequest, DeleteRoleBindingRequest, Role
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import Change, ListChangesRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    DeleteConfigurationRequest,
    RollbackConfigurationRequest,
    UndeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    CreateSchemaRequest,
    DeleteSchemaRequest,
    MigrateConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.source_service_pb2 import ApplySourceRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import create, create_application, creation, delete, fields_at_fault, head, key, update
from tests.api.sources import revision
from tests.operations.operating import ended, item, messages
from tests.schemas.calls import add_version, create_schema, import_request, version_request
from tests.service import Service, struct
from tests.writes import batches

Call = Callable[..., Awaitable[Any]]
FILES = (
    access_service_pb2,
    application_service_pb2,
    audit_service_pb2,
    configuration_service_pb2,
    operation_service_pb2,
    schema_service_pb2,
    server_service_pb2,
    source_service_pb2,
)
IN_METADATA = (("x-change-request", "metadata-1"),)
DOCUMENT: JsonObject = {"type": "object", "minProperties": 0}

METHODS = {
    method.name
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if "change_request" in method.input_type.fields_by_name
}


async def prepared(service: Service) -> str:
    """Make something that each method can change: return the id of a role binding."""
    await create_application(service)
    await create_application(service, "bank")
    await create_schema(service, "unused")
    await create_schema(service, "web", {})
    await create(service, "web", {"n": 1})
    await update(service, "web", merge_patch=struct({"n": 2}))
    await create(service, "gone")
    await delete(service, "gone")
    pinned = [item("pinned", schema="web@1")]
    await ended(service, await service.configurations.ImportConfigurations(messages(pinned)))
    await add_version(service, DOCUMENT)
    binding = CreateRoleBindingRequest(principal="user:ann", role=Role.ROLE_VIEWER, all_applications=Empty())
    return (await service.access.CreateRoleBinding(binding)).role_binding.id


def calls(service: Service, binding_id: str) -> dict[str, Callable[[dict[str, Any]], tuple[Call, Any]]]:
    """Return a call that changes something for each method: the method, and its request with the given fields."""
    applications, configurations, schemas = service.applications, service.configurations, service.schemas
    shop = ApplicationRef(name="shop")
    return {
        "CreateApplication": lambda more: (
            applications.CreateApplication,
            CreateApplicationRequest(name="new", **more),
        ),
        "UpdateApplication": lambda more: (
            applications.UpdateApplication,
            UpdateApplicationRequest(name="bank", application=Application(comments="new"), **more),
        ),
        "DeleteApplication": lambda more: (
            applications.DeleteApplication,
            DeleteApplicationRequest(name="bank", **more),
        ),
        "CreateConfiguration": lambda more: (configurations.CreateConfiguration, creation("new", **more)),
        "UpdateConfiguration": lambda more: (
            configurations.UpdateConfiguration,
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(comments="new"), **more),
        ),
        "DeleteConfiguration": lambda more: (
            configurations.DeleteConfiguration,
            DeleteConfigurationRequest(key=key("web"), **more),
        ),
        "RollbackConfiguration": lambda more: (
            configurations.RollbackConfiguration,
            RollbackConfigurationRequest(key=key("web"), version=1, **more),
        ),
        "UndeleteConfiguration": lambda more: (
            configurations.UndeleteConfiguration,
            UndeleteConfigurationRequest(key=key("gone"), **more),
        ),
        "BatchWriteConfigurations": lambda more: (
            configurations.BatchWriteConfigurations,
            BatchWriteConfigurationsRequest(writes=[batches.deletion("web")], **more),
        ),
        "ImportConfigurations": lambda more: (
            configurations.ImportConfigurations,
            messages([item("imported")], **more),
        ),
        "CreateSchema": lambda more: (
            schemas.CreateSchema,
            CreateSchemaRequest(name="new", document=struct({}), **more),
        ),
        "CreateSchemaVersion": lambda more: (
            schemas.CreateSchemaVersion,
            version_request({"maxProperties": 9}, mode=SCHEMA_VERSION_MODE_PINNED, **more),
        ),
        "DeleteSchema": lambda more: (schemas.DeleteSchema, DeleteSchemaRequest(name="unused", **more)),
        "ImportSchemas": lambda more: (schemas.ImportSchemas, import_request({"new": {}}, **more)),
        "MigrateConfigurations": lambda more: (
            schemas.MigrateConfigurations,
            MigrateConfigurationsRequest(
                schema="web", to_version=2, selector=ConfigurationSelector(application=shop), **more
            ),
        ),
        "CreateRoleBinding": lambda more: (
            service.access.CreateRoleBinding,
            CreateRoleBindingRequest(principal="user:bob", role=Role.ROLE_VIEWER, application=shop, **more),
        ),
        "DeleteRoleBinding": lambda more: (
            service.access.DeleteRoleBinding,
            DeleteRoleBindingRequest(id=binding_id, **more),
        ),
        "ApplySource": lambda more: (
            service.sources.ApplySource,
            ApplySourceRequest(
                application=shop, source=revision(), adopt=True, writes=[batches.deletion("web")], **more
            ),
        ),
    }


async def changes_after(service: Service, revision: int) -> list[Change]:
    return [*(await service.audit.ListChanges(ListChangesRequest(after_revision=revision))).changes]


async def test_every_method_with_a_reason_takes_a_change_request(service: Service) -> None:
    methods = chain.from_iterable(
        service.methods for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
    )
    assert {method.name for method in methods if "reason" in method.input_type.fields_by_name} == METHODS
    assert calls(service, "").keys() == METHODS


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_the_change_request_of_a_request_is_in_the_audit_trail_whatever_the_metadata_say(
    service: Service, method: str
) -> None:
    build = calls(service, await prepared(service))[method]
    before = await head(service)
    call, request = build({"change_request": "field-1"})
    answer = await call(request, metadata=IN_METADATA)
    if isinstance(answer, Operation):
        await ended(service, answer)
    found = await changes_after(service, before)
    assert found
    assert {change.origin.change_request for change in found} == {"field-1"}


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_a_change_request_that_does_not_fit_is_refused(shop: Service, method: str) -> None:
    for bad in ("x" * 257, "line\nbreak", "Größe"):
        call, request = calls(shop, "01ARZ3NDEKTSV4RRFFQ69G5FAV")[method]({"change_request": bad})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_at_fault(caught.value) == ["change_request"]
