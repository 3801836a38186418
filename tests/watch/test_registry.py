"""ListWatches: the open watches of a process."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchInstance
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import GetServerStatusRequest, ListWatchesRequest, ListWatchesResponse, Watch
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.open_watches import SELECTORS_LIMIT_BYTES
from tests.access.people import ROOT, as_
from tests.identity.tokens import oidc_settings
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, running_service
from tests.storage.reading import Session, application, head
from tests.watch.changing import commit_one_by_one, fill, fill_one_by_one, selector, watching
from tests.watch.recording import Recorder, recorded, slowly

INSTANCE = WatchInstance(id="pod-7", labels={"zone": "eu-1", "team": "shop"}, program="sdk", version="1.2.3")


async def listed(service: Service) -> list[Watch]:
    """Return the open watches of a process."""
    return list((await service.server.ListWatches(ListWatchesRequest())).watches)


async def test_a_watch_is_listed_with_what_it_is_and_how_far_it_is(service: Service, psql: Session) -> None:
    shop = await application(psql)
    chosen = [selector("bank", prefix="w", keys=("web", "www")), selector(application_id=shop), selector()]
    request = WatchConfigurationsRequest(selectors=chosen, instance=INSTANCE)
    async with recorded(service, request) as watch:
        recording = await watch.until_synced()
        await commit_one_by_one(psql, 3)
        await watch.until_revision(4)
        (found,) = await until_up_to_date(service)
        assert list((await service.server.ListWatches(ListWatchesRequest())).watches) == [found]
    assert found.watch_id == recording.messages[0].opened.watch_id
    assert (found.instance, found.principal) == (INSTANCE, "anonymous")
    assert found.peer.startswith("ipv4:127.0.0.1:")
    assert list(found.selectors) == chosen
    assert (found.state, found.revision, found.behind_count) == (Watch.STATE_UP_TO_DATE, 4, 0)
    assert found.HasField("start_time")


async def until_up_to_date(service: Service) -> list[Watch]:
    """Return the open watches, once they have nothing to send."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            found = await listed(service)
            if all(watch.state == Watch.STATE_UP_TO_DATE for watch in found):
                return found
            await asyncio.sleep(POLL_SECONDS)


async def test_a_watch_of_something_else_is_as_far_as_its_process(service: Service, psql: Session) -> None:
    await application(psql)
    async with recorded(service, watching(selector("bank"))) as watch:
        await watch.until_synced()
        await commit_one_by_one(psql, 5)
        async with asyncio.timeout(LIMIT_SECONDS):
            while (await service.server.GetServerStatus(GetServerStatusRequest())).revision < 6:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        (found,) = await listed(service)
    assert (found.state, found.revision, found.behind_count) == (Watch.STATE_UP_TO_DATE, 6, 0)
    assert not found.HasField("instance")


async def test_the_answer_says_of_which_moment_it_is(service: Service, psql: Session) -> None:
    async with recorded(service) as watch:
        epoch = (await watch.until_synced()).epoch
        await application(psql)
        await fill(psql, 1)
        await watch.until_revision(2)
        answer = await service.server.ListWatches(ListWatchesRequest())
    assert (answer.revision, answer.epoch) == (2, epoch)


async def test_a_watch_that_has_ended_is_no_longer_listed(service: Service) -> None:
    async with recorded(service) as watch:
        await watch.until_synced()
        assert len(await listed(service)) == 1
    async with asyncio.timeout(LIMIT_SECONDS):
        while await listed(service):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def test_a_watch_whose_client_does_not_read_is_blocked_and_behind(service: Service, psql: Session) -> None:
    await application(psql)
    async with slowly(service) as slow:
        while not slow.recording.synced:
            await slow.next()
        await fill_one_by_one(psql, 150)
        last = await head(psql)
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                (found,) = await listed(service)
                if found.state == Watch.STATE_BLOCKED and found.behind_count > 0:
                    break
                await asyncio.sleep(POLL_SECONDS)
        assert found.revision + found.behind_count <= last
        while slow.recording.revision < last:
            await slow.next()
        (found,) = await until_up_to_date(service)
    assert (found.revision, found.behind_count) == (last, 0)


@asynccontextmanager
async def opened(service: Service, requests: Sequence[WatchConfigurationsRequest]) -> AsyncGenerator[list[Recorder]]:
    """Open watches, one after the other."""
    async with AsyncExitStack() as stack:
        watches: list[Recorder] = []
        for request in requests:
            watch = await stack.enter_async_context(recorded(service, request))
            await watch.until_synced()
            watches.append(watch)
        yield watches


async def pages(service: Service, page_size: int) -> AsyncGenerator[ListWatchesResponse]:
    request = ListWatchesRequest(page_size=page_size)
    while True:
        page = await service.server.ListWatches(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def test_watches_are_listed_in_pages_in_the_order_of_their_beginning(service: Service) -> None:
    async with opened(service, [WatchConfigurationsRequest()] * 7) as watches:
        ids = [watch.recording.messages[0].opened.watch_id for watch in watches]
        for page_size in (1, 3, 7, 1000):
            found = [page async for page in pages(service, page_size)]
            assert [watch.watch_id for page in found for watch in page.watches] == ids
            assert all(len(page.watches) <= page_size for page in found)
        # The last one of a page ends before the next page is read.
        answers = pages(service, 3)
        assert [watch.watch_id for watch in (await anext(answers)).watches] == ids[:3]
        await watches[2].close()
        await until_gone(service, ids[2])
        assert [watch.watch_id async for page in answers for watch in page.watches] == ids[3:]


async def until_gone(service: Service, watch_id: str) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while watch_id in {watch.watch_id for watch in await listed(service)}:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


def large(count: int) -> WatchConfigurationsRequest:
    """Return a request for a watch of many long names."""
    names = [f"{number:05}{'x' * 251}" for number in range(1000)]
    return WatchConfigurationsRequest(selectors=[ConfigurationSelector(names=names)] * count)


async def test_an_answer_has_at_most_3_mib_and_says_what_it_leaves_out(service: Service) -> None:
    async with opened(service, [large(14)] * 8) as watches:
        found = [page async for page in pages(service, 1000)]
    assert len(found) > 1
    assert all(page.ByteSize() <= MAX_RESPONSE_BYTES for page in found)
    listed = [watch for page in found for watch in page.watches]
    assert len(listed) == len(watches)
    for watch in listed:
        assert len(watch.selectors) >= 1
        assert len(watch.selectors) + watch.omitted_selector_count == 14
        assert sum(chosen.ByteSize() for chosen in watch.selectors) <= SELECTORS_LIMIT_BYTES


async def test_a_watch_is_listed_with_its_caller(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        watch = Recorder(service, WatchConfigurationsRequest(), metadata=as_(ROOT))
        await watch.until_synced()
        (found,) = (await service.server.ListWatches(ListWatchesRequest(), metadata=as_(ROOT))).watches
        assert found.principal == f"user:{ROOT.name}"
        await watch.close()
