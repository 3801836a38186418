"""Selectors: the configurations that a watch follows."""

import pytest

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.change_pb2 import CHANGE_TYPE_UPDATED
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, EFFECT_SET, Effect
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.service import Service
from tests.storage.reading import Session, application, configuration, head
from tests.watch.changing import create, create_application, delete, patch, rename, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded, resumed
from tests.watch.validators import resumable, validate

SET = EFFECT_SET
REMOVE = EFFECT_REMOVE


def told(watch: Recorder) -> list[tuple[Effect.ValueType, str, str]]:
    """Return the effect, the application and the name of each event of a watch."""
    events = watch.recording.events
    return [(event.effect, event.configuration.application, event.configuration.name) for event in events]


async def test_each_selector_follows_what_it_chooses(service: Service, database_url: str) -> None:
    shop = await create_application(service, "shop")
    await create_application(service, "bank")
    chosen: dict[str, tuple[ConfigurationSelector, ...]] = {
        "all": (),
        "id": (selector(application_id=shop.id),),
        "name": (selector("bank"),),
        "prefix": (selector(prefix="web/"),),
        "keys": (selector(keys=("web/a", "db")),),
        "prefix and keys": (selector("shop", prefix="web/", keys=("web/a", "db")),),
        "one or the other": (selector("bank", prefix="web/"), selector("shop", keys=("db",))),
    }
    for snapshot_first in (True, False):
        for selectors in chosen.values():
            request = watching(*selectors) if snapshot_first else watching(*selectors, after_revision=0)
            async with recorded(service, request) as watch:
                await watch.until_synced()
                for owner in ("shop", "bank"):
                    for name in ("web/a", "web/b", "db", "webs"):
                        await create(service, name, {"a": 1}, application=owner)
                        await patch(service, name, {"a": 2}, application=owner)
                for owner in ("shop", "bank"):
                    for name in ("web/a", "web/b", "db", "webs"):
                        last = await delete(service, name, application=owner)
                recording = await watch.until(lambda recording: bool(recording.events))
                # Without bookmarks, a watch is silent about changes that it does not follow.
                async with recorded(service, watching(*selectors, after_revision=last)) as marker:
                    await marker.until_synced()
                follows = (await read_history(database_url)).expected(
                    request.selectors, recording.messages[0].revision, last
                )
                if follows:
                    await watch.until_revision(follows[-1].change.revision)
            validate(recording, await read_history(database_url))


async def test_several_selectors_that_choose_the_same_give_each_event_once(service: Service, database_url: str) -> None:
    shop = await create_application(service)
    await create(service, "web", {"a": 1})
    request = watching(
        selector("shop"), selector(application_id=shop.id), selector(keys=("web",)), selector(prefix="w")
    )
    async with recorded(service, request) as watch:
        await watch.until_synced()
        await patch(service, "web", {"a": 2})
        last = await delete(service, "web")
        await watch.until_revision(last)
    assert [effect for effect, _, _ in told(watch)] == [SET, SET, REMOVE]
    validate(watch.recording, await read_history(database_url))


async def test_the_longest_names_and_the_most_selectors_are_followed(service: Service, database_url: str) -> None:
    longest, other = "a" * 256, f"{'a' * 255}b"
    await create_application(service, longest)
    chosen = [selector(longest, prefix=longest, keys=(longest,))] * 99 + [selector("elsewhere")]
    async with recorded(service, watching(*chosen)) as watch:
        await watch.until_synced()
        await create(service, other, application=longest)
        await create(service, longest, application=longest)
        await rename(service, longest, "c", application=longest)
        last = (await rename(service, "c", longest, application=longest)).revision
        first = await watch.until_revision(last)
    assert [effect for effect, _, _ in told(watch)] == [SET, REMOVE, SET]
    async with recorded(service, resumed(first)) as watch:
        second = await watch.until_revision(await delete(service, longest, application=longest))
    resumable(first, second, await read_history(database_url))


async def test_an_application_that_does_not_exist_yet_can_be_watched(service: Service) -> None:
    async with recorded(service, watching(selector("shop"))) as watch:
        await watch.until_synced()
        await create_application(service, "bank")
        await create(service, "web", application="bank")
        await create_application(service, "shop")
        created = await create(service, "web")
        await watch.until_revision(created.revision)
    assert told(watch) == [(SET, "shop", "web")]


async def test_a_name_that_is_taken_again_is_followed_again(service: Service, database_url: str) -> None:
    await create_application(service)
    async with recorded(service, watching(selector("shop", keys=("web",)))) as watch:
        await watch.until_synced()
        first = await create(service, "web")
        await delete(service, "web")
        second = await create(service, "web")
        await watch.until_revision(second.revision)
    assert told(watch) == [(SET, "shop", "web"), (REMOVE, "shop", "web"), (SET, "shop", "web")]
    assert first.id != second.id
    validate(watch.recording, await read_history(database_url))


async def test_a_configuration_that_is_renamed_into_the_selection_is_set_and_out_of_it_removed(
    service: Service, database_url: str
) -> None:
    await create_application(service)
    await create(service, "web", {"a": 1})
    async with recorded(service, watching(selector(prefix="new/"))) as watch:
        await watch.until_synced()
        await rename(service, "web", "new/web")
        await rename(service, "new/web", "new/www")
        last = (await rename(service, "new/www", "old/www")).revision
        await watch.until_revision(last)
    assert told(watch) == [(SET, "shop", "new/web"), (SET, "shop", "new/www"), (REMOVE, "shop", "new/www")]
    events = watch.recording.events
    assert [event.previous_version for event in events] == [1, 2, 3]
    assert [event.previous_key.name for event in events] == ["web", "new/web", ""]
    assert {event.change for event in events} == {CHANGE_TYPE_UPDATED}
    assert events[0].configuration.HasField("config")
    assert not events[2].configuration.HasField("config")
    validate(watch.recording, await read_history(database_url))


async def test_two_configurations_that_change_names_are_distinguished(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await configuration(psql, "blue", '{"colour": "blue"}')
    await configuration(psql, "green", '{"colour": "green"}')
    async with recorded(service, watching(selector(keys=("blue",)))) as watch:
        await watch.until_synced()
        async with psql.transaction():
            await psql.execute("UPDATE configurations SET name = 'aside' WHERE name = 'blue'")
            await psql.execute("UPDATE configurations SET name = 'blue' WHERE name = 'green'")
            await psql.execute("UPDATE configurations SET name = 'green' WHERE name = 'aside'")
        recording = await watch.until_revision(4)
    (known,) = recording.view().values()
    assert known.config["colour"] == "green"
    validate(recording, await read_history(database_url))


async def test_a_renamed_application_moves_its_configurations_in_and_out_of_the_selection(
    service: Service, database_url: str
) -> None:
    shop = await create_application(service)
    await create(service, "web")
    await create(service, "db")
    requests = [watching(selector("shop")), watching(selector("store")), watching(selector(application_id=shop.id))]
    async with (
        recorded(service, requests[0]) as old,
        recorded(service, requests[1]) as new,
        recorded(service, requests[2]) as same,
    ):
        watches = (old, new, same)
        for watch in watches:
            await watch.until_synced()
        renamed = await service.applications.UpdateApplication(
            UpdateApplicationRequest(id=shop.id, application=Application(name="store"), reason="brand")
        )
        for watch in watches:
            await watch.until_revision(renamed.revision)
    assert sorted(told(old)[2:]) == [(REMOVE, "shop", "db"), (REMOVE, "shop", "web")]
    assert sorted(told(new)) == [(SET, "store", "db"), (SET, "store", "web")]
    assert sorted(told(same)[2:]) == [(SET, "store", "db"), (SET, "store", "web")]
    history = await read_history(database_url)
    for watch in watches:
        # All of it is one commit, so it came in one message.
        assert len(watch.recording.messages[-1].events) == 2
        assert {event.origin.reason for event in watch.recording.messages[-1].events} == {"brand"}
        validate(watch.recording, history)


@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_configuration_that_moves_to_another_application_leaves_one_selection_for_the_other(
    service: Service, psql: Session, database_url: str, by: str
) -> None:
    owners = {name: await application(psql, name) for name in ("shop", "bank")}
    await configuration(psql, "web")
    chosen = {name: selector(application_id=owner) if by == "id" else selector(name) for name, owner in owners.items()}
    async with (
        recorded(service, watching(chosen["shop"])) as shop,
        recorded(service, watching(chosen["bank"])) as bank,
        recorded(service) as everything,
    ):
        for watch in (shop, bank, everything):
            await watch.until_synced()
        await psql.execute("UPDATE configurations SET application_id = $1, application = 'bank'", owners["bank"])
        last = await head(psql)
        for watch in (shop, bank, everything):
            await watch.until_revision(last)
    assert told(shop)[1:] == [(REMOVE, "shop", "web")]
    assert shop.recording.events[-1].configuration.application_id == owners["shop"]
    assert told(bank) == [(SET, "bank", "web")]
    assert told(everything)[1:] == [(SET, "bank", "web")]
    history = await read_history(database_url)
    for watch in (shop, bank, everything):
        validate(watch.recording, history)


async def test_a_commit_that_touches_the_selection_and_more_shows_only_the_selection(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with recorded(service, watching(selector(prefix="web"))) as watch:
        await watch.until_synced()
        async with psql.transaction():
            for name in ("db", "web1", "cache", "web2"):
                await configuration(psql, name)
        await watch.until_revision(2)
    assert told(watch) == [(SET, "shop", "web1"), (SET, "shop", "web2")]
    validate(watch.recording, await read_history(database_url))
