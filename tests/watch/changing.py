"""Helpers that change watched resources."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    HistoryPosition,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.content import JsonObject
from tests.service import Service, struct
from tests.storage.reading import (
    Session,
)

# The interval of bookmarks.
OFTEN = Duration(nanos=100_000_000)


async def create_application(service: Service, name: str = "shop") -> Application:
    return (await service.applications.CreateApplication(CreateApplicationRequest(name=name))).application


async def create(
    service: Service, name: str, config: JsonObject | None = None, *, application: str = "shop", reason: str = ""
) -> Configuration:
    response = await service.configurations.CreateConfiguration(
        CreateConfigurationRequest(
            application=ApplicationRef(name=application), name=name, config=struct(config or {}), reason=reason
        )
    )
    return response.configuration


async def patch(
    service: Service, name: str, merge_patch: JsonObject, *, application: str = "shop", reason: str = ""
) -> Configuration:
    response = await service.configurations.UpdateConfiguration(
        UpdateConfigurationRequest(
            key=ConfigurationKey(application=application, name=name), merge_patch=struct(merge_patch), reason=reason
        )
    )
    return response.configuration


async def rename(service: Service, name: str, new_name: str, *, application: str = "shop") -> Configuration:
    response = await service.configurations.UpdateConfiguration(
        UpdateConfigurationRequest(
            key=ConfigurationKey(application=application, name=name), configuration=Configuration(name=new_name)
        )
    )
    return response.configuration


async def delete(service: Service, name: str, *, application: str = "shop", reason: str = "") -> int:
    response = await service.configurations.DeleteConfiguration(
        DeleteConfigurationRequest(key=ConfigurationKey(application=application, name=name), reason=reason)
    )
    return response.revision


async def fill(session: Session, count: int, *, application: str = "shop", prefix: str = "c", size: int = 1) -> None:
    """Create many configurations in one commit, each with a text of the size."""
    await session.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT $1, $2 || lpad(number::text, 5, '0'), jsonb_build_object('text', repeat('x', $3), 'number', number)
        FROM generate_series(1, $4) AS number""",
        application,
        prefix,
        size,
        count,
    )


async def commit_one_by_one(session: Session, count: int, *, application: str = "shop", prefix: str = "n") -> None:
    """Create many configurations, each in its own commit."""
    for number in range(count):
        await session.execute(
            "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3)",
            application,
            f"{prefix}{number:05}",
            f'{{"number": {number}}}',
        )


def watching(*selectors: ConfigurationSelector, after_revision: int | None = None) -> WatchConfigurationsRequest:
    """Return a request for a watch. The epoch of a revision is still to be set: see `with_epoch`."""
    history = None if after_revision is None else HistoryPosition(after_revision=after_revision)
    return WatchConfigurationsRequest(selectors=selectors, history=history)


async def with_epoch(
    service: Service, request: WatchConfigurationsRequest, metadata: Sequence[tuple[str, str]] = ()
) -> WatchConfigurationsRequest:
    """Return the request with the present epoch, if it names a revision without one."""
    if request.HasField("history") and not request.history.epoch:
        status = await service.server.GetServerStatus(GetServerStatusRequest(), metadata=tuple(metadata))
        request.history.epoch = status.epoch
    return request


def selector(
    application: str | None = None, *, prefix: str = "", keys: tuple[str, ...] = (), application_id: str | None = None
) -> ConfigurationSelector:
    chosen = ConfigurationSelector(name_prefix=prefix, names=keys)
    if application is not None:
        chosen.application.name = application
    if application_id is not None:
        chosen.application.id = application_id
    return chosen


async def fill_one_by_one(session: Session, count: int) -> None:
    """Make commits of 100 kB each."""
    for number in range(count):
        await fill(session, 1, prefix=f"n{number:03}-", size=100_000)
