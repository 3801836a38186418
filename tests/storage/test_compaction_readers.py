"""Readers of the history while compaction overtakes them."""

import asyncio

import grpc
import pytest

from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    ListApplicationsRequest,
)
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    DeleteConfigurationRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
)
from configsvc.app import housekeeping
from tests.api.calls import creation, failing
from tests.feed.status import status, until, until_away
from tests.proxy import far_service
from tests.service import Service, error_info_of, reason_of, running_service
from tests.storage.compacting import A_DAY, age, compact_once, compacted_revision
from tests.storage.reading import LIMIT_SECONDS, Session, application, configuration, head
from tests.watch.changing import (
    commit_one_by_one,
    create,
    create_application,
    fill,
    fill_one_by_one,
    patch,
    selector,
    watching,
)
from tests.watch.history import joined, read_history
from tests.watch.recording import SlowReader, recorded, slowly
from tests.watch.validators import ordered, unique, validate


async def until_compacted(reader: SlowReader, revision: int) -> None:
    """Read until the watch ends, and check that it does because the history is compacted up to the revision."""
    with failing(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED") as caught:
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                await reader.next()
    assert error_info_of(caught.value).metadata["compacted_revision"] == str(revision)


async def test_a_watch_is_resumed_from_the_compacted_revision_on_and_not_before(
    service: Service, psql: Session, database_url: str
) -> None:
    await create_application(service)
    await commit_one_by_one(psql, 5)
    await psql.execute("UPDATE configurations SET comments = 'all'")
    before = await read_history(database_url)
    await age(psql, up_to=6)
    await compact_once(database_url, A_DAY)
    for after in range(6):
        async with recorded(service, watching(after_revision=after)) as watch:
            error = await watch.until_error()
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
        assert error_info_of(error).metadata["compacted_revision"] == "6"
        assert not watch.recording.messages
    for request in (watching(after_revision=6), watching()):
        async with recorded(service, request) as watch:
            validate(await watch.until_revision(7), before)


async def test_a_lagging_watch_that_is_overtaken_gets_an_error_and_misses_nothing_before(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 2)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 10)
    await application(psql)
    async with running_service(database_url) as service, slowly(service) as slow, recorded(service) as quick:
        await slow.next()
        await quick.until_synced()
        # More than gRPC buffers for a client that does not read.
        await fill_one_by_one(psql, 150)
        await quick.until_revision(151)
        history = await read_history(database_url)
        await compact_once(database_url)
        await until_compacted(slow, 151)
        await configuration(psql, "later")
        validate(await quick.until_revision(152), joined(history, await read_history(database_url)))
    assert 1 < slow.recording.revision < 151
    validate(slow.recording, history)


async def test_a_lagging_watch_that_is_not_overtaken_goes_on(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 2)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 10)
    await application(psql)
    await fill_one_by_one(psql, 10)
    async with running_service(database_url) as service, asyncio.timeout(LIMIT_SECONDS), slowly(service) as slow:
        while not slow.recording.synced:
            await slow.next()
        await fill_one_by_one_again(psql, 140)
        history = await read_history(database_url)
        await age(psql, up_to=11)
        await compact_once(database_url, A_DAY)
        while slow.recording.revision < 151:
            await slow.next()
    assert await compacted_revision(psql) == 11
    validate(slow.recording, history)


async def fill_one_by_one_again(session: Session, count: int) -> None:
    """Make commits of 100 kB each, of other names."""
    for number in range(count):
        await fill(session, 1, prefix=f"later{number:03}-", size=100_000)


async def test_a_snapshot_that_is_overtaken_ends_with_an_error(
    psql: Session, database_url: str, service: Service
) -> None:
    await application(psql)
    await fill(psql, 150, size=100_000)
    async with slowly(service) as reader:
        await reader.next()
        await psql.execute("UPDATE configurations SET comments = 'all'")
        await compact_once(database_url)
        await until_compacted(reader, 3)
    assert not reader.recording.synced


async def test_pages_of_a_compacted_revision_are_refused(service: Service, psql: Session, database_url: str) -> None:
    for name in ("bank", "shop", "zoo"):
        await application(psql, name)
    await commit_one_by_one(psql, 3)
    configurations = ListConfigurationsRequest(page_size=2)
    applications = ListApplicationsRequest(page_size=2)
    configurations.page_token = (await service.configurations.ListConfigurations(configurations)).next_page_token
    applications.page_token = (await service.applications.ListApplications(applications)).next_page_token
    await compact_once(database_url)
    # The revision that the list shows is the compacted one: its state can still be read.
    assert (await service.configurations.ListConfigurations(configurations)).revision == 6
    assert (await service.applications.ListApplications(applications)).revision == 6
    await configuration(psql, "later")
    await compact_once(database_url)
    with failing(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED") as caught:
        await service.configurations.ListConfigurations(configurations)
    assert error_info_of(caught.value).metadata["compacted_revision"] == "7"
    with failing(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        await service.applications.ListApplications(applications)


async def test_min_revision_may_be_a_compacted_one(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    web = await create(service, "web", {"a": 1})
    await commit_one_by_one(psql, 3)
    await compact_once(database_url)
    found = await service.configurations.GetConfiguration(GetConfigurationRequest(id=web.id, min_revision=1))
    assert found.configuration == web
    listed = await service.configurations.ListConfigurations(ListConfigurationsRequest(min_revision=1))
    assert len(listed.configurations) == 4


async def test_the_status_tells_the_compacted_revision(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    await commit_one_by_one(psql, 3)
    assert (await status(service)).compacted_revision == 0
    await until(lambda answer: answer.revision == 4, service)
    await compact_once(database_url)
    await until(lambda answer: answer.compacted_revision == 4, service)


async def test_a_feed_that_is_overtaken_begins_anew(psql: Session, database_url: str) -> None:
    await application(psql)
    async with far_service(database_url) as (service, proxy):
        async with recorded(service) as watch:
            await watch.until_synced()
            await proxy.cut()
            await until_away(service)
            await commit_one_by_one(psql, 3)
            await psql.execute("DELETE FROM configurations WHERE name = 'n00000'")
            await compact_once(database_url)
            proxy.restore()
            error = await watch.until_error()
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED")
        await until(lambda answer: answer.live and answer.compacted_revision == 5, service)
        async with recorded(service) as anew:
            await anew.until_synced()
            await commit_one_by_one(psql, 2, prefix="later")
            recording = await anew.until_revision(7)
    assert len(recording.view()) == 4
    for judge in (ordered, unique):
        judge(recording)


async def test_a_feed_that_is_overtaken_up_to_where_it_is_goes_on(psql: Session, database_url: str) -> None:
    # No record is left of the last commit that the feed has read.
    await application(psql)
    await configuration(psql, "web")
    await psql.execute("DELETE FROM configurations")
    before = await read_history(database_url)
    async with far_service(database_url) as (service, proxy), recorded(service) as watch:
        await watch.until_synced()
        await proxy.cut()
        await until_away(service)
        await compact_once(database_url)
        await commit_one_by_one(psql, 3)
        proxy.restore()
        recording = await watch.until_revision(6)
    assert await compacted_revision(psql) == 3
    validate(recording, joined(before, await read_history(database_url)))


async def test_writers_and_watchers_go_on_while_the_log_is_compacted(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "COMPACTION_STEP", 50)
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 5)
    await application(psql)
    await fill(psql, 200)
    for turn in range(5):
        await psql.execute("UPDATE configurations SET comments = $1 WHERE name > 'c00020'", str(turn))
    await psql.execute("DELETE FROM configurations WHERE name > 'c00100'")
    old = await head(psql)
    await age(psql, up_to=old)
    before = await read_history(database_url)
    async with (
        running_service(database_url) as service,
        recorded(service) as whole,
        recorded(service, watching(selector("shop", prefix="c0000"), after_revision=old)) as some,
    ):
        await whole.until_synced()
        compacting = asyncio.create_task(compact_once(database_url, A_DAY))
        turn = 0
        while not compacting.done():
            turn += 1
            await patch(service, f"c{turn % 100 + 1:05}", {"turn": turn})
            await create(service, f"new{turn}")
        await compacting
        last = await head(psql)
        recordings = [await watch.until_revision(last) for watch in (whole, some)]
        async with recorded(service) as late:
            recordings.append(await late.until_revision(last))
    assert await compacted_revision(psql) == old
    assert turn > 1
    history = joined(before, await read_history(database_url))
    for recording in recordings:
        validate(recording, history)


async def test_a_call_that_is_repeated_within_a_day_is_answered_from_a_compacted_log(
    service: Service, psql: Session, database_url: str
) -> None:
    request_id = "6f9619ff-8b86-4d01-b42d-00c04fc964ff"
    await create_application(service)
    created = await service.configurations.CreateConfiguration(creation("web", {"a": 1}, request_id=request_id))
    await patch(service, "web", {"a": 2})
    await age(psql, up_to=1)
    await compact_once(database_url, A_DAY)
    assert await service.configurations.CreateConfiguration(creation("web", {"a": 1}, request_id=request_id)) == created


async def test_a_repeated_call_whose_answer_is_compacted_is_a_conflict(
    service: Service, psql: Session, database_url: str
) -> None:
    # Compaction runs at the moment when the request_id expires, if the history is kept for a day at most.
    ids = [f"6f9619ff-8b86-4d01-b42d-00c04fc964f{number}" for number in range(4)]
    key = ConfigurationKey(application="shop", name="web")
    calls = (
        lambda: service.applications.CreateApplication(CreateApplicationRequest(name="shop", request_id=ids[0])),
        lambda: service.configurations.CreateConfiguration(creation("web", {"a": 1}, request_id=ids[1])),
        lambda: service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key, request_id=ids[2])),
        lambda: service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", request_id=ids[3])),
    )
    for call in calls:
        await call()
    await compact_once(database_url)
    for call in calls:
        with failing(grpc.StatusCode.ABORTED, "WRITE_CONFLICT"):
            await call()
    assert await head(psql) == 4
