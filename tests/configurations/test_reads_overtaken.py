"""Concurrent reads and changes of the same configuration: no reader sees it go back."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest
from tests.api.calls import create, create_application, failing, get, key, patch, update
from tests.configurations.numbers import arrived, by_id, number_of, set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.feed.pausing import PausedFeed, fed
from tests.postgres import plain_connection, terminate
from tests.service import Service, running_service
from tests.storage.reading import Session, head

READER_PAUSE_SECONDS = 0.005


async def test_a_read_that_a_change_overtook_is_not_remembered(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    reads.pause()
    early = asyncio.create_task(get(service, "web"))
    await reads.answered()
    await fed(service, await set_number(psql, 1))
    reads.resume()
    # This read began before the change, so it may show the earlier state.
    assert number_of(await early) == 0
    assert number_of(await get(service, "web")) == 1
    assert reads.begun == 2


async def test_who_comes_after_a_change_does_not_share_a_read_from_before_it(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    reads.pause()
    early = asyncio.create_task(get(service, "web"))
    await reads.answered()
    await fed(service, await set_number(psql, 1))
    late = [asyncio.create_task(get(service, "web")) for _ in range(5)]
    await arrived(service)
    reads.resume()
    assert number_of(await early) == 0
    assert {number_of(answer) for answer in await asyncio.gather(*late)} == {1}
    assert reads.begun == 2


async def test_a_read_by_another_name_does_not_bring_back_what_was_replaced(
    service: Service, psql: Session, reads: DatabaseReads, feed: PausedFeed
) -> None:
    # The feed does not know of the change yet; one answer under another name is enough.
    await shop(psql, "web")
    await fed(service, 2)
    configuration_id = (await get(service, "web")).id
    await fed(service, await set_number(psql, 1))
    feed.pause()
    reads.pause()
    early = asyncio.create_task(by_id(service, configuration_id))
    await reads.answered()
    reads.pause_no_more()
    await set_number(psql, 2)
    assert number_of(await get(service, "web")) == 2
    reads.resume()
    assert number_of(await early) == 1
    assert number_of(await by_id(service, configuration_id)) == 2
    assert number_of(await get(service, "web")) == 2


async def test_a_read_that_began_before_a_write_is_not_remembered_after_it(
    service: Service, feed: PausedFeed, reads: DatabaseReads
) -> None:
    await create_application(service)
    await create(service, "web", {"n": 1})
    await fed(service, 2)
    feed.pause()
    reads.pause()
    early = asyncio.create_task(get(service, "web"))
    await reads.answered()
    reads.pause_no_more()
    await patch(service, "web", {"n": 2})
    reads.resume()
    assert number_of(await early) == 1
    assert number_of(await get(service, "web")) == 2


async def changed(service: Service, web: Configuration) -> None:
    await patch(service, "web", {"n": 7})
    assert number_of(await get(service, "web")) == number_of(await by_id(service, web.id)) == 7


async def renamed(service: Service, web: Configuration) -> None:
    await update(service, "web", configuration=Configuration(name="site"))
    assert (await by_id(service, web.id)).name == (await get(service, "site")).name == "site"
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(service, "web")


async def deleted(service: Service, web: Configuration) -> None:
    await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("web")))
    for call in (get(service, "web"), by_id(service, web.id)):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await call


async def made_again(service: Service, web: Configuration) -> None:
    await deleted(service, web)
    made = await create(service, "web", {"n": 8})
    assert await get(service, "web") == await by_id(service, made.id) == made


async def application_renamed(service: Service, web: Configuration) -> None:
    request = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await service.applications.UpdateApplication(request)
    assert (await by_id(service, web.id)).application == (await get(service, "web", "store")).application == "store"
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(service, "web")


async def application_deleted(service: Service, web: Configuration) -> None:
    await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", force=True))
    for call in (get(service, "web"), by_id(service, web.id)):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await call


Change = Callable[[Service, Configuration], Awaitable[None]]
CHANGES = (changed, renamed, deleted, made_again, application_renamed, application_deleted)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_write_that_was_answered_is_read_at_once_in_its_process(
    service: Service, feed: PausedFeed, change: Change
) -> None:
    # The feed does not know of the write yet.
    await create_application(service)
    web = await create(service, "web", {"n": 1})
    await fed(service, 2)
    await get(service, "web")
    feed.pause()
    await change(service, web)
    feed.resume()


async def test_a_read_that_began_before_a_write_is_not_shared_after_it(
    service: Service, feed: PausedFeed, reads: DatabaseReads
) -> None:
    await create_application(service)
    web = await create(service, "web", {"n": 1})
    await fed(service, 2)
    feed.pause()
    reads.pause()
    early = asyncio.create_task(get(service, "web"))
    await reads.answered()
    await patch(service, "web", {"n": 2})
    late = asyncio.create_task(get(service, "web"))
    await arrived(service)
    reads.resume()
    assert (number_of(await early), number_of(await late)) == (1, 2)
    assert number_of(await by_id(service, web.id)) == 2


class Hammer:
    """A client that reads a few configurations again and again, alternately by id and by key, and writes them, until it
    is told to stop.
    """

    def __init__(self, service: Service, ids: dict[str, str]) -> None:
        self.steps_back: list[tuple[str, int, int]] = []
        self.stopped = False
        self._service = service
        self._ids = ids

    async def read(self, name: str) -> None:
        last = 0
        while not self.stopped:
            for call in (by_id(self._service, self._ids[name]), get(self._service, name)):
                version = (await call).version
                if version < last:
                    self.steps_back.append((name, last, version))
                last = version
            # The readers leave PostgreSQL a processor: without one, the writes run into their time limit.
            await asyncio.sleep(READER_PAUSE_SECONDS)

    async def write(self, name: str, through: Service) -> None:
        for number in range(40):
            updated = await patch(through, name, {"n": number})
            if through is self._service:
                assert (await get(through, name)).version >= updated.version


async def write_in_sql(database_url: str, names: list[str]) -> None:
    """Change the configurations in turn, and cut off the feeds now and then."""
    async with plain_connection(database_url) as session:
        for number in range(60):
            await set_number(session, 1000 + number, names[number % len(names)])
            if number % 20 == 10:
                await terminate(session, "configsvc feed")


async def test_a_configuration_never_goes_back_in_one_process(psql: Session, database_url: str) -> None:
    # This process, another one and psql write, and the feed loses its connection.
    names = ["c0", "c1", "c2"]
    await shop(psql, *names)
    async with running_service(database_url) as service, running_service(database_url) as other:
        hammer = Hammer(service, {name: (await get(service, name)).id for name in names})
        async with asyncio.TaskGroup() as readers:
            for name in names * 2:
                readers.create_task(hammer.read(name))
            async with asyncio.TaskGroup() as writers:
                writers.create_task(write_in_sql(database_url, names))
                for name in names:
                    writers.create_task(hammer.write(name, service))
                    writers.create_task(hammer.write(name, other))
            hammer.stopped = True
        assert hammer.steps_back == []
        await fed(service, await head(psql))
        for name in names:
            latest = await psql.fetchval("SELECT version FROM configurations WHERE name = $1", name)
            assert (await get(service, name)).version == latest
