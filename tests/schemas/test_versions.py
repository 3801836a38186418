"""New versions and the configurations that are pinned to their schema."""

import asyncio

import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.change_pb2 import CHANGE_TYPE_UPDATED
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject
from configsvc.storage import pinned_configurations
from tests.api.calls import Connection, content, create, create_application, failing, get, head, refused
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    check_version,
    create_schema,
    create_version,
    get_schema,
    get_version,
    pin,
    subjects_of,
)
from tests.service import Service, error_info_of
from tests.watch.changing import watching, with_epoch


@pytest.fixture
async def web(service: Service) -> Service:
    """Return the service with a schema web of one version."""
    await create_schema(service)
    return service


async def pins(psql: Connection) -> dict[str, int | None]:
    """Return the versions that configurations are pinned to, by name."""
    rows = await psql.fetch("SELECT name, schema_version FROM configurations ORDER BY name")
    return {row["name"]: row["schema_version"] for row in rows}


async def test_a_strict_version_moves_all_that_are_pinned_in_its_commit(web: Service, psql: Connection) -> None:
    await add_version(web, {"properties": {"replicas": {"maximum": 20}}})
    await pin(psql, "a", "b", config='{"replicas": 1}')
    await pin(psql, "c", version=2)
    await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'free', '{}')")
    await get(web, "a")
    version = await create_version(web, AT_MOST_10, reason="stricter")
    assert (version.version, version.revision) == (3, await head(web))
    assert await pins(psql) == {"a": 3, "b": 3, "c": 3, "free": None}
    for name in "abc":
        moved = await get(web, name)
        assert (moved.version, moved.revision, moved.updated_by) == (2, version.revision, "anonymous")
        assert (moved.schema.schema, moved.schema.version) == ("web", 3)
    reasons = await psql.fetch(
        "SELECT DISTINCT actor, reason, kind, count(*) FROM changes WHERE revision = $1 GROUP BY 1, 2, 3 ORDER BY 3",
        version.revision,
    )
    assert [tuple(row) for row in reasons] == [
        ("anonymous", "stricter", "CONFIGURATION", 3),
        ("anonymous", "stricter", "SCHEMA", 1),
    ]


async def test_a_watcher_sees_the_move_as_updates_in_one_message(web: Service, psql: Connection) -> None:
    await pin(psql, "a", "b")
    selectors = [ConfigurationSelector(application=ApplicationRef(name="shop"))]
    watch = web.configurations.WatchConfigurations(
        await with_epoch(web, watching(*selectors, after_revision=await head(web)))
    )
    messages = aiter(watch)
    assert (await anext(messages)).HasField("opened")
    assert (await anext(messages)).synced
    version = await create_version(web, AT_MOST_10, reason="stricter")
    message = await anext(messages)
    watch.cancel()
    assert message.revision == version.revision
    assert [(event.change, event.configuration.name, event.origin.reason) for event in message.events] == [
        (CHANGE_TYPE_UPDATED, "a", "stricter"),
        (CHANGE_TYPE_UPDATED, "b", "stricter"),
    ]
    assert {event.configuration.schema.version for event in message.events} == {2}


async def test_a_pinned_version_moves_nobody(web: Service, psql: Connection) -> None:
    await pin(psql, "a", config='{"replicas": 30}')
    version = await add_version(web, AT_MOST_10)
    assert version.version == 2
    assert await pins(psql) == {"a": 1}
    assert (await get(web, "a")).version == 1


async def test_a_strict_version_that_would_be_violated_is_refused_with_the_first_that_fit(
    web: Service, psql: Connection
) -> None:
    await pin(psql, *(f"bad-{number:03}" for number in range(120)), config='{"replicas": 30}')
    await pin(psql, "a", "good", "z", config='{"replicas": 3}')
    before = await head(web)
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED") as caught:
        await create_version(web, AT_MOST_10)
    assert error_info_of(caught.value).metadata["offender_count"] == "120"
    subjects = subjects_of(caught)
    assert subjects == [f"shop:bad-{number:03}" for number in range(len(subjects))]
    assert (caught.value.details() or "").endswith(f"; and {120 - len(subjects)} more than the details list")
    assert await head(web) == before
    assert (await get_schema(web)).latest_version == 1


async def test_a_document_that_equals_the_newest_makes_no_new_version(web: Service, psql: Connection) -> None:
    await pin(psql, "a")
    before = await head(web)
    first = await get_version(web)
    for call in (create_version, add_version):
        assert await call(web, REPLICAS) == first
    assert await head(web) == before


async def test_an_older_document_makes_a_new_version(web: Service) -> None:
    await add_version(web, AT_MOST_10)
    assert (await add_version(web, REPLICAS)).version == 3


async def test_a_check_tells_what_a_strict_version_would_do_and_does_nothing(web: Service, psql: Connection) -> None:
    await pin(psql, *(f"bad-{number:03}" for number in range(120)), config='{"replicas": 30, "secret": "hunter2"}')
    await pin(psql, "good", config='{"replicas": 3}')
    before = await head(web)
    check = await check_version(web, AT_MOST_10)
    assert (check.offender_count, check.checked_count, check.revision) == (120, 121, before)
    assert [offender.name for offender in check.offenders] == [f"bad-{number:03}" for number in range(100)]
    offender = check.offenders[0]
    assert (offender.application, offender.version) == ("shop", 1)
    assert {fault.keyword for fault in offender.faults} == {"maximum", "additionalProperties"}
    assert "/replicas" in {fault.pointer for fault in offender.faults}
    assert not any("hunter2" in fault.message for fault in offender.faults)
    assert not check.backward_compatible
    assert check.incompatibilities
    assert [addition.keyword for addition in check.additions] == ["additionalProperties"]
    assert await head(web) == before


async def test_a_check_tells_that_a_document_is_compatible(web: Service, psql: Connection) -> None:
    await pin(psql, "a")
    check = await check_version(web, REPLICAS)
    assert (check.backward_compatible, check.offender_count, check.checked_count) == (True, 0, 1)
    assert list(check.incompatibilities) == []


async def test_a_check_of_a_bad_document_is_refused(web: Service) -> None:
    async with refused(web, "document/type"):
        await check_version(web, {"type": "objekt"})
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await check_version(web, {}, "other")


async def test_configurations_are_checked_in_pages(
    web: Service, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_configurations, "PAGE_LIMIT", 3)
    monkeypatch.setattr(pinned_configurations, "PAGE_LIMIT_BYTES", 40)
    await pin(psql, *(f"good-{number:02}" for number in range(10)), config='{"replicas": 3}')
    await pin(psql, *(f"bad-{number:02}" for number in range(10)), config='{"replicas": 30}')
    check = await check_version(web, AT_MOST_10)
    assert (check.offender_count, check.checked_count) == (10, 20)
    assert [offender.name for offender in check.offenders] == [f"bad-{number:02}" for number in range(10)]


async def test_a_strict_version_validates_configurations_against_what_it_refers_to(
    web: Service, psql: Connection
) -> None:
    await create_schema(web, "small", {"type": "integer", "maximum": 10})
    await pin(psql, "a", config='{"replicas": 30}')
    document: JsonObject = {"properties": {"replicas": {"$ref": "configsvc://schemas/small@1"}}}
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED"):
        await create_version(web, document)
    await psql.execute("""UPDATE configurations SET config = '{"replicas": 3}'""")
    assert (await create_version(web, document)).version == 2


async def test_validate_only_of_a_strict_version_moves_nobody(web: Service, psql: Connection) -> None:
    await pin(psql, "a")
    before = await head(web)
    version = await create_version(web, AT_MOST_10, validate_only=True)
    assert (version.version, version.revision) == (2, 0)
    assert (await pins(psql), await head(web)) == ({"a": 1}, before)
    await pin(psql, "bad", config='{"replicas": 30}')
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED"):
        await create_version(web, AT_MOST_10, validate_only=True)


async def test_a_strict_version_that_waits_for_a_pinned_writer_too_long_is_a_conflict(
    web: Service, psql: Connection
) -> None:
    async with psql.transaction():
        await psql.execute("SELECT FROM schemas FOR KEY SHARE")
        with failing(StatusCode.ABORTED, "WRITE_CONFLICT"):
            await create_version(web, AT_MOST_10)
        # A version that moves no configuration need not wait.
        await add_version(web, AT_MOST_10)


async def test_schemas_in_the_log_do_not_disturb_a_watch(web: Service) -> None:
    await create_application(web)
    watch = web.configurations.WatchConfigurations(await with_epoch(web, watching(after_revision=0)))
    messages = aiter(watch)
    await create(web, "first")
    for maximum in range(5):
        await create_version(web, {"properties": {"replicas": {"maximum": maximum}}})
    await create(web, "second", schema=SchemaVersionRef(schema="web"))
    seen: list[tuple[str, int]] = []
    while len(seen) < 2:
        message = await anext(messages)
        seen += [(event.configuration.name, message.revision) for event in message.events]
    watch.cancel()
    assert seen == [("first", 3), ("second", 9)]


async def test_writers_of_versions_at_once_each_make_one(web: Service) -> None:
    documents: list[JsonObject] = [{"properties": {"replicas": {"maximum": number}}} for number in range(5)]
    made = await asyncio.gather(*(add_version(web, document) for document in documents))
    assert sorted(version.version for version in made) == [2, 3, 4, 5, 6]
    for version, document in zip(made, documents, strict=True):
        stored = content((await get_version(web, version=version.version)).document)
        assert stored == {**document, "additionalProperties": False}


async def test_a_configuration_that_moved_is_validated_against_its_new_version(web: Service) -> None:
    await create_application(web)
    await create(web, "a", {"replicas": 3}, schema=SchemaVersionRef(schema="web", version=1))
    await create_version(web, AT_MOST_10)
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await create(web, "b", {"replicas": 30}, schema=SchemaVersionRef(schema="web"))
