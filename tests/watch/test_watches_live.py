"""Events on an open watch, and their messages."""

import asyncio
from contextlib import AsyncExitStack

from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_UPDATED, ChangeOrigin
from configapi.v1.configuration_service_pb2 import EFFECT_SET, ConfigurationEvent, WatchConfigurationsResponse
from tests.service import Service, connected
from tests.storage.reading import LIMIT_SECONDS, Session, application, configuration, head
from tests.watch.changing import commit_one_by_one, create, create_application, fill, patch
from tests.watch.history import read_history
from tests.watch.recording import recorded
from tests.watch.validators import size_limit, validate


async def test_an_event_is_what_the_write_answered(service: Service) -> None:
    await create_application(service)
    async with recorded(service) as watch:
        await watch.until_synced()
        created = await create(service, "web", {"a": 1, "b": [0.5, "ü", None, True]}, reason="new")
        updated = await patch(service, "web", {"a": None}, reason="less")
        recording = await watch.until_revision(updated.revision)
    first, second = recording.messages[-2:]
    epoch = recording.messages[0].epoch
    assert first == WatchConfigurationsResponse(
        resume_token=f"{epoch}:{created.revision}",
        revision=created.revision,
        epoch=epoch,
        events=[
            ConfigurationEvent(
                effect=EFFECT_SET,
                change=CHANGE_TYPE_CREATED,
                configuration=created,
                origin=ChangeOrigin(actor="anonymous", reason="new", commit_time=created.update_time),
            )
        ],
    )
    assert second == WatchConfigurationsResponse(
        resume_token=f"{epoch}:{updated.revision}",
        revision=updated.revision,
        epoch=epoch,
        events=[
            ConfigurationEvent(
                effect=EFFECT_SET,
                change=CHANGE_TYPE_UPDATED,
                configuration=updated,
                previous_version=1,
                origin=ChangeOrigin(actor="anonymous", reason="less", commit_time=updated.update_time),
            )
        ],
    )


async def test_a_change_made_in_sql_reaches_watchers_with_the_database_role_as_actor(
    service: Service, psql: Session, database_url: str
) -> None:
    async with recorded(service) as watch:
        await watch.until_synced()
        await application(psql)
        await configuration(psql, "web", '{"a": 1}')
        await psql.execute("UPDATE configurations SET config = '{\"a\": 2}'")
        await psql.execute("DELETE FROM configurations")
        recording = await watch.until_revision(4)
    role = await psql.fetchval("SELECT session_user")
    assert [event.origin.actor for event in recording.events] == [f"database:{role}"] * 3
    validate(recording, await read_history(database_url))


async def test_what_one_commit_changed_arrives_in_one_message(
    service: Service, psql: Session, database_url: str
) -> None:
    async with recorded(service) as watch:
        await watch.until_synced()
        async with psql.transaction():
            await application(psql)
            await fill(psql, 40)
            await psql.execute("UPDATE configurations SET comments = 'x' WHERE name < 'c00011'")
            await psql.execute("DELETE FROM configurations WHERE name = 'c00001'")
        recording = await watch.until_revision(1)
    (message,) = [message for message in recording.messages if message.events]
    assert len(message.events) == 40 + 10 + 1
    assert (message.revision, message.more) == (1, False)
    validate(recording, await read_history(database_url))


async def test_a_commit_of_more_than_1_mib_arrives_in_several_messages_with_more(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, 50, size=100_000)
        await configuration(psql, "after")
        recording = await watch.until_revision(await head(psql))
    large = [message for message in recording.messages if message.events and message.revision == 2]
    assert [message.more for message in large] == [True] * (len(large) - 1) + [False]
    assert len(large) >= 5
    assert all(message.ByteSize() <= size_limit(message) for message in large)
    validate(recording, await read_history(database_url))


async def test_a_commit_of_very_many_configurations_arrives_whole(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, 3000, size=100)
        recording = await watch.until_revision(2)
    assert len(recording.view()) == 3000
    validate(recording, await read_history(database_url))


async def test_a_hundred_watchers_get_the_same(service: Service, psql: Session, database_url: str) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(connected(service.address, service.stop)) for _ in range(4)]
        watches = [await stack.enter_async_context(recorded(channels[number % 4])) for number in range(100)]
        for watch in watches:
            await watch.until_synced()
        await asyncio.gather(
            commit_one_by_one(psql, 20),
            *(create(service, f"w{number}", {"number": number}) for number in range(20)),
        )
        last = await head(psql)
        recordings = [await watch.until_revision(last) for watch in watches]
    validate(recordings[0], await read_history(database_url))
    # Only the first message differs: it has the watch's own id.
    assert all(recording.messages[1:] == recordings[0].messages[1:] for recording in recordings)


async def test_a_watch_shows_an_own_write_before_or_after_its_answer_but_always_once(
    service: Service, database_url: str
) -> None:
    await create_application(service)
    async with recorded(service) as watch, asyncio.timeout(LIMIT_SECONDS):
        await watch.until_synced()
        created = await asyncio.gather(*(create(service, f"c{number}", {"n": number}) for number in range(50)))
        recording = await watch.until_revision(max(configuration.revision for configuration in created))
    assert len(recording.view()) == 50
    assert {known.id: known for known in created} == recording.view()
    validate(recording, await read_history(database_url))
