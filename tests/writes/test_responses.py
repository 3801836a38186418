"""Responses to writes: what they contain, and what a repeated call gets."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.audit_service_pb2 import RESOURCE_KIND_CONFIGURATION
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationItem,
    ConfigurationWrite,
    GetConfigurationRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON, CONTENT_FORMAT_STRUCT
from configsvc.storage import log
from tests.api.calls import SHOP, Connection, content, create, delete, failing, get, head, key, refused
from tests.configurations.reading import changes
from tests.service import Service, struct
from tests.watch.changing import watching
from tests.watch.recording import recorded
from tests.writes.batches import creation, deletion, patch, reasons, upsert, write
from tests.writes.requests import creating, deleting, rolling_back, undeleting, updating


async def test_every_write_answers_with_its_revision_the_epoch_and_whether_it_changed_something(
    shop: Service, psql: Connection
) -> None:
    epoch = await log.epoch(psql)
    made = await creating(shop, config=struct({"n": 1}))
    same = await updating(shop, merge_patch=struct({"n": 1}))
    patched = await updating(shop, merge_patch=struct({"n": 2}))
    back = await rolling_back(shop, version=1)
    stays = await rolling_back(shop, version=3)
    gone = await deleting(shop)
    missing = await deleting(shop, allow_missing=True)
    restored = await undeleting(shop)
    answers = [made, same, patched, back, stays, restored]
    assert [(one.revision, one.changed) for one in answers] == [
        (2, True),
        (2, False),
        (3, True),
        (4, True),
        (4, False),
        (6, True),
    ]
    assert [one.configuration.revision for one in answers] == [one.revision for one in answers]
    assert [(one.revision, one.changed) for one in (gone, missing)] == [(5, True), (0, False)]
    assert {one.epoch for one in (*answers, gone, missing)} == {epoch}
    assert restored.configuration == await get(shop, "web")


async def test_a_batch_says_of_each_write_whether_it_changed_something(shop: Service, psql: Connection) -> None:
    await create(shop, "same", {"n": 1})
    await create(shop, "gone")
    writes = (creation("new"), patch("same", {"n": 1}), deletion("gone"), deletion("never", allow_missing=True))
    answer = await write(shop, *writes)
    assert [outcome.changed for outcome in answer.outcomes] == [True, False, True, False]
    assert (answer.changed, answer.revision, answer.epoch) == (True, await head(shop), await log.epoch(psql))
    assert not answer.outcomes[3].HasField("configuration")
    nothing = await write(shop, patch("same", {"n": 1}), deletion("never", allow_missing=True))
    assert (nothing.changed, nothing.revision) == (False, 0)


async def test_a_dry_run_answers_whether_it_would_change_something(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    before = await head(shop)
    patched = await updating(shop, merge_patch=struct({"n": 2}), validate_only=True)
    assert (patched.changed, patched.revision, patched.configuration.etag) == (True, 0, "")
    same = await updating(shop, merge_patch=struct({"n": 1}), validate_only=True)
    assert (same.changed, same.revision, same.configuration) == (False, created.revision, created)
    made = await creating(shop, "new", config=struct({}), validate_only=True)
    assert (made.changed, made.revision, made.configuration.etag) == (True, 0, "")
    gone = await deleting(shop, validate_only=True)
    assert (gone.changed, gone.revision) == (True, 0)
    batch = await write(shop, patch("web", {"n": 1}), deletion("never", allow_missing=True), validate_only=True)
    assert (batch.changed, [outcome.changed for outcome in batch.outcomes]) == (False, [False, False])
    assert await head(shop) == before


async def test_a_repeated_call_also_answers_whether_the_first_one_changed_something(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    ids = [str(uuid.uuid4()) for _ in range(5)]

    async def calls() -> list[Any]:
        return [
            await updating(shop, merge_patch=struct({"n": 2}), request_id=ids[0]),
            await updating(shop, merge_patch=struct({"n": 2}), request_id=ids[1]),
            await deleting(shop, "never", allow_missing=True, request_id=ids[2]),
            await write(
                shop,
                patch("web", {"n": 2}),
                creation("new"),
                deletion("never", allow_missing=True),
                request_id=ids[3],
            ),
            await write(shop, patch("web", {"n": 2}), request_id=ids[4]),
        ]

    first = await calls()
    assert [answer.changed for answer in first] == [True, False, False, True, False]
    await updating(shop, merge_patch=struct({"n": 3}))
    await create(shop, "never")
    assert await calls() == first
    assert await head(shop) == 6


async def test_of_equal_calls_at_once_all_get_the_answer_of_the_one_that_did_it(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    request_id = str(uuid.uuid4())
    patches = [updating(shop, merge_patch=struct({"n": 2}), request_id=request_id) for _ in range(8)]
    first, *others = await asyncio.gather(*patches)
    assert first.changed
    assert others == [first] * 7


async def test_answers_kept_by_an_earlier_release_are_still_given(shop: Service, psql: Connection) -> None:
    await create(shop, "web")
    request_id = str(uuid.uuid4())
    writes = (creation("a"), creation("b"))
    first = await write(shop, *writes, request_id=request_id)
    await psql.execute(
        "UPDATE requests SET answers = (SELECT jsonb_agg(jsonb_path_query_array(one, '$[0 to 1]') ORDER BY place) "
        "FROM jsonb_array_elements(answers) WITH ORDINALITY AS given (one, place)) WHERE request_id = $1",
        request_id,
    )
    assert await write(shop, *writes, request_id=request_id) == first


# Contents as JSON text


async def test_a_content_may_come_and_go_as_json_text(shop: Service) -> None:
    text = '{"b": [1, 2.5, null], "a": {"ä": "\\u00e4"}}'
    made = await creating(shop, config_json=text, format=CONTENT_FORMAT_JSON)
    assert not made.configuration.HasField("config")
    assert json.loads(made.configuration.config_json) == json.loads(text)
    assert content((await get(shop, "web")).config) == json.loads(text)
    replaced = await updating(
        shop, configuration=Configuration(config_json='{"n": 1}'), update_mask={"paths": ["config_json"]}
    )
    assert content(replaced.configuration.config) == {"n": 1}
    for paths in (["config"], ["config_json"], ["*"], []):
        new = Configuration(name="web", config_json='{"n": 2}')
        same = await updating(shop, configuration=new, update_mask={"paths": paths}, format=CONTENT_FORMAT_STRUCT)
        assert content(same.configuration.config) == {"n": 2}
    assert (await rolling_back(shop, version=1, format=CONTENT_FORMAT_JSON)).configuration.HasField("config_json")
    await delete(shop, "web")
    assert (await undeleting(shop, format=CONTENT_FORMAT_JSON)).configuration.HasField("config_json")


async def test_a_write_answers_the_text_that_every_read_answers(shop: Service) -> None:
    sent = '{"ä":{"z":null,"y":true},"bb":1.50,"ab":{},"a":[1e-7,-0.0,12e2,"\\u00e4\\u0001\\/"]}'
    stored = '{"a": [0.0000001, 0, 1200, "ä\\u0001/"], "ab": {}, "bb": 1.5, "ä": {"y": true, "z": null}}'
    made = await creating(shop, config_json=sent, format=CONTENT_FORMAT_JSON)
    answers = [
        made,
        await updating(shop, merge_patch_json='{"a": {"n": [2, 1e-5]}}', format=CONTENT_FORMAT_JSON),
        await updating(shop, configuration=Configuration(comments="c"), format=CONTENT_FORMAT_JSON),
        await rolling_back(shop, version=1, format=CONTENT_FORMAT_JSON),
        await updating(shop, configuration=Configuration(config=struct(json.loads(sent))), format=CONTENT_FORMAT_JSON),
    ]
    assert made.configuration.config_json == answers[-1].configuration.config_json == stored
    # The last one changed nothing.
    assert not answers.pop().changed
    for answer in answers:
        number = answer.configuration.version
        request = GetConfigurationRequest(key=key("web"), version=number, format=CONTENT_FORMAT_JSON)
        assert (await shop.configurations.GetConfiguration(request)).configuration == answer.configuration


async def test_a_write_answers_the_struct_that_a_read_answers(shop: Service) -> None:
    sent = struct({"n": 1, "list": [1.5, "a", None, True, {"deep": {}}], "text": "ä" * 1000, "none": {}})
    made = await creating(shop, config=sent)
    replaced = await updating(shop, configuration=Configuration(config=Struct(fields={"n": Value(number_value=-0.0)})))
    emptied = await updating(shop, configuration=Configuration(config=Struct()))
    assert made.configuration.config == sent
    assert replaced.configuration.config == struct({"n": 0})
    for answer in (made, replaced, emptied):
        request = GetConfigurationRequest(key=key("web"), version=answer.configuration.version)
        assert (await shop.configurations.GetConfiguration(request)).configuration == answer.configuration


async def test_items_of_a_batch_take_json_text_too(shop: Service) -> None:
    await create(shop, "changed", {"n": 1})
    await create(shop, "patched", {"n": 1})
    new = ConfigurationItem(application=SHOP, name="new", config_json='{"n": 2}')
    changed = ConfigurationChangeItem(key=key("changed"), configuration=Configuration(config_json='{"n": 3}'))
    patched = ConfigurationChangeItem(key=key("patched"), merge_patch_json='{"n": null, "m": 4}')
    await write(
        shop,
        ConfigurationWrite(create=new),
        ConfigurationWrite(update=changed),
        ConfigurationWrite(update=patched),
    )
    found = [content((await get(shop, name)).config) for name in ("new", "changed", "patched")]
    assert found == [{"n": 2}, {"n": 3}, {"m": 4}]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1e400}', '{"a": 1, "a": 2}', '{"a": 9007199254740993}'])
async def test_text_that_is_no_content_is_refused(shop: Service, text: str) -> None:
    for call in (
        creating(shop, "new", config_json=text),
        updating(shop, configuration=Configuration(config_json=text)),
        updating(shop, merge_patch_json=text),
        write(shop, ConfigurationWrite(create=ConfigurationItem(application=SHOP, name="new", config_json=text))),
    ):
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await call


async def test_an_unknown_format_is_refused(shop: Service) -> None:
    async with refused(shop, "format"):
        await creating(shop, config=struct({}), format=7)  # type: ignore[arg-type]
    for call in (updating(shop, merge_patch=struct({}), format=7), undeleting(shop, format=7)):  # type: ignore[arg-type]
        async with refused(shop, "format"):
            await call
    async with refused(shop, "format"):
        await rolling_back(shop, version=1, format=7)  # type: ignore[arg-type]


# Change requests


async def test_every_write_takes_a_change_request_which_the_history_keeps(shop: Service, psql: Connection) -> None:
    await creating(shop, config=struct({"n": 1}), change_request="CR-1")
    await updating(shop, merge_patch=struct({"n": 2}), change_request="CR-2")
    await rolling_back(shop, version=1, change_request="CR-3")
    await deleting(shop, change_request="CR-4")
    await undeleting(shop, change_request="CR-5")
    await write(shop, upsert("web", {"n": 6}), creation("api"), change_request="CR-6")
    kept = await psql.fetch(
        """SELECT origin ->> 'change_request' AS named FROM changes
        WHERE kind = 'CONFIGURATION' ORDER BY revision, ordinal"""
    )
    expected = ["CR-1", "CR-2", "CR-3", "CR-4", "CR-5", "CR-6", "CR-6"]
    assert [row["named"] for row in kept] == expected
    audited = [
        change.origin.change_request for change in await changes(shop) if change.kind == RESOURCE_KIND_CONFIGURATION
    ]
    assert sorted(audited) == expected


async def test_a_change_request_that_is_too_long_or_not_printable_is_refused(shop: Service) -> None:
    for given in ("x" * 257, "CR\n1", "ä"):
        async with refused(shop, "change_request"):
            await creating(shop, config=struct({}), change_request=given)
        async with refused(shop, "change_request"):
            await write(shop, creation("web"), change_request=given)


# Applications by id


async def test_items_of_a_batch_name_their_application_by_name_or_id(shop: Service) -> None:
    created = await create(shop, "there", {"n": 1})
    by_id = ApplicationRef(id=created.application_id)
    first = await write(
        shop,
        ConfigurationWrite(create=ConfigurationItem(application=by_id, name="new", config=struct({}))),
        ConfigurationWrite(upsert=ConfigurationItem(application=by_id, name="there", config=struct({"n": 2}))),
        ConfigurationWrite(upsert=ConfigurationItem(application=by_id, name="made", config=struct({}))),
    )
    assert [outcome.configuration.application for outcome in first.outcomes] == ["shop"] * 3
    assert first.outcomes[1].configuration.id == created.id
    assert content((await get(shop, "there")).config) == {"n": 2}


async def test_an_application_that_is_not_there_fails_its_write(shop: Service) -> None:
    missing = ApplicationRef(id="01M80Y39MN6J0VZYNBCVJN0JQ5")
    item = ConfigurationItem(application=missing, name="new", config=struct({}))
    for one in (ConfigurationWrite(create=item), ConfigurationWrite(upsert=item)):
        with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
            await write(shop, one)
        assert reasons(caught.value) == {0: "RESOURCE_NOT_FOUND"}
    async with refused(shop, "writes[0].create.application"):
        await write(shop, ConfigurationWrite(create=ConfigurationItem(name="new", config=struct({}))))


async def test_a_watch_shows_an_undeletion_as_a_creation(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    async with recorded(shop, watching()) as watch:
        await watch.until_synced()
        restored = await undeleting(shop)
        recording = await watch.until_revision(restored.revision)
    (event,) = recording.messages[-1].events
    assert (event.configuration.id, event.configuration.version) == (created.id, 3)
