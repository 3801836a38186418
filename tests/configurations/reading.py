"""Helpers that read history."""

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from configapi.v1.audit_service_pb2 import Change, ListChangesRequest, ListChangesResponse
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationItem,
    ConfigurationVersion,
    DiffConfigurationVersionsRequest,
    DiffConfigurationVersionsResponse,
    ExportConfigurationsResponse,
    GetConfigurationRequest,
    ListConfigurationVersionsRequest,
    ListConfigurationVersionsResponse,
)
from tests.api.calls import export_request, key, update
from tests.service import Service, struct


async def rename(service: Service, name: str, new: str) -> Configuration:
    return await update(service, name, configuration=Configuration(name=new))


async def rewrite(service: Service, name: str, config: dict[str, Any], **fields: Any) -> Configuration:
    return await update(service, name, configuration=Configuration(config=struct(config)), **fields)


async def get_at(service: Service, **fields: Any) -> Configuration:
    """Return the configuration that the fields name, shop's web by default, at an earlier moment."""
    if not {"id", "key"} & fields.keys():
        fields["key"] = key("web")
    return (await service.configurations.GetConfiguration(GetConfigurationRequest(**fields))).configuration


async def version_pages(service: Service, **fields: Any) -> list[ListConfigurationVersionsResponse]:
    """Return all pages of the versions of a configuration, shop's web by default."""
    if not {"id", "key"} & fields.keys():
        fields["key"] = key("web")
    pages: list[ListConfigurationVersionsResponse] = []
    token = ""
    while not pages or token:
        request = ListConfigurationVersionsRequest(page_token=token, **fields)
        pages.append(await service.configurations.ListConfigurationVersions(request))
        token = pages[-1].next_page_token
    return pages


async def versions(service: Service, **fields: Any) -> list[ConfigurationVersion]:
    return [version for page in await version_pages(service, **fields) for version in page.versions]


async def diff(service: Service, **fields: Any) -> DiffConfigurationVersionsResponse:
    """Return the difference between versions of a configuration, shop's web by default."""
    if not {"id", "key"} & fields.keys():
        fields["key"] = key("web")
    return await service.configurations.DiffConfigurationVersions(DiffConfigurationVersionsRequest(**fields))


async def change_pages(service: Service, **fields: Any) -> list[ListChangesResponse]:
    pages: list[ListChangesResponse] = []
    token = ""
    while not pages or token:
        pages.append(await service.audit.ListChanges(ListChangesRequest(page_token=token, **fields)))
        token = pages[-1].next_page_token
    return pages


async def changes(service: Service, **fields: Any) -> list[Change]:
    return [change for page in await change_pages(service, **fields) for change in page.changes]


async def export(service: Service, **fields: Any) -> list[ExportConfigurationsResponse]:
    request = export_request(**fields)
    return [message async for message in service.configurations.ExportConfigurations(request)]


def items(messages: list[ExportConfigurationsResponse]) -> list[ConfigurationItem]:
    return [item for message in messages for item in message.items]


def timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
