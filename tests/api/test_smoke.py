from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    WatchConfigurationsRequest,
)
from tests.service import Service, struct


async def test_a_watch_begins_with_a_snapshot_and_sees_a_change(service: Service) -> None:
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"))
    watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
    first = await watch.read()
    assert first.synced and first.revision == 1
    created = await service.configurations.CreateConfiguration(
        CreateConfigurationRequest(application=ApplicationRef(name="shop"), name="web", config=struct({"a": 1}))
    )
    second = await watch.read()
    assert second.events[0].configuration == created
    watch.cancel()
