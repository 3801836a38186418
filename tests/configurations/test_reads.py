"""GetConfiguration from the cache: the conditions, and answers that equal those of the database."""

import asyncio

import grpc
import pytest
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import GetConfigurationRequest, GetConfigurationResponse
from configsvc.domain.errors import DatabaseBusyError
from configsvc.storage import configurations
from tests.api.calls import create, create_application, failing, get, key
from tests.configurations.numbers import arrived, by_id, number_of, set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.feed.pausing import PausedFeed, fed
from tests.feed.restoring import go_back_to
from tests.feed.status import until, until_away
from tests.proxy import proxied
from tests.service import Service, reason_of, running_service
from tests.storage.reading import Session, application

LIMIT_SECONDS = 30.0


async def until_number(service: Service, number: int) -> None:
    """Wait until a read shows the number."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while number_of(await get(service, "web")) != number:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.005)


async def test_a_configuration_is_read_once_by_id_and_by_key(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    first = await get(service, "web")
    assert first == await get(service, "web") == await by_id(service, first.id)
    assert number_of(first) == 0
    assert reads.begun == 1


async def test_what_does_not_exist_is_asked_for_each_time(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await application(psql)
    for _ in range(2):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await get(service, "web")
    assert reads.begun == 2


async def test_without_memory_every_call_reads_the_database(
    psql: Session, database_url: str, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    async with running_service(database_url, cache_megabytes=0) as service:
        for _ in range(3):
            await get(service, "web")
    assert reads.begun == 3


async def test_callers_at_once_share_one_read(service: Service, psql: Session, reads: DatabaseReads) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    reads.pause()
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(get(service, "web")) for _ in range(50)]
        await reads.answered()
        await arrived(service)
        reads.resume()
    assert len({call.result().SerializeToString(deterministic=True) for call in calls}) == 1
    assert reads.begun == 1


@pytest.mark.parametrize("leaves", [0, 1], ids=["the one who reads", "one who waits"])
async def test_a_caller_that_goes_away_leaves_the_answer_to_the_others(
    service: Service, psql: Session, reads: DatabaseReads, leaves: int
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    reads.pause()
    request = GetConfigurationRequest(key=key("web"))
    calls = [service.configurations.GetConfiguration(request)]
    await reads.answered()
    calls += [service.configurations.GetConfiguration(request) for _ in range(3)]
    await arrived(service)
    calls[leaves].cancel()
    if leaves == 0:
        await reads.answered()
    reads.resume()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(leaves), asyncio.CancelledError)
    assert [number_of(answer.configuration) for answer in answers if isinstance(answer, GetConfigurationResponse)] == [
        0,
        0,
        0,
    ]
    assert reads.begun == (2 if leaves == 0 else 1)


async def test_a_read_that_fails_is_not_remembered(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop(psql, "web")
    await fed(service, 2)

    async def busy(*_: object) -> None:
        raise DatabaseBusyError

    with monkeypatch.context() as patched:
        patched.setattr(configurations, "get", busy)
        answers = await asyncio.gather(*(get(service, "web") for _ in range(5)), return_exceptions=True)
    assert {reason_of(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)} == {"DATABASE_BUSY"}
    assert number_of(await get(service, "web")) == 0


async def test_a_change_made_in_sql_is_seen_within_the_staleness_bound(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    await get(service, "web")
    await set_number(psql, 1)
    await until_number(service, 1)


async def test_a_feed_that_stands_still_is_not_relied_on(
    service: Service, psql: Session, feed: PausedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The feed does not know yet that it stands still; the limit on staleness protects readers.
    monkeypatch.setattr("configsvc.configurations.reads.STALENESS_LIMIT_SECONDS", 0.5)
    await shop(psql, "web")
    await fed(service, 2)
    feed.pause()
    await get(service, "web")
    await set_number(psql, 1)
    await until_number(service, 1)
    # It must not go back either when the feed is trusted again but knows nothing new yet.
    monkeypatch.setattr("configsvc.configurations.reads.STALENESS_LIMIT_SECONDS", 3600.0)
    assert number_of(await get(service, "web")) == 1


async def test_what_was_found_missing_does_not_come_back(
    service: Service, psql: Session, feed: PausedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop(psql, "web")
    await fed(service, 2)
    await get(service, "web")
    feed.pause()
    await psql.execute("DELETE FROM configurations")
    monkeypatch.setattr("configsvc.configurations.reads.STALENESS_LIMIT_SECONDS", -1.0)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(service, "web")
    # The feed is trusted again but does not know of the deletion.
    monkeypatch.setattr("configsvc.configurations.reads.STALENESS_LIMIT_SECONDS", 3600.0)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(service, "web")


async def test_while_the_database_is_away_nothing_is_answered_from_memory(psql: Session, database_url: str) -> None:
    await shop(psql, "web")
    async with proxied(database_url) as (proxy, url), running_service(url) as service:
        await get(service, "web")
        await proxy.cut()
        await until_away(service)
        with failing(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"):
            await get(service, "web")
        proxy.restore()
        await until(lambda answer: answer.live, service)
        assert number_of(await get(service, "web")) == 0


async def test_a_history_that_went_back_is_forgotten(service: Service, psql: Session) -> None:
    await create_application(service)
    old = await create(service, "web", {"n": 1})
    await get(service, "web")
    await go_back_to(psql, 1)
    # Now the feed follows the new history, at its revision 1.
    await until(lambda answer: answer.live and answer.revision == 1, service)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await by_id(service, old.id)
    assert number_of(await create(service, "web", {"n": 2})) == 2
    assert number_of(await get(service, "web")) == 2


async def test_min_revision_waits_for_the_feed(
    service: Service, psql: Session, feed: PausedFeed, reads: DatabaseReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.configurations.reads.FEED_LIMIT_SECONDS", LIMIT_SECONDS)
    await shop(psql, "web", "api")
    await fed(service, 3)
    await get(service, "web")
    await get(service, "api")
    feed.pause()
    revision = await set_number(psql, 1)
    web = asyncio.create_task(get(service, "web", min_revision=revision))
    api = asyncio.create_task(get(service, "api", min_revision=revision))
    await arrived(service)
    assert reads.begun == 2
    feed.resume()
    assert number_of(await web) == 1
    assert number_of(await api) == 0
    # What did not change was answered from memory.
    assert reads.begun == 3


async def test_min_revision_asks_the_database_if_the_feed_does_not_come(
    service: Service, psql: Session, feed: PausedFeed, reads: DatabaseReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.configurations.reads.FEED_LIMIT_SECONDS", 0.05)
    await shop(psql, "web")
    await fed(service, 2)
    await get(service, "web")
    feed.pause()
    revision = await set_number(psql, 1)
    assert number_of(await get(service, "web", min_revision=revision)) == 1
    assert reads.begun == 2
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await get(service, "web", min_revision=revision + 1)
