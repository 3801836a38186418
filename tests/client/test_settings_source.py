"""Settings that begin with a configuration."""

import asyncio

import pytest
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from configapi.v1.server_service_pb2 import ListWatchesRequest
from configsvc.client.blocking import ConfigClient
from configsvc.client.settings_source import ConfigSettingsSource
from tests.client.clients import put
from tests.service import Service
from tests.storage.reading import Session


def settings_of(address: str, name: str) -> type[BaseSettings]:
    class Settings(BaseSettings):
        replicas: int
        regions: list[str] = []
        debug: bool = False

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            client = ConfigClient(address, application="shop", start_timeout=20.0)
            return env_settings, ConfigSettingsSource(settings_cls, client, name)

    return Settings


async def test_settings_begin_with_a_configuration_and_variables_count_more(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(psql, "web", '{"replicas": 3, "regions": ["eu"], "unknown": 1}')
    monkeypatch.setenv("DEBUG", "true")
    made = await asyncio.to_thread(settings_of(service.address, "web"))
    assert made.model_dump() == {"replicas": 3, "regions": ["eu"], "debug": True}


async def test_settings_follow_no_change_as_their_client_is_closed(service: Service, psql: Session) -> None:
    await put(psql, "web", '{"replicas": 3}')
    made = await asyncio.to_thread(settings_of(service.address, "web"))
    assert list((await service.server.ListWatches(ListWatchesRequest())).watches) == []
    await put(psql, "web", '{"replicas": 4}')
    assert made.model_dump()["replicas"] == 3
    anew = await asyncio.to_thread(settings_of(service.address, "web"))
    assert anew.model_dump()["replicas"] == 4


async def test_settings_without_their_configuration_are_not_made(service: Service) -> None:
    with pytest.raises(KeyError, match="web"):
        await asyncio.to_thread(settings_of(service.address, "web"))
