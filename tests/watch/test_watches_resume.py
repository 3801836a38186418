"""Watches from a position in the history: every change after it, synced once caught up."""

from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from configapi.v1.application_service_pb2 import DeleteApplicationRequest
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, EFFECT_SET, WatchConfigurationsRequest
from configsvc.storage.log import Bounds
from configsvc.watch.watches import Watches
from tests.service import Service, error_info_of, reason_of, running_service
from tests.storage.reading import Session, application, head
from tests.watch.changing import commit_one_by_one, create, create_application, delete, fill, patch, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import Recording, recorded, replayed, resumed
from tests.watch.validators import ordered, reliable, resumable, unique, validate


@pytest.fixture
async def forgetful_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Service]:
    """Run a service that keeps three commits in memory, and reads the log in pieces of seven."""
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 3)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 7)
    async with running_service(database_url) as running:
        yield running


async def test_a_watch_from_revision_0_replays_the_whole_history(service: Service, database_url: str) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    await patch(service, "web", {"a": 2})
    await create(service, "db", {})
    last = await delete(service, "db")
    async with recorded(service, watching(after_revision=0)) as watch:
        recording = await watch.until_revision(last)
    assert [message.revision for message in recording.messages] == [0, 2, 3, 4, 5, 5]
    assert [message.synced for message in recording.messages] == [False] * 5 + [True]
    validate(recording, await read_history(database_url))


async def test_a_watch_from_the_middle_gets_what_it_missed(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    await commit_one_by_one(psql, 10)
    async with recorded(service, watching(after_revision=6)) as watch:
        await watch.until_revision(11)
        await commit_one_by_one(psql, 3, prefix="later")
        recording = await watch.until_revision(14)
    assert [event.configuration.revision for event in recording.events] == list(range(7, 15))
    validate(recording, await read_history(database_url))


async def test_a_watch_from_the_head_is_synced_at_once(service: Service, psql: Session) -> None:
    await create_application(service)
    await commit_one_by_one(psql, 3)
    async with recorded(service, watching(after_revision=4)) as watch:
        recording = await watch.until_synced()
    _, message = recording.messages
    assert (message.revision, message.synced, len(message.events)) == (4, True, 0)


async def test_the_token_of_an_empty_installation_leads_to_everything_after_it(
    service: Service, database_url: str
) -> None:
    async with recorded(service) as watch:
        first = await watch.until_synced()
    assert first.resume_token.endswith(":0")
    await create_application(service)
    created = await create(service, "web", {"a": 1})
    async with running_service(database_url) as other, recorded(other, resumed(first)) as watch:
        second = await watch.until_revision(created.revision)
    assert [event.configuration.name for event in second.events] == ["web"]
    resumable(first, second, await read_history(database_url))


async def test_one_token_serves_any_number_of_watches_again_and_again(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with recorded(service) as watch:
        first = await watch.until_synced()
    await commit_one_by_one(psql, 5)
    history = await read_history(database_url)
    for _ in range(3):
        async with recorded(service, resumed(first)) as one, recorded(service, resumed(first)) as another:
            for watch in (one, another):
                resumable(first, await watch.until_revision(6), history)


async def test_a_token_of_the_head_is_synced_at_once_and_stays_the_same(service: Service, psql: Session) -> None:
    await application(psql)
    async with recorded(service) as watch:
        first = await watch.until_synced()
    async with recorded(service, resumed(first)) as watch:
        second = await watch.until_synced()
    assert [message.resume_token for message in second.messages] == ["", first.resume_token]


async def test_a_watch_beyond_the_head_gets_revision_unknown(service: Service) -> None:
    await create_application(service)
    async with recorded(service, watching(after_revision=2)) as watch:
        error = await watch.until_error()
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN")
    assert error_info_of(error).metadata["head_revision"] == "1"
    assert not watch.recording.messages


async def test_a_watch_of_another_epoch_gets_epoch_changed(service: Service) -> None:
    await create_application(service)
    request = WatchConfigurationsRequest(resume_token="7000000000000000000-1:1")
    async with recorded(service, request) as watch:
        error = await watch.until_error()
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED")
    assert not watch.recording.messages


async def test_another_epoch_is_reported_even_where_the_revision_is_unknown(service: Service) -> None:
    request = WatchConfigurationsRequest(resume_token="7000000000000000000-1:100")
    async with recorded(service, request) as watch:
        assert reason_of(await watch.until_error()) == "EPOCH_CHANGED"


async def test_a_watch_can_be_resumed_with_the_token_of_every_message_that_has_one(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 3)
    async with recorded(service) as watch:
        await watch.until_synced()
        await commit_one_by_one(psql, 4)
        await fill(psql, 20, prefix="large", size=100_000)
        await psql.execute("DELETE FROM configurations WHERE name < 'c00003'")
        whole = await watch.until_revision(await head(psql))
    history = await read_history(database_url)
    validate(whole, history)
    for count in range(1, len(whole.steps) + 1):
        first = Recording(request=whole.request)
        first.messages.append(whole.messages[0])
        first.messages.extend(message for kept in whole.steps[:count] for message in kept.messages)
        async with recorded(service, resumed(first)) as watch:
            second = await watch.until_revision(history.head)
        resumable(first, second, history)
        assert replayed(first.view(), second.steps) == whole.view()


async def test_a_watch_can_be_resumed_in_another_process(service: Service, psql: Session, database_url: str) -> None:
    await application(psql)
    async with recorded(service) as watch:
        await watch.until_synced()
        await commit_one_by_one(psql, 5)
        first = await watch.until_revision(6)
    async with running_service(database_url) as other:
        await commit_one_by_one(psql, 5, prefix="missed")
        async with recorded(other, resumed(first)) as watch:
            second = await watch.until_revision(11)
    resumable(first, second, await read_history(database_url))


async def test_a_watch_is_resumed_from_beyond_what_the_process_remembers(
    forgetful_service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await commit_one_by_one(psql, 60)
    last = await head(psql)
    for after in (0, 1, 30, last - 4, last - 3, last - 2, last):
        async with recorded(forgetful_service, watching(after_revision=after)) as watch:
            recording = await watch.until_revision(last)
        assert len(recording.events) == last - max(after, 1)
        validate(recording, await read_history(database_url))


async def test_a_watch_that_catches_up_while_others_write_misses_nothing(
    forgetful_service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await commit_one_by_one(psql, 60)
    async with recorded(forgetful_service, watching(after_revision=0)) as watch:
        await commit_one_by_one(psql, 60, prefix="meanwhile")
        recording = await watch.until_revision(121)
    validate(recording, await read_history(database_url))


async def test_a_process_that_was_not_there_replays_what_was_before_it(psql: Session, database_url: str) -> None:
    await application(psql)
    await commit_one_by_one(psql, 20)
    async with running_service(database_url) as service, recorded(service, watching(after_revision=3)) as watch:
        recording = await watch.until_revision(21)
    validate(recording, await read_history(database_url))


async def test_the_history_of_a_deleted_application_is_replayed(service: Service, database_url: str) -> None:
    shop = await create_application(service)
    await create(service, "web", {"a": 1})
    await patch(service, "web", {"a": 2})
    deleted = await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", force=True))
    history = await read_history(database_url)
    for chosen in (selector("shop"), selector(application_id=shop.id)):
        async with recorded(service, watching(chosen, after_revision=1)) as watch:
            recording = await watch.until_revision(deleted.revision)
        assert [event.effect for event in recording.events] == [EFFECT_SET, EFFECT_SET, EFFECT_REMOVE]
        validate(recording, history)


async def test_a_resumed_watch_of_nothing_new_has_no_events(service: Service, psql: Session) -> None:
    await create_application(service)
    await commit_one_by_one(psql, 30)
    async with recorded(service, watching(selector("elsewhere"), after_revision=2)) as watch:
        recording = await watch.until_synced()
    assert recording.events == []
    assert recording.revision == 31


async def test_a_commit_on_this_side_of_the_feed_can_be_resumed_after(
    service: Service, psql: Session, database_url: str
) -> None:
    # Another process may have told the client of a revision that this process has not read yet.
    await application(psql)
    for turn in range(20):
        revision: Any = await psql.fetchval(
            "WITH made AS (INSERT INTO applications (name) VALUES ($1)) SELECT revision + 1 FROM revision_counter",
            f"a{turn}",
        )
        async with recorded(service, watching(after_revision=revision)) as watch:
            recording = await watch.until_synced()
        assert recording.messages[-1].revision == revision


async def test_synced_never_comes_in_the_middle_of_a_commit(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A large commit lands after the watch has looked for the head, and is read from the table with the rest.
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 1)
    monkeypatch.setattr("configsvc.domain.commits.PART_LIMIT_BYTES", 600)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", 7)
    bounds_of = Watches._read_bounds

    async def bounds_before_a_large_commit(watches: Watches) -> Bounds:
        found = await bounds_of(watches)
        await fill(psql, 20, prefix="large", size=100)
        return found

    await application(psql)
    await commit_one_by_one(psql, 3)
    monkeypatch.setattr(Watches, "_read_bounds", bounds_before_a_large_commit)
    async with running_service(database_url) as service, recorded(service, watching(after_revision=0)) as watch:
        recording = await watch.until_revision(5)
    ordered(recording)
    unique(recording)
    reliable(recording, await read_history(database_url))
