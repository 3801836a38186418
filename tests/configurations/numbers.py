"""Helpers that set and read a number in a configuration."""

from configapi.v1.access_service_pb2 import GetCallerRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from tests.service import Service
from tests.storage.reading import Session, application, configuration


async def by_id(service: Service, configuration_id: str, min_revision: int = 0) -> Configuration:
    request = GetConfigurationRequest(id=configuration_id, min_revision=min_revision)
    return (await service.configurations.GetConfiguration(request)).configuration


async def set_number(session: Session, number: int, name: str = "web") -> int:
    """Change a configuration in SQL; return its revision."""
    await session.execute(
        "UPDATE configurations SET config = jsonb_build_object('n', $1::int) WHERE name = $2", number, name
    )
    return await session.fetchval("SELECT revision FROM revision_counter")


async def shop(session: Session, *names: str) -> None:
    """Create an application with configurations; the feed must reach the revision of the last one."""
    await application(session)
    for name in names:
        await configuration(session, name, '{"n": 0}')


def number_of(configuration: Configuration) -> float:
    return configuration.config.fields["n"].number_value


async def arrived(service: Service) -> None:
    """Wait until the earlier calls have reached the server, as far as a client can tell."""
    for _ in range(3):
        await service.access.GetCaller(GetCallerRequest())
