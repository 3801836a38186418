"""DiffConfigurationVersions: a patch that programs can apply, and text."""

import random
from typing import Any

from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import DiffConfigurationVersionsResponse
from configsvc.domain.content import JsonObject, JsonValue, encode_json, same_json
from configsvc.domain.differences import ALIGNED_PAIRS, differences, patch_of
from tests.api.calls import create, delete, failing, patch, refused, update
from tests.configurations.patches import applied
from tests.configurations.reading import diff, rewrite
from tests.service import Service
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session

VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "~", "/", "~1", "é"]) | st.just(0.5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["a", "b", "", "a/b", "~"]), inner),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "a/b", "~0"]), VALUES)


def operations(response: DiffConfigurationVersionsResponse) -> list[Any]:
    return MessageToDict(response)["patch"] if response.patch.values else []


# The patch


@given(OBJECTS, OBJECTS)
def test_the_patch_makes_the_second_of_the_first(before: JsonObject, after: JsonObject) -> None:
    assert same_json(applied(patch_of(differences(before, after)), before), after)


@given(OBJECTS)
def test_equal_contents_have_no_differences(config: JsonObject) -> None:
    assert differences(config, config) == []


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_arrays_are_patched_to_what_they_became(before: list[JsonValue], after: list[JsonValue]) -> None:
    assert applied(patch_of(differences({"a": before}, {"a": after})), {"a": before}) == {"a": after}


def test_an_item_that_was_inserted_is_one_addition() -> None:
    before: JsonObject = {"hosts": [{"name": name} for name in "abcdef"]}
    after: JsonObject = {"hosts": [{"name": name} for name in "abXcdef"]}
    assert patch_of(differences(before, after)) == [{"op": "add", "path": "/hosts/2", "value": {"name": "X"}}]
    assert patch_of(differences(after, before)) == [{"op": "remove", "path": "/hosts/2"}]


def test_true_is_not_1() -> None:
    assert patch_of(differences({"a": 1}, {"a": True})) == [{"op": "replace", "path": "/a", "value": True}]


def test_large_changes_take_no_more_room_than_the_new_content() -> None:
    numbers: list[JsonValue] = [1] * 130_000
    others: list[JsonValue] = [2] * 130_000
    assert patch_of(differences({"a": numbers}, {"a": others})) == [
        {"op": "replace", "path": "", "value": {"a": others}}
    ]
    before: JsonObject = {"deep": {"k" * 3000: {f"k{number}": number for number in range(10_000)}}}
    after: JsonObject = {"deep": {"k" * 3000: {f"k{number}": number + 1 for number in range(10_000)}}, "b": 1}
    made = patch_of(differences(before, after))
    assert applied(made, before) == after
    assert len(encode_json(made)) < 2 * len(encode_json(after))


def test_arrays_that_are_too_large_to_align_are_compared_index_by_index() -> None:
    randomly = random.Random(4)
    length = int(ALIGNED_PAIRS**0.5) + 1
    before: list[JsonValue] = [randomly.random() for _ in range(length)]
    after = [*before, 0.5]
    after[0], after[-2] = 2, 2
    assert patch_of(differences({"a": before}, {"a": after})) == [
        {"op": "add", "path": f"/a/{length}", "value": 0.5},
        {"op": "replace", "path": f"/a/{length - 1}", "value": 2},
        {"op": "replace", "path": "/a/0", "value": 2},
    ]


# The service


async def test_two_versions_are_compared(shop: Service) -> None:
    await create(shop, "web", {"replicas": 2, "old": "x", "hosts": ["a", "b"], "same": [1]})
    await rewrite(shop, "web", {"replicas": 3, "tls": {"minimum": "1.2"}, "hosts": ["b"], "same": [1]})
    shown = await diff(shop, from_version=1, to_version=2)
    assert shown.text.splitlines() == [
        "~ /replicas: 2 → 3",
        '- /old: "x"',
        '- /hosts/0: "a"',
        '+ /tls: {"minimum":"1.2"}',
    ] or sorted(shown.text.splitlines()) == sorted(
        ["~ /replicas: 2 → 3", '- /old: "x"', '- /hosts/0: "a"', '+ /tls: {"minimum":"1.2"}']
    )
    assert sorted(operations(shown), key=lambda one: one["path"]) == [
        {"op": "remove", "path": "/hosts/0"},
        {"op": "remove", "path": "/old"},
        {"op": "replace", "path": "/replicas", "value": 3.0},
        {"op": "add", "path": "/tls", "value": {"minimum": "1.2"}},
    ]
    before = shown.from_configuration
    assert (before.version, shown.to_configuration.version) == (1, 2)
    assert not before.HasField("config")
    assert not shown.to_configuration.HasField("config")


async def test_the_newest_version_is_compared_with_the_one_before_it(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await patch(shop, "web", {"n": 2})
    await patch(shop, "web", {"n": 3})
    assert (await diff(shop)).text == "~ /n: 2 → 3\n"
    assert (await diff(shop, to_version=2)).text == "~ /n: 1 → 2\n"
    assert (await diff(shop, from_version=1)).text == "~ /n: 1 → 3\n"
    assert (await diff(shop, from_version=3, to_version=1)).text == "~ /n: 3 → 1\n"
    assert (await diff(shop, from_version=2, to_version=2)).text == ""


async def test_a_deletion_is_compared_as_if_it_were_empty(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    shown = await diff(shop)
    assert operations(shown) == [{"op": "remove", "path": "/n"}]
    assert shown.text == "- /n: 1\n"


async def test_names_comments_and_pins_are_compared_in_the_text(shop: Service, psql: Session) -> None:
    await create(shop, "web", {"n": 1}, comments="one")
    await psql.execute("INSERT INTO schemas (name) VALUES ('limits')")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('limits', '{}')")
    await psql.execute("UPDATE configurations SET schema = 'limits', schema_version = 1")
    renaming = Configuration(name="site", comments="two\nlines")
    renamed = await update(shop, "web", configuration=renaming)
    shown = await diff(shop, id=renamed.id, from_version=1)
    assert shown.text.splitlines() == [
        '~ name: "web" → "site"',
        '~ comments: "one" → "two\\nlines"',
        '~ schema: none → "limits@1"',
    ]
    assert operations(shown) == []


async def test_long_values_are_shortened_in_the_text(shop: Service) -> None:
    await create(shop, "web", {"text": "x" * 1000, "line\nbreak": 1})
    await rewrite(shop, "web", {"text": "y" * 1000, "line\nbreak": 2})
    shown = await diff(shop)
    assert len(shown.text.splitlines()) == 2
    assert all(len(line) < 200 for line in shown.text.splitlines())
    assert '~ "/line\\nbreak": 1 → 2' in shown.text


async def test_the_text_of_thousands_of_differences_ends_early(shop: Service) -> None:
    fields: JsonObject = {f"key{number}": "x" * 60 for number in range(2500)}
    await create(shop, "web", fields)
    await rewrite(
        shop, "web", {key: value if number % 2 else "y" for number, (key, value) in enumerate(fields.items())}
    )
    lines = (await diff(shop)).text.splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "… and 250 more"


async def test_the_largest_contents_are_compared(shop: Service) -> None:
    randomly = random.Random(7)
    for number in range(2):
        bits: list[JsonValue] = [randomly.randint(0, 1) for _ in range(130_000)]
        await (create(shop, "web", {"bits": bits}) if number == 0 else rewrite(shop, "web", {"bits": bits}))
    shown = await diff(shop)
    assert [operation["op"] for operation in operations(shown)] == ["replace"]
    assert shown.ByteSize() < 4 * 1024 * 1024


async def test_a_version_that_is_missing_is_not_compared(shop: Service, database_url: str, psql: Session) -> None:
    await create(shop, "web", {"n": 1})
    for fields in ({}, {"to_version": 1}):
        async with refused(shop, "from_version") as caught:
            await diff(shop, **fields)
        assert "there is no version before version 1, the first" in str(caught.value.details())
    for fields in ({"from_version": 1, "to_version": 2}, {"from_version": 2, "to_version": 1}):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await diff(shop, **fields)
    await patch(shop, "web", {"n": 2})
    changed = await patch(shop, "web", {"n": 3})
    await age(psql, up_to=changed.revision)
    await compact_once(database_url)
    for fields in ({}, {"from_version": 1}):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
            await diff(shop, **fields)


async def test_faults_of_a_comparison_are_reported(shop: Service) -> None:
    async with refused(shop, "from_version", "to_version"):
        await diff(shop, from_version=-1, to_version=-1)
