"""Patches of a content in single updates and in batches: JSON merge patch and JSON Patch, as values and as text."""

import asyncio
import json
from typing import Any

from google.protobuf.struct_pb2 import ListValue
from grpc import StatusCode

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import ConfigurationChangeItem, ConfigurationWrite
from configsvc.domain.content import MAX_CONTENT_BYTES
from configsvc.wire.content import fill_list
from tests.api.calls import Connection, content, create, failing, get, head, key, refused
from tests.service import Service, struct, violations_of
from tests.writes.batches import creation, write
from tests.writes.requests import updating
from tests.writes.schemas import REPLICAS, make_schema, pin


def values(*operations: dict[str, Any]) -> ListValue:
    message = ListValue()
    fill_list(message, [*operations])
    return message


async def test_a_json_patch_comes_as_a_list_or_as_text(shop: Service) -> None:
    await create(shop, "web", {"n": 1, "list": [1, 2]})
    operations = ({"op": "test", "path": "/n", "value": 1}, {"op": "add", "path": "/list/-", "value": 3})
    first = await updating(shop, json_patch=values(*operations))
    assert content(first.configuration.config) == {"n": 1, "list": [1, 2, 3]}
    second = await updating(shop, json_patch_json=json.dumps(operations))
    assert content(second.configuration.config) == {"n": 1, "list": [1, 2, 3, 3]}
    same = await updating(shop, json_patch_json="[]")
    assert (same.changed, same.configuration.version) == (False, 3)


async def test_other_fields_may_change_beside_a_patch(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    new = Configuration(name="site", comments="new")
    answer = await updating(shop, configuration=new, json_patch_json='[{"op": "remove", "path": "/n"}]')
    changed = answer.configuration
    assert (changed.name, changed.comments, content(changed.config), changed.version) == ("site", "new", {}, 2)


async def test_a_patch_that_cannot_be_applied_changes_nothing_and_names_the_operation(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    before = await head(shop)
    operations = [{"op": "add", "path": "/m", "value": 2}, {"op": "test", "path": "/n", "value": 2}]
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await updating(shop, json_patch=values(*operations))
    (found,) = violations_of(caught.value).items()
    assert found[0] == "json_patch/1"
    assert '"/n"' in found[1]
    item = ConfigurationChangeItem(key=key("web"), json_patch_json='[{"op": "remove", "path": "/x/y"}]')
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, creation("other"), ConfigurationWrite(update=item))
    (found,) = violations_of(caught.value).items()
    assert found[0] == "writes[1].json_patch_json/0"
    assert '"/x/y"' in found[1]
    assert await head(shop) == before


async def test_a_patch_may_fill_a_content_to_its_limit_and_not_beyond(shop: Service) -> None:
    half = "x" * (MAX_CONTENT_BYTES // 2)
    room = MAX_CONTENT_BYTES - len(half) - len('{"a":"","b":""}')
    await create(shop, "web", {"a": half})
    add = {"op": "add", "path": "/b", "value": "y" * (room + 1)}
    async with refused(shop, "merge_patch"):
        await updating(shop, merge_patch=struct({"b": "y" * (room + 1)}))
    async with refused(shop, "json_patch_json"):
        await updating(shop, json_patch_json=json.dumps([add]))
    item = ConfigurationChangeItem(key=key("web"), json_patch=values(add))
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, ConfigurationWrite(update=item))
    assert list(violations_of(caught.value)) == ["writes[0].json_patch"]
    assert (await updating(shop, merge_patch=struct({"b": "y" * room}))).configuration.version == 2


async def test_what_is_no_patch_is_refused(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    async with refused(shop, "json_patch/1", "json_patch/2"):
        await updating(shop, json_patch=values({"op": "remove", "path": "/n"}, {"op": "x"}, {"path": "n"}))
    async with refused(shop, "json_patch_json/0"):
        await updating(shop, json_patch_json='[{"op": "add", "path": "/a"}]')
    async with refused(shop, "json_patch_json"):
        await updating(shop, json_patch_json='{"op": "add"}')
    async with refused(shop, "json_patch_json"):
        await updating(shop, json_patch_json="[]", configuration=Configuration(config=struct({})))
    async with refused(shop, "merge_patch_json"):
        await updating(shop, merge_patch_json="[]")
    item = ConfigurationChangeItem(key=key("web"), json_patch_json="[1]")
    async with refused(shop, "writes[0].update.json_patch_json/0"):
        await write(shop, ConfigurationWrite(update=item))


async def test_a_patched_content_keeps_the_limits_and_its_schema(shop: Service, psql: Connection) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "web", {"replicas": 1}, schema=pin("web"))
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await updating(shop, json_patch_json='[{"op": "replace", "path": "/replicas", "value": 0}]')
    large = json.dumps([{"op": "add", "path": f"/k{number}", "value": "x" * 50_000} for number in range(5)])
    await create(shop, "large", {"text": "x" * 50_000})
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await updating(shop, "large", json_patch_json=large)
    assert list(violations_of(caught.value)) == ["json_patch_json"]


async def test_json_patches_at_once_are_all_applied_to_the_current_content(shop: Service) -> None:
    await create(shop, "web", {"list": []})

    async def add(number: int) -> None:
        patch = json.dumps([{"op": "add", "path": "/list/-", "value": number}])
        if number % 3:
            await updating(shop, json_patch_json=patch)
        else:
            item = ConfigurationChangeItem(key=key("web"), json_patch_json=patch)
            await write(shop, ConfigurationWrite(update=item))

    await asyncio.gather(*(add(number) for number in range(24)))
    found = await get(shop, "web")
    assert sorted(content(found.config)["list"]) == list(range(24))
    assert found.version == 25
