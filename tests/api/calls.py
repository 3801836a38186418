"""Helpers that call the service and check its errors."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    ExportConfigurationsRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    UpdateConfigurationRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject
from tests.service import Service, error_info_of, reason_of, status_of, struct

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

Caught = pytest.ExceptionInfo[grpc.aio.AioRpcError]

SHOP = ApplicationRef(name="shop")


async def create_application(service: Service, name: str = "shop", **fields: Any) -> Application:
    request = CreateApplicationRequest(name=name, **fields)
    return (await service.applications.CreateApplication(request)).application


def creation(
    name: str, config: JsonObject | None = None, application: str = "shop", **fields: Any
) -> CreateConfigurationRequest:
    return CreateConfigurationRequest(
        application=ApplicationRef(name=application), name=name, config=struct(config or {}), **fields
    )


async def create(
    service: Service, name: str, config: JsonObject | None = None, application: str = "shop", **fields: Any
) -> Configuration:
    response = await service.configurations.CreateConfiguration(creation(name, config, application, **fields))
    return response.configuration


def key(name: str, application: str = "shop") -> ConfigurationKey:
    return ConfigurationKey(application=application, name=name)


def key_ref(name: str, application: str = "shop") -> ConfigurationRef:
    return ConfigurationRef(key=key(name, application))


async def get(service: Service, name: str, application: str = "shop", min_revision: int = 0) -> Configuration:
    request = GetConfigurationRequest(key=key(name, application), min_revision=min_revision)
    return (await service.configurations.GetConfiguration(request)).configuration


async def update(service: Service, name: str, **fields: Any) -> Configuration:
    request = UpdateConfigurationRequest(key=key(name), **fields)
    return (await service.configurations.UpdateConfiguration(request)).configuration


async def patch(service: Service, name: str, merge_patch: JsonObject, **fields: Any) -> Configuration:
    return await update(service, name, merge_patch=struct(merge_patch), **fields)


async def delete(service: Service, name: str, **fields: Any) -> int:
    request = DeleteConfigurationRequest(key=key(name), **fields)
    return (await service.configurations.DeleteConfiguration(request)).revision


def list_request(**fields: Any) -> ListConfigurationsRequest:
    """Return the request of a list; fields of a selector are put into it."""
    chosen = {name: fields.pop(name) for name in ConfigurationSelector.DESCRIPTOR.fields_by_name if name in fields}
    return ListConfigurationsRequest(selector=ConfigurationSelector(**chosen) if chosen else None, **fields)


def export_request(**fields: Any) -> ExportConfigurationsRequest:
    """Return the request of an export; fields of a selector are put into it."""
    chosen = {name: fields.pop(name) for name in ConfigurationSelector.DESCRIPTOR.fields_by_name if name in fields}
    return ExportConfigurationsRequest(selector=ConfigurationSelector(**chosen) if chosen else None, **fields)


async def pages(service: Service, **fields: Any) -> list[ListConfigurationsResponse]:
    """Return all pages of a list; fields of a selector choose."""
    found: list[ListConfigurationsResponse] = []
    token = ""
    while not found or token:
        request = list_request(page_token=token, **fields)
        found.append(await service.configurations.ListConfigurations(request))
        token = found[-1].next_page_token
    return found


async def names(service: Service, **fields: Any) -> list[str]:
    """Return the names of all configurations that a list shows."""
    return [configuration.name for page in await pages(service, **fields) for configuration in page.configurations]


async def head(service: Service) -> int:
    """Return the revision of the database's last commit."""
    response = await service.applications.ListApplications(ListApplicationsRequest(page_size=1))
    return response.revision


def content(config: Struct) -> Any:
    """Return the JSON of a Struct, with every number as a float."""
    return MessageToDict(config)


def fields_at_fault(error: grpc.aio.AioRpcError) -> list[str]:
    """Return the fields that the BadRequest of an error names, each as often as it occurs."""
    bad_request = BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status_of(error).details)
    return [violation.field for violation in bad_request.field_violations]


@contextmanager
def failing(code: grpc.StatusCode, reason: str) -> Generator[Caught]:
    """Expect the call in this context to fail with the status and reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield caught
    assert (caught.value.code(), reason_of(caught.value)) == (code, reason)
    assert error_info_of(caught.value).domain == "configsvc"


@asynccontextmanager
async def refused(service: Service, *fields: str) -> AsyncGenerator[Caught]:
    """Expect an INVALID_ARGUMENT that names the fields and changes nothing."""
    before = await head(service)
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        yield caught
    assert sorted(fields_at_fault(caught.value)) == sorted(fields), sorted(fields_at_fault(caught.value))
    assert await head(service) == before
