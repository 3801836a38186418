"""Watches without a start: the present state, synced, then every change."""

import asyncio

import pytest

from configapi.v1.change_pb2 import (
    CHANGE_TYPE_CREATED,
    CHANGE_TYPE_DELETED,
    CHANGE_TYPE_UNSPECIFIED,
    CHANGE_TYPE_UPDATED,
)
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, EFFECT_SET, WatchConfigurationsRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from tests.service import Service
from tests.storage.reading import Session, application, configuration, head
from tests.watch.changing import create, create_application, delete, fill, patch, rename, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import LIMIT_SECONDS, Recording, recorded, resumed, slowly
from tests.watch.validators import MESSAGE_LIMIT_BYTES, resumable, validate


async def test_a_watch_of_an_empty_installation_is_synced_at_revision_0(service: Service) -> None:
    async with recorded(service) as watch:
        recording = await watch.until_synced()
    opened, message = recording.messages
    assert (opened.revision, opened.opened.head_revision, opened.opened.compacted_revision) == (0, 0, 0)
    assert (message.revision, message.synced, message.more, list(message.events)) == (0, True, False, [])
    assert message.epoch


async def test_a_watch_begins_with_what_exists_and_goes_on_with_every_change(
    service: Service, database_url: str
) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    await create(service, "db", {"a": 2})
    async with recorded(service) as watch:
        await watch.until_synced()
        await patch(service, "web", {"a": 3}, reason="more")
        await create(service, "cache", {"b": [1, None, {"c": "x"}]})
        await rename(service, "db", "sql")
        revision = await delete(service, "web", reason="unused")
        recording = await watch.until_revision(revision)
    assert [(event.effect, event.change) for event in recording.events] == [
        (EFFECT_SET, CHANGE_TYPE_UNSPECIFIED),
        (EFFECT_SET, CHANGE_TYPE_UNSPECIFIED),
        (EFFECT_SET, CHANGE_TYPE_UPDATED),
        (EFFECT_SET, CHANGE_TYPE_CREATED),
        (EFFECT_SET, CHANGE_TYPE_UPDATED),
        (EFFECT_REMOVE, CHANGE_TYPE_DELETED),
    ]
    deleted = recording.events[-1]
    assert (deleted.origin.reason, deleted.origin.actor, deleted.previous_version) == ("unused", "anonymous", 2)
    assert (deleted.configuration.name, deleted.configuration.version) == ("web", 3)
    assert not deleted.configuration.HasField("config")
    assert sorted(known.name for known in recording.view().values()) == ["cache", "sql"]
    validate(recording, await read_history(database_url))


async def test_a_snapshot_of_many_configurations_comes_in_several_messages(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 1201)
    revision = await head(psql)
    async with recorded(service) as watch:
        await watch.until_revision(revision)
    assert len(watch.recording.messages) > 2
    assert len(watch.recording.view()) == 1201
    validate(watch.recording, await read_history(database_url))


async def test_a_large_snapshot_comes_in_messages_of_at_most_1_mib(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 60, size=100_000)
    async with recorded(service) as watch:
        await watch.until_revision(await head(psql))
    sizes = [message.ByteSize() for message in watch.recording.messages]
    assert sum(sizes) > 5 * MESSAGE_LIMIT_BYTES
    validate(watch.recording, await read_history(database_url))


async def test_changes_that_are_committed_while_a_snapshot_is_sent_arrive_exactly_once(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql, "shop")
    await application(psql, "bank")
    # More than what gRPC buffers, so that the snapshot is read from the database while this goes on.
    await fill(psql, 150, size=100_000)
    await fill(psql, 150, application="bank", size=100_000)
    revision = await head(psql)
    async with slowly(service) as reader, asyncio.timeout(LIMIT_SECONDS):
        turn = 0
        while not reader.recording.synced:
            await reader.next()
            turn += 1
            await disturb(psql, turn)
        last = await head(psql)
        while reader.recording.revision < last:
            await reader.next()
    recording = reader.recording
    assert turn > 25
    synced_at = next(index for index, message in enumerate(recording.messages) if message.synced)
    assert {message.revision for message in recording.messages[: synced_at + 1]} == {revision}
    history = await read_history(database_url)
    validate(recording, history)
    assert {known.id: known.version for known in recording.view().values()} == {
        change.id: change.version for change in history.state_at(last).values()
    }


async def disturb(psql: Session, turn: int) -> None:
    """Make changes before and after the name that a snapshot has reached."""
    await psql.execute("UPDATE configurations SET comments = $1 WHERE name = 'c00002'", f"turn {turn}")
    await psql.execute("DELETE FROM configurations WHERE name = 'c' || lpad($1, 5, '0')", str(140 - turn % 90))
    await psql.execute("UPDATE configurations SET name = name || '-old' WHERE name = 'c00100'")
    await configuration(psql, f"b{turn:05}", application="bank")
    if turn == 10:
        await psql.execute("UPDATE applications SET name = 'zoo' WHERE name = 'shop'")


async def test_a_snapshot_taken_while_others_write_is_the_state_at_its_revision(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.watch.watches.SNAPSHOT_LIMIT", 7)
    await application(psql)
    await fill(psql, 200)

    async def write() -> None:
        for turn in range(60):
            await psql.execute(
                "UPDATE configurations SET name = 'r' || name, comments = $1 WHERE name LIKE '%' || $2",
                str(turn),
                f"{turn:02}",
            )
            await psql.execute("DELETE FROM configurations WHERE name LIKE '%' || $1", f"{(turn * 7) % 100:02}")

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        recordings: list[Recording] = []
        while not writing.done() or not recordings:
            async with recorded(service) as watch:
                recordings.append(await watch.until_synced())
    history = await read_history(database_url)
    for recording in recordings:
        validate(recording, history)


async def test_the_basic_view_leaves_contents_out(service: Service, psql: Session, database_url: str) -> None:
    await application(psql)
    await fill(psql, 600, size=4000)
    request = WatchConfigurationsRequest(view=CONFIGURATION_VIEW_BASIC)
    async with recorded(service, request) as watch:
        await watch.until_synced()
        await patch(service, "c00001", {"a": 1})
        updated = await patch(service, "c00002", {"a": 1})
        recording = await watch.until_revision(updated.revision)
    assert len(recording.events) == 602
    assert not any(event.configuration.HasField("config") for event in recording.events)
    validate(recording, await read_history(database_url))


async def test_contents_come_as_text_if_a_watch_asks_for_it(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 3)
    await application(psql)
    await fill(psql, 600, size=1000)
    request = WatchConfigurationsRequest(format=CONTENT_FORMAT_JSON)
    async with recorded(service, request) as watch:
        await watch.until_synced()
        await create(service, "web", {"a": [1, 0.1, 2**53 - 1, None, {"ü": '"\\\u2028'}]})
        await fill(psql, 20, prefix="large", size=100_000)
        await delete(service, "web")
        first = await watch.until_revision(await head(psql))
    await patch(service, "c00001", {"a": 1})
    async with recorded(service, resumed(first)) as watch:
        second = await watch.until_revision(await head(psql))
    resumable(first, second, await read_history(database_url))
    assert {event.configuration.WhichOneof("content") for event in second.events} == {"config_json"}


async def test_the_basic_view_leaves_contents_as_text_out(service: Service) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    request = WatchConfigurationsRequest(format=CONTENT_FORMAT_JSON, view=CONFIGURATION_VIEW_BASIC)
    async with recorded(service, request) as watch:
        await watch.until_synced()
        recording = await watch.until_revision((await patch(service, "web", {"a": 2})).revision)
    assert {event.configuration.WhichOneof("content") for event in recording.events} == {None}


async def test_two_views_of_the_same_change_do_not_mix(service: Service) -> None:
    await create_application(service)
    request = WatchConfigurationsRequest(view=CONFIGURATION_VIEW_BASIC)
    text_request = WatchConfigurationsRequest(format=CONTENT_FORMAT_JSON)
    async with (
        recorded(service, request) as basic,
        recorded(service) as full,
        recorded(service, text_request) as text,
        recorded(service, text_request) as same,
    ):
        for watch in (basic, full, text, same):
            await watch.until_synced()
        created = await create(service, "web", {"a": 1})
        for watch in (basic, full, text, same):
            await watch.until_revision(created.revision)
    for watch in (text, same):
        assert watch.recording.events[0].configuration.config_json == '{"a": 1}'
    assert full.recording.events[0].configuration == created
    created.ClearField("config")
    assert basic.recording.events[0].configuration == created


async def test_a_snapshot_of_overlapping_selectors_holds_each_configuration_once(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await application(psql, "bank")
    await fill(psql, 700)
    await fill(psql, 20, application="bank")
    request = watching(
        selector("shop", prefix="c000"),
        selector(prefix="c0001"),
        selector(keys=("c00001", "c00002", "c00700")),
        selector("shop"),
    )
    async with recorded(service, request) as watch:
        recording = await watch.until_synced()
    assert len(recording.events) == 700 + 10 + 2
    validate(recording, await read_history(database_url))
