"""Helpers that apply sources."""

from typing import Any

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import ConfigurationWrite
from configapi.v1.source_pb2 import Source, SourceRevision
from configapi.v1.source_service_pb2 import (
    ApplySourceRequest,
    ApplySourceResponse,
    ListAppliedConfigurationsRequest,
    ListSourcesRequest,
)
from tests.service import Service

REPOSITORY = "https://git.example.com/team/configs.git"
PATH = "environments/production"


def revision(commit: str = "c1", *, repository: str = REPOSITORY, path: str = PATH) -> SourceRevision:
    return SourceRevision(repository=repository, path=path, commit=commit)


async def apply(
    service: Service, application: str, *writes: ConfigurationWrite, commit: str = "c1", **fields: Any
) -> ApplySourceResponse:
    """Apply writes from the repository, unless `source` is another one."""
    given: dict[str, Any] = {"source": revision(commit)}
    request = ApplySourceRequest(application=ApplicationRef(name=application), writes=writes, **given | fields)
    return await service.sources.ApplySource(request)


async def sources(service: Service, **fields: Any) -> list[Source]:
    return list((await service.sources.ListSources(ListSourcesRequest(**fields))).sources)


async def source_of(service: Service, application: str) -> Source | None:
    """Return the source of an application, if it has one."""
    found = await sources(service, application=ApplicationRef(name=application))
    return found[0] if found else None


async def marks(service: Service, application: str) -> dict[str, tuple[str, int]]:
    """Return what the source of an application owns: names and versions by id."""
    request = ListAppliedConfigurationsRequest(application=ApplicationRef(name=application), page_size=1000)
    answer = await service.sources.ListAppliedConfigurations(request)
    return {one.id: (one.name, one.version) for one in answer.applied_configurations}
