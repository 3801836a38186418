"""The feed and its watches through the loss of the connection, the database and the ring."""

import asyncio

import grpc
import pytest

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.feed.feed import RECONNECT_FIRST_SECONDS, RECONNECT_LAST_SECONDS, Feed, _pause
from configsvc.storage.listener import open_listener
from tests.feed.restoring import forget, go_back_to, other_commits
from tests.feed.status import status, until, until_away, until_lag
from tests.postgres import plain_connection, terminate
from tests.proxy import far_service
from tests.service import Service, reason_of, running_service
from tests.storage.reading import (
    LIMIT_SECONDS,
    Session,
    application,
    configuration,
    head,
    listening,
    silenced_notifications,
)
from tests.watch.changing import OFTEN, commit_one_by_one, create, create_application, fill, fill_one_by_one, watching
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded, slowly
from tests.watch.validators import validate


@pytest.mark.parametrize("victims", ["configsvc feed", "configsvc"])
async def test_the_loss_of_connections_loses_and_doubles_nothing(
    service: Service, psql: Session, database_url: str, victims: str
) -> None:
    await application(psql)
    async with recorded(service) as watch, recorded(service, watching(after_revision=0)) as resumed:
        await watch.until_synced()
        await resumed.until_synced()
        for turn in range(5):
            await commit_one_by_one(psql, 3, prefix=f"before{turn}-")
            assert await terminate(psql, victims) > 0
            await commit_one_by_one(psql, 3, prefix=f"after{turn}-")
            for recorder in (watch, resumed):
                await recorder.until_revision(await head(psql))
    history = await read_history(database_url)
    for recorder in (watch, resumed):
        assert recorder.recording.revision == 31
        validate(recorder.recording, history)


async def test_writers_go_on_while_connections_are_lost(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    async with recorded(service) as watch:
        await watch.until_synced()

        async def write() -> None:
            await commit_one_by_one(psql, 120)

        writing = asyncio.create_task(write())
        async with plain_connection(database_url) as killer:
            while not writing.done():
                await terminate(killer, "configsvc")
        await writing
        recording = await watch.until_revision(121)
    validate(recording, await read_history(database_url))


async def test_a_snapshot_survives_the_loss_of_connections(service: Service, psql: Session, database_url: str) -> None:
    await application(psql)
    await fill(psql, 200, size=100_000)
    async with slowly(service) as reader, asyncio.timeout(LIMIT_SECONDS):
        while not reader.recording.synced:
            await reader.next()
            await terminate(psql, "configsvc")
    validate(reader.recording, await read_history(database_url))


async def test_a_watch_says_nothing_while_the_database_is_away_and_goes_on_afterwards(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    request = WatchConfigurationsRequest(progress_interval=OFTEN)
    async with far_service(database_url) as (service, proxy), recorded(service, request) as watch:
        await watch.until(lambda recording: len(recording.bookmarks) >= 2)
        await proxy.cut()
        await until_away(service)
        said = len(watch.recording.messages)
        await commit_one_by_one(psql, 4)
        await until_lag(service, 0.7)
        assert len(watch.recording.messages) == said
        assert watch.open
        proxy.restore()
        await watch.until_revision(5)
        marks = len(watch.recording.bookmarks)
        recording = await watch.until(lambda recording: len(recording.bookmarks) > marks)
        assert (await status(service)).live
    validate(recording, await read_history(database_url))


async def test_a_watch_says_nothing_while_the_database_does_not_answer(psql: Session, database_url: str) -> None:
    await application(psql)
    request = WatchConfigurationsRequest(progress_interval=OFTEN)
    async with far_service(database_url) as (service, proxy), recorded(service, request) as watch:
        await watch.until(lambda recording: len(recording.bookmarks) >= 2)
        proxy.freeze()
        await until_away(service)
        said = len(watch.recording.messages)
        await commit_one_by_one(psql, 4)
        await until_lag(service, 0.5)
        assert len(watch.recording.messages) == said
        assert watch.open
        proxy.restore()
        recording = await watch.until_revision(5)
    validate(recording, await read_history(database_url))


async def test_a_watch_is_not_opened_while_the_database_is_away(psql: Session, database_url: str) -> None:
    await application(psql)
    async with far_service(database_url) as (service, proxy):
        await proxy.cut()
        await until_away(service)
        for request in (watching(), watching(after_revision=0)):
            async with recorded(service, request) as watch:
                error = await watch.until_error()
            assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        proxy.restore()
        await until(lambda answer: answer.live, service)
        async with recorded(service) as watch:
            await watch.until_synced()


async def test_a_watch_that_catches_up_from_the_table_waits_for_the_database(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 2)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 2)
    await application(psql)
    await fill_one_by_one(psql, 150)
    async with (
        far_service(database_url) as (service, proxy),
        slowly(service, watching(after_revision=0)) as reader,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        for _ in range(10):
            await reader.next()
        await proxy.cut()
        await until_away(service)
        proxy.restore()
        while not reader.recording.synced:
            await reader.next()
    assert reader.recording.revision == 151
    validate(reader.recording, await read_history(database_url))


async def test_a_watcher_that_falls_behind_the_ring_goes_on_from_the_table(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 3)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 10)
    await application(psql)
    async with (
        running_service(database_url) as service,
        slowly(service) as slow,
        recorded(service) as quick,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        while not slow.recording.synced:
            await slow.next()
        await quick.until_synced()
        # More than gRPC buffers for a client that does not read.
        await fill_one_by_one(psql, 150)
        # The other watch is not delayed.
        await quick.until_revision(151)
        while slow.recording.revision < 151:
            await slow.next()
    history = await read_history(database_url)
    validate(slow.recording, history)
    validate(quick.recording, history)


async def test_a_ring_that_is_full_by_bytes_forgets_the_oldest(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT_BYTES", 1000)
    await application(psql)
    async with running_service(database_url) as service, recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, 30, size=1000)
        await commit_one_by_one(psql, 30)
        await fill(psql, 1, prefix="large", size=5000)
        recording = await watch.until_revision(33)
        async with recorded(service, watching(after_revision=0)) as resumed:
            await resumed.until_revision(33)
    history = await read_history(database_url)
    validate(recording, history)
    validate(resumed.recording, history)


async def test_a_gap_in_the_log_is_an_error(psql: Session, database_url: str) -> None:
    feed = Feed(database_url, ())
    following = asyncio.create_task(feed.run())
    async with asyncio.timeout(LIMIT_SECONDS):
        await feed.wait_live()
        await application(psql)
        await feed.wait_revision(1, LIMIT_SECONDS)
        async with psql.transaction():
            await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await configuration(psql, "web")
            await psql.execute("UPDATE commits SET revision = revision + 1 WHERE transaction = pg_current_xact_id()")
        with pytest.raises(RuntimeError, match="the log has a gap: 3 follows 1"):
            await following
    assert feed.revision == 1


async def test_a_lost_notification_delays_a_change_and_loses_nothing(psql: Session, database_url: str) -> None:
    await application(psql)
    async with running_service(database_url) as service, recorded(service) as watch:
        await watch.until_synced()
        async with (
            silenced_notifications(psql),
            listening(database_url) as notifications,
            plain_connection(database_url) as session,
        ):
            await configuration(session, "web")
            recording = await watch.until_revision(2)
            assert notifications.silent
    validate(recording, await read_history(database_url))


async def test_a_history_that_went_back_ends_the_watches_and_has_a_new_epoch(psql: Session, database_url: str) -> None:
    # After a restore on the same timeline, the epoch is the same and the revisions come again.
    await application(psql)
    async with running_service(database_url) as service:
        async with recorded(service) as watch:
            await watch.until_synced()
            await create(service, "web", {"was": 1})
            await watch.until_revision(2)
            await go_back_to(psql, 1)
            error = await watch.until_error()
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED")
        await until(lambda answer: answer.live, service)
        async with recorded(service, watching(after_revision=2)) as beyond:
            assert reason_of(await beyond.until_error()) == "REVISION_UNKNOWN"
        async with recorded(service) as anew:
            await anew.until_synced()
            created = await create(service, "web", {"is": 1})
            recording = await anew.until_revision(2)
    assert recording.events[-1].configuration == created
    validate(recording, await read_history(database_url))


@pytest.mark.parametrize("count", [2, 3, 5], ids=["to the same head", "a commit further", "far beyond"])
async def test_a_restore_is_noticed_although_the_head_has_passed_the_old_one(
    psql: Session, database_url: str, count: int
) -> None:
    await application(psql)
    async with far_service(database_url) as (service, proxy):
        async with recorded(service) as watch:
            await watch.until_synced()
            await commit_one_by_one(psql, 2)
            await watch.until_revision(3)
            await proxy.cut()
            await until_away(service)
            async with psql.transaction():
                await forget(psql, 1)
                await other_commits(psql, count)
            proxy.restore()
            error = await watch.until_error()
        await check_anew(service, psql, database_url, error)


@pytest.mark.parametrize("count", [2, 3, 5], ids=["to the same head", "a commit further", "far beyond"])
async def test_a_restore_is_noticed_while_the_feed_is_connected(psql: Session, database_url: str, count: int) -> None:
    await application(psql)
    async with running_service(database_url) as service:
        async with recorded(service) as watch:
            await watch.until_synced()
            await commit_one_by_one(psql, 2)
            await watch.until_revision(3)
            async with psql.transaction():
                await forget(psql, 1)
                await other_commits(psql, count)
            error = await watch.until_error()
        await check_anew(service, psql, database_url, error)


async def check_anew(service: Service, session: Session, url: str, error: grpc.aio.AioRpcError) -> None:
    """Check that the watch ended because the history changed, and that the new one can be watched from the start."""
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED")
    await until(lambda answer: answer.live, service)
    async with recorded(service) as anew, recorded(service, watching(after_revision=0)) as whole:
        await anew.until_synced()
        await configuration(session, "web")
        for watch in (anew, whole):
            validate(await watch.until_revision(await head(session)), await read_history(url))


async def test_a_restore_to_what_the_feed_has_read_last_ends_no_watch(psql: Session, database_url: str) -> None:
    # No delivered event is undone.
    await application(psql)
    async with far_service(database_url) as (service, proxy), recorded(service) as watch:
        await watch.until_synced()
        await proxy.cut()
        await until_away(service)
        await commit_one_by_one(psql, 2)
        async with psql.transaction():
            await forget(psql, 1)
            await other_commits(psql, 3)
        proxy.restore()
        recording = await watch.until_revision(4)
    validate(recording, await read_history(database_url))


async def test_a_restore_in_the_midst_of_a_commit_is_noticed(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The feed has read the beginning of a large commit, whose revision another large one takes.
    monkeypatch.setattr("configsvc.domain.commits.PART_LIMIT_BYTES", 600)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 7)
    await application(psql)
    feed = Feed(database_url, ())
    async with asyncio.timeout(LIMIT_SECONDS), open_listener(database_url) as listener:
        await feed._begin(listener)
        history = feed.history
        await fill(psql, 20, size=100)
        for part in (await feed._next_page(listener)).parts:
            feed._append(part)
        assert feed._next.ordinal > 0
        async with psql.transaction():
            await forget(psql, 1)
            await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await fill(psql, 20, prefix="other", size=100)
        assert not (await feed._next_page(listener)).parts
        assert feed.history is not history
        assert feed.revision == 2


async def test_a_feed_waits_for_a_restore_to_end(psql: Session, database_url: str) -> None:
    # The restore has created the tables but not yet their rows.
    await application(psql)
    async with running_service(database_url) as service:
        async with psql.transaction():
            await psql.execute("CREATE TEMPORARY TABLE saved ON COMMIT DROP AS TABLE compaction")
            await psql.execute("DELETE FROM compaction")
            await psql.execute("CREATE TABLE restored AS TABLE saved")
        await until(lambda answer: not answer.live, service)
        await psql.execute("INSERT INTO compaction TABLE restored")
        await until(lambda answer: answer.live, service)


async def test_watches_end_with_shutting_down_when_the_service_stops(psql: Session, database_url: str) -> None:
    await application(psql)
    async with running_service(database_url) as service:
        watches: list[Recorder] = []
        async with recorded(service) as snapshot, recorded(service, watching(after_revision=0)) as resumed:
            watches = [snapshot, resumed]
            for watch in watches:
                await watch.until_synced()
            service.stop.set()
            for watch in watches:
                error = await watch.until_error()
                assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")


def test_the_pauses_between_attempts_grow_to_a_limit_and_never_end_the_feed() -> None:
    pauses = [_pause(attempt) for attempt in range(2000)]
    assert pauses[0] <= RECONNECT_FIRST_SECONDS
    assert all(RECONNECT_LAST_SECONDS / 2 <= pause <= RECONNECT_LAST_SECONDS for pause in pauses[10:])
