"""Linearizable reads: with `latest`, a read shows every commit acknowledged before it, by whichever process."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from grpc import StatusCode

from configapi.v1.configuration_pb2 import Configuration, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    GetConfigurationRequest,
    GetConfigurationResponse,
    ListConfigurationVersionsRequest,
)
from configsvc.configurations import reads as cached_reads
from configsvc.storage import log
from tests.api.calls import create, create_application, delete, failing, get, key, list_request, patch, refused
from tests.configurations.numbers import arrived, number_of, set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.configurations.reading import export, items
from tests.feed.pausing import PausedFeed, fed
from tests.feed.status import until_away
from tests.proxy import proxied
from tests.service import Service, connected, running_service
from tests.storage.reading import Session, head

LIMIT_SECONDS = 30.0


class HeadReads:
    """The counted questions for the head; while paused, each waits before it asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self._ask = log.head
        self._first = asyncio.Event()
        self.flowing = asyncio.Event()
        self.flowing.set()
        monkeypatch.setattr(log, "head", self._counted)

    async def _counted(self, connection: Any) -> int:
        self.begun += 1
        self._first.set()
        await self.flowing.wait()
        return await self._ask(connection)

    async def first(self) -> None:
        """Wait until somebody asks."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._first.wait()


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> HeadReads:
    return HeadReads(monkeypatch)


@pytest.fixture
def held(feed: PausedFeed, monkeypatch: pytest.MonkeyPatch) -> PausedFeed:
    """Return the feeds of all services: held back, they stay live, and only a `latest` read looks past them."""
    monkeypatch.setattr(cached_reads, "STALENESS_LIMIT_SECONDS", math.inf)
    monkeypatch.setattr(cached_reads, "FEED_LIMIT_SECONDS", 0.05)
    return feed


async def latest_response(service: Service, name: str = "web") -> GetConfigurationResponse:
    return await service.configurations.GetConfiguration(GetConfigurationRequest(key=key(name), latest=True))


async def latest(service: Service, name: str = "web") -> Configuration:
    return (await latest_response(service, name)).configuration


async def test_a_latest_read_shows_what_another_process_acknowledged_although_its_feed_is_held_back(
    psql: Session, database_url: str, held: PausedFeed
) -> None:
    await shop(psql, "web")
    async with running_service(database_url) as one, running_service(database_url) as other:
        await fed(other, 2)
        assert number_of(await get(other, "web")) == 0
        held.pause()
        for number in range(1, 4):
            changed = await patch(one, "web", {"n": number})
            # Another process may answer from its memory, if that is not asked for.
            assert number_of(await get(other, "web")) == number - 1
            response = await latest_response(other)
            assert (number_of(response.configuration), response.revision) == (number, changed.revision)
            # What one caller was shown, the others of this process are shown too.
            assert number_of(await get(other, "web")) == number
            # The feed may have fallen behind, and answers from memory.
            await get(one, "web")
        await delete(one, "web")
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await latest(other)
        held.resume()


async def test_a_latest_read_is_answered_from_memory_where_the_feed_has_caught_up(
    service: Service, psql: Session, reads: DatabaseReads, heads: HeadReads
) -> None:
    await shop(psql, "web", "api")
    await fed(service, 3)
    await get(service, "web")
    heads.begun = 0
    for _ in range(5):
        assert (await latest_response(service)).revision == 3
    assert (heads.begun, reads.begun) == (5, 1)
    await fed(service, await set_number(psql, 1, "api"))
    response = await latest_response(service)
    assert (number_of(response.configuration), response.revision) == (0, 4)
    assert reads.begun == 1


async def test_a_thousand_latest_reads_at_once_ask_for_the_head_twice(
    service: Service, psql: Session, reads: DatabaseReads, heads: HeadReads
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    await get(service, "web")
    heads.begun = 0
    heads.flowing.clear()
    # Those that come while somebody asks share the next question: the answer to this one may be too old for them.
    early = asyncio.create_task(latest(service))
    await heads.first()
    # On two connections, as one takes a thousand calls at once.
    async with connected(service.address, service.stop) as other:
        burst = [asyncio.create_task(latest(each)) for each in (service, other) for _ in range(500)]
        await arrived(service)
        await arrived(other)
        heads.flowing.set()
        assert {number_of(answer) for answer in await asyncio.gather(early, *burst)} == {0}
    assert heads.begun == 2
    assert reads.begun == 1


async def test_a_latest_read_does_not_take_the_head_of_another_history_for_its_own(
    service: Service, psql: Session, held: PausedFeed
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    assert number_of(await get(service, "web")) == 0
    held.pause()
    # As after a restore: the same revisions, and other contents.
    async with psql.transaction():
        await psql.execute("SET LOCAL session_replication_role = replica")
        await psql.execute("UPDATE configurations SET config = '{\"n\": 9}'")
        await psql.execute("UPDATE log_identity SET only_row = true")
    assert await head(psql) == 2
    assert number_of(await get(service, "web")) == 0
    assert number_of(await latest(service)) == 9
    held.resume()


async def test_a_latest_read_fails_while_the_database_cannot_be_asked(psql: Session, database_url: str) -> None:
    await shop(psql, "web")
    async with proxied(database_url) as (proxy, url), running_service(url) as service:
        await get(service, "web")
        await proxy.cut()
        await until_away(service)
        with failing(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"):
            await latest(service)
        proxy.restore()


async def got(service: Service) -> Configuration:
    request = BatchGetConfigurationsRequest(refs=[ConfigurationRef(key=key("web"))], latest=True)
    (result,) = (await service.configurations.BatchGetConfigurations(request)).results
    return result.configuration


async def listed(service: Service) -> Configuration:
    response = await service.configurations.ListConfigurations(list_request(name_prefix="web", latest=True))
    return response.configurations[0]


async def newest_version(service: Service) -> Configuration:
    request = ListConfigurationVersionsRequest(key=key("web"), page_size=1, latest=True)
    response = await service.configurations.ListConfigurationVersions(request)
    return response.versions[0].configuration


async def exported(service: Service) -> Configuration:
    (item,) = items(await export(service, latest=True))
    return Configuration(config=item.config)


@pytest.mark.parametrize("read", [got, listed, newest_version, exported])
async def test_the_other_reads_ask_the_database_and_are_always_the_latest(
    psql: Session, database_url: str, held: PausedFeed, read: Callable[[Service], Awaitable[Configuration]]
) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        created = await create(one, "web", {"n": 0})
        await fed(other, created.revision)
        held.pause()
        for number in range(1, 4):
            await patch(one, "web", {"n": number})
            assert number_of(await read(other)) == number
        held.resume()


async def test_latest_must_be_true_if_it_is_set(shop: Service) -> None:
    await create(shop, "web")
    requests: list[tuple[Callable[[Any], Awaitable[object]], Any]] = [
        (shop.configurations.GetConfiguration, GetConfigurationRequest(key=key("web"), latest=False)),
        (shop.configurations.ListConfigurations, list_request(latest=False)),
    ]
    for method, request in requests:
        async with refused(shop, "latest"):
            await method(request)
