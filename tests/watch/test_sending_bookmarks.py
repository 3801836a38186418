"""Bookmarks: regular progress reports on a quiet stream."""

import asyncio

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from tests.service import Service
from tests.storage.reading import Session, application, configuration, head
from tests.watch.changing import OFTEN, commit_one_by_one, create, create_application, selector
from tests.watch.history import read_history
from tests.watch.recording import recorded, resumed
from tests.watch.validators import resumable, validate


def often(*selectors: str) -> WatchConfigurationsRequest:
    """Return a request for a watch of applications, with as many bookmarks as possible."""
    return WatchConfigurationsRequest(selectors=[selector(name) for name in selectors], progress_interval=OFTEN)


async def test_a_quiet_stream_gets_bookmarks(service: Service) -> None:
    await create_application(service)
    async with recorded(service, often()) as watch:
        recording = await watch.until(lambda recording: len(recording.bookmarks) >= 3)
    for bookmark in recording.bookmarks:
        assert (bookmark.revision, bookmark.synced, bookmark.more) == (1, False, False)
        assert bookmark.epoch == recording.epoch


async def test_a_bookmark_moves_on_through_changes_that_the_watch_does_not_follow(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await application(psql, "bank")
    async with recorded(service, often("bank")) as watch:
        await watch.until_synced()
        await commit_one_by_one(psql, 5)
        recording = await watch.until_revision(7)
    assert recording.events == []
    validate(recording, await read_history(database_url))


async def test_a_stream_that_is_kept_busy_by_changes_it_does_not_follow_gets_bookmarks(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    enough = asyncio.Event()

    async def keep_busy() -> None:
        number = 0
        while not enough.is_set():
            await configuration(psql, f"c{number}")
            number += 1

    async with asyncio.TaskGroup() as tasks, recorded(service, often("bank")) as watch:
        busy = tasks.create_task(keep_busy())
        try:
            await watch.until(lambda recording: len({mark.revision for mark in recording.bookmarks}) >= 4)
            assert not busy.done()
        finally:
            enough.set()
    assert watch.recording.events == []
    validate(watch.recording, await read_history(database_url))


async def test_bookmarks_and_events_keep_their_order(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service, "shop")
    await create_application(service, "bank")
    async with recorded(service, often("bank")) as watch:
        for turn in range(4):
            await watch.until(lambda recording, seen=turn: len(recording.bookmarks) > seen)
            await configuration(psql, f"unseen{turn}")
            created = await create(service, f"c{turn}", application="bank")
            await watch.until_revision(created.revision)
    assert len(watch.recording.events) == 4
    validate(watch.recording, await read_history(database_url))


async def test_a_watch_can_be_resumed_after_a_bookmark(service: Service, psql: Session, database_url: str) -> None:
    await application(psql)
    await application(psql, "bank")
    async with recorded(service, often("bank")) as watch:
        await watch.until_synced()
        await configuration(psql, "web", application="bank")
        await commit_one_by_one(psql, 5)
        first = await watch.until(lambda recording: any(mark.revision == 8 for mark in recording.bookmarks))
    await configuration(psql, "db", application="bank")
    await commit_one_by_one(psql, 5, prefix="more")
    async with recorded(service, resumed(first)) as watch:
        second = await watch.until_revision(await head(psql))
    resumable(first, second, await read_history(database_url))
    assert len(second.events) == 1


async def test_a_watch_without_a_progress_interval_is_silent_at_first(service: Service) -> None:
    # The default is 10 s, so a stream with bookmarks every 100 ms has several before another has one.
    async with recorded(service) as quiet, recorded(service, often()) as watch:
        await quiet.until_synced()
        await watch.until(lambda recording: len(recording.bookmarks) >= 5)
        assert quiet.recording.bookmarks == []
