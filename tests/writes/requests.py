"""Helpers that make single writes and return their whole responses."""

from typing import Any

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    CreateConfigurationResponse,
    DeleteConfigurationRequest,
    DeleteConfigurationResponse,
    RollbackConfigurationRequest,
    RollbackConfigurationResponse,
    UndeleteConfigurationRequest,
    UndeleteConfigurationResponse,
    UpdateConfigurationRequest,
    UpdateConfigurationResponse,
)
from tests.api.calls import SHOP, key
from tests.service import Service


async def creating(
    service: Service, name: str = "web", application: ApplicationRef = SHOP, **fields: Any
) -> CreateConfigurationResponse:
    request = CreateConfigurationRequest(application=application, name=name, **fields)
    return await service.configurations.CreateConfiguration(request)


async def updating(service: Service, name: str = "web", **fields: Any) -> UpdateConfigurationResponse:
    request = UpdateConfigurationRequest(**_named(name, fields))
    return await service.configurations.UpdateConfiguration(request)


async def deleting(service: Service, name: str = "web", **fields: Any) -> DeleteConfigurationResponse:
    request = DeleteConfigurationRequest(**_named(name, fields))
    return await service.configurations.DeleteConfiguration(request)


async def rolling_back(service: Service, name: str = "web", **fields: Any) -> RollbackConfigurationResponse:
    request = RollbackConfigurationRequest(**_named(name, fields))
    return await service.configurations.RollbackConfiguration(request)


async def undeleting(service: Service, name: str = "web", **fields: Any) -> UndeleteConfigurationResponse:
    request = UndeleteConfigurationRequest(**_named(name, fields))
    return await service.configurations.UndeleteConfiguration(request)


def _named(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return fields if "id" in fields else {"key": key(name)} | fields
