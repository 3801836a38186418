"""BatchWriteConfigurations: many writes in one commit, all of them or none."""

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_DELETED, CHANGE_TYPE_UPDATED
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
    ConfigurationWrite,
)
from tests.api.calls import content, create, create_application, failing, get, head, names, refused, update
from tests.service import Service, running_service, status_of, struct, violations_of
from tests.watch.changing import watching
from tests.watch.history import read_history
from tests.watch.recording import recorded
from tests.watch.validators import validate
from tests.writes.batches import (
    change,
    creation,
    deletion,
    failed_writes,
    patch,
    reasons,
    rename,
    upsert,
    versions,
    write,
)
from tests.writes.schemas import REPLICAS, make_schema, pin

if TYPE_CHECKING:
    from tests.writes.schemas import Session

FAILED = (StatusCode.FAILED_PRECONDITION, "BATCH_FAILED")


async def test_all_kinds_of_writes_go_into_one_commit(shop: Service, database_url: str) -> None:
    for name in ("changed", "put", "gone", "patched"):
        await create(shop, name, {"a": 1})
    async with recorded(shop, watching()) as watch:
        await watch.until_synced()
        response = await write(
            shop,
            creation("new", {"b": 1}, comments="fresh"),
            upsert("put", {"b": 2}, comments="put"),
            upsert("made", {"b": 3}),
            change("changed", configuration=Configuration(config=struct({"b": 4}))),
            patch("patched", {"b": 5}),
            deletion("gone"),
            reason="all of it",
        )
        recording = await watch.until_revision(response.revision)
    assert versions(response) == [("new", 1), ("put", 2), ("made", 1), ("changed", 2), ("patched", 2), ("gone", 2)]
    assert {outcome.configuration.revision for outcome in response.outcomes} == {response.revision}
    assert not [outcome for outcome in response.outcomes if outcome.configuration.HasField("config")]
    assert response.revision == await head(shop) == 6
    assert [content((await get(shop, name)).config) for name in ("new", "put", "made", "changed", "patched")] == [
        {"b": 1},
        {"b": 2},
        {"b": 3},
        {"b": 4},
        {"a": 1, "b": 5},
    ]
    assert (await get(shop, "put")).comments == "put"
    last = recording.messages[-1]
    assert {event.origin.reason for event in last.events} == {"all of it"}
    assert len(last.events) == 6
    validate(recording, await read_history(database_url))


async def test_a_thousand_writes_are_one_commit(shop: Service) -> None:
    response = await write(shop, *(creation(f"c{number}", {"number": number}) for number in range(1000)))
    assert response.revision == await head(shop) == 2
    assert versions(response) == [(f"c{number}", 1) for number in range(1000)]
    response = await write(shop, *(upsert(f"c{number}", {"number": 999 - number}) for number in range(1000)))
    assert versions(response) == [(f"c{number}", 2) for number in range(1000)]
    assert content((await get(shop, "c7")).config) == {"number": 992}


async def test_no_writes_and_more_than_a_thousand_are_refused(shop: Service) -> None:
    async with refused(shop, "writes"):
        await write(shop)
    async with refused(shop, "writes"):
        await write(shop, *(creation(f"c{number}") for number in range(1001)))


async def test_every_fault_of_the_request_is_named_with_its_write(shop: Service) -> None:
    async with refused(
        shop,
        "reason",
        "request_id",
        "writes[0].create.name",
        "writes[1].upsert.config",
        "writes[2].update",
        "writes[2].update.update_mask",
        "writes[2].update.expected_version",
        "writes[3].deletion.key.name",
        "writes[4]",
        "writes[5].upsert.schema.version",
        "writes[6].update.configuration.config/a",
    ):
        await write(
            shop,
            creation("../web"),
            ConfigurationWrite(upsert=ConfigurationItem(application=ApplicationRef(name="shop"), name="web")),
            ConfigurationWrite(update=ConfigurationChangeItem(expected_version=-1)),
            deletion(""),
            ConfigurationWrite(),
            upsert("api", schema=pin("web", -1)),
            change("web", configuration=Configuration(config=struct({"a": 2.0**60}))),
            reason="r" * 1025,
            request_id="no",
        )


async def test_when_some_fail_none_is_done_and_all_that_fail_are_listed(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "there", {"replicas": 1}, schema=pin("web"))
    await create(shop, "other")
    before = await head(shop)
    with failing(*FAILED) as caught:
        await write(
            shop,
            creation("fine"),
            creation("there"),
            deletion("missing"),
            creation("lost", application="nowhere"),
            patch("there", {"replicas": 0, "zone": "b"}),
            patch("other", {"a": 1}, expected_version=7),
            creation("pinned", schema=pin("nothing")),
        )
    assert failed_writes(caught.value) == [1, 2, 3, 4, 5, 6]
    violations = violations_of(caught.value)
    assert set(violations) == {
        "writes[1]",
        "writes[2]",
        "writes[3]",
        "writes[4].config",
        "writes[4].config/replicas",
        "writes[5]",
        "writes[6]",
    }
    assert violations["writes[1]"] == "configuration shop:there already exists"
    assert await head(shop) == before
    assert await names(shop) == ["other", "there"]


async def test_a_validate_only_call_has_an_outcome_for_each_write_and_keeps_nothing(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "there", {"a": 1})
    before = await head(shop)
    response = await write(
        shop,
        creation("fine", {"replicas": 1}, schema=pin("web")),
        patch("there", {"a": 2}),
        upsert("same", {}),
        validate_only=True,
        request_id=str(uuid.uuid4()),
    )
    assert versions(response) == [("fine", 1), ("there", 2), ("same", 1)]
    assert response.outcomes[0].configuration.schema == pin("web", 1)
    assert [outcome.configuration.etag for outcome in response.outcomes] == [""] * 3
    assert (response.revision, response.changed) == (0, True)
    assert await head(shop) == before
    assert await names(shop) == ["there"]


async def test_a_validate_only_call_fails_as_the_real_one_would(shop: Service, psql: "Session") -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "there", {"a": 1})
    before = await head(shop)
    writes = (creation("fine"), creation("there"), creation("bad", {"replicas": 0}, schema=pin("web")))
    statuses: list[bytes] = []
    for validate_only in (True, False):
        with failing(*FAILED) as caught:
            await write(shop, *writes, validate_only=validate_only)
        assert reasons(caught.value) == {1: "RESOURCE_EXISTS", 2: "SCHEMA_VIOLATED"}
        statuses.append(status_of(caught.value).SerializeToString())
    assert statuses[0] == statuses[1]
    assert await head(shop) == before


async def test_writes_that_change_nothing_make_no_version_and_a_batch_of_them_no_commit(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS)
    pinned = await create(shop, "pinned", {"replicas": 1}, schema=pin("web"), comments="here")
    other = await create(shop, "other", {"a": 1})
    same = (upsert("pinned", {"replicas": 1}, schema=pin("web"), comments="here"), patch("other", {"a": 1}))
    response = await write(shop, *same)
    assert response.revision == 0
    assert [outcome.configuration.revision for outcome in response.outcomes] == [pinned.revision, other.revision]
    assert versions(response) == [("pinned", 1), ("other", 1)]
    response = await write(shop, *same, creation("new"))
    assert versions(response) == [("pinned", 1), ("other", 1), ("new", 1)]
    assert response.revision == await head(shop) == response.outcomes[2].configuration.revision


async def test_an_upsert_sets_comments_config_and_schema_of_the_one_that_has_the_key(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", REPLICAS)
    created = await create(shop, "eu", {"replicas": 1}, schema=pin("web"), comments="old")
    response = await write(shop, upsert("eu", {"free": 1}))
    put = await get(shop, "eu")
    assert (put.id, put.version, put.comments, put.HasField("schema")) == (created.id, 2, "", False)
    with failing(*FAILED):
        await write(shop, upsert("eu", {"free": 1}, schema=pin("web")))
    await write(shop, upsert("eu", {"replicas": 2}, schema=pin("web")))
    assert (await get(shop, "eu")).schema == pin("web", 1)
    assert response.outcomes[0].configuration.id == created.id


async def test_the_same_call_again_returns_the_first_answer(shop: Service) -> None:
    await create(shop, "gone")
    await create(shop, "same", {"a": 1})
    request_id = str(uuid.uuid4())
    writes = (creation("new"), deletion("gone"), upsert("same", {"a": 1}))
    first = await write(shop, *writes, request_id=request_id)
    await update(shop, "new", configuration=Configuration(name="renamed"))
    await update(shop, "same", configuration=Configuration(comments="later"))
    assert await write(shop, *writes, request_id=request_id) == first
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await write(shop, creation("other"), request_id=request_id)
    nothing = str(uuid.uuid4())
    unchanged = await write(shop, upsert("renamed"), request_id=nothing)
    await update(shop, "renamed", configuration=Configuration(comments="later"))
    assert await write(shop, upsert("renamed"), request_id=nothing) == unchanged


async def test_of_equal_calls_at_once_one_does_the_work(shop: Service) -> None:
    request_id = str(uuid.uuid4())
    calls = [write(shop, creation("a"), creation("b"), request_id=request_id) for _ in range(5)]
    first, *others = await asyncio.gather(*calls)
    assert others == [first] * 4
    assert await head(shop) == 2


async def test_a_call_that_fails_leaves_its_request_id_free(shop: Service) -> None:
    request_id = str(uuid.uuid4())
    with failing(*FAILED):
        await write(shop, creation("a"), deletion("b"), request_id=request_id)
    await create(shop, "b")
    assert versions(await write(shop, creation("a"), deletion("b"), request_id=request_id)) == [("a", 1), ("b", 2)]


# Two writes of one call


@pytest.mark.parametrize("by_id", [False, True])
async def test_two_writes_about_one_configuration_both_fail_and_name_each_other(shop: Service, *, by_id: bool) -> None:
    created = await create(shop, "web")
    second = ConfigurationWrite(deletion=ConfigurationDeletionItem(id=created.id)) if by_id else deletion("web")
    with failing(*FAILED) as caught:
        await write(shop, upsert("web", {"a": 1}), creation("other"), second)
    assert failed_writes(caught.value) == [0, 2]
    assert violations_of(caught.value) == {
        "writes[0].ref": "is about the same configuration as writes[2]",
        "writes[2].ref": "is about the same configuration as writes[0]",
    }


async def test_two_writes_that_take_one_name_both_fail(shop: Service) -> None:
    await create(shop, "web")
    with failing(*FAILED) as caught:
        await write(shop, creation("a"), upsert("a"), rename("web", "a"))
    assert failed_writes(caught.value) == [0, 1, 2]


async def test_a_name_that_a_deletion_gives_up_may_be_taken_in_the_same_call(shop: Service, database_url: str) -> None:
    web, api, cron = [await create(shop, name) for name in ("web", "api", "cron")]
    async with recorded(shop, watching()) as watch:
        await watch.until_synced()
        # Whatever the order in the request.
        response = await write(shop, creation("web", {"a": 1}), deletion("web"), rename("cron", "api"), deletion("api"))
        recording = await watch.until_revision(response.revision)
    made = await get(shop, "web")
    assert (made.version, content(made.config)) == (1, {"a": 1})
    assert made.id != web.id
    assert (await get(shop, "api")).id == cron.id
    last = recording.messages[-1]
    assert {event.configuration.id for event in last.events[:2]} == {web.id, api.id}
    assert [event.change for event in last.events] == [
        CHANGE_TYPE_DELETED,
        CHANGE_TYPE_DELETED,
        CHANGE_TYPE_UPDATED,
        CHANGE_TYPE_CREATED,
    ]
    validate(recording, await read_history(database_url))


async def test_a_name_that_a_rename_gives_up_may_be_taken_by_a_creation_alone(shop: Service) -> None:
    web = await create(shop, "web")
    await create(shop, "api")
    await write(shop, rename("web", "www"), creation("web"))
    assert (await get(shop, "www")).id == web.id
    with failing(*FAILED) as caught:
        await write(shop, rename("web", "api"), rename("api", "web"))
    assert violations_of(caught.value) == {
        "writes[0].ref": "takes the name that writes[1] gives up: rename in two calls",
        "writes[1].ref": "takes the name that writes[0] gives up: rename in two calls",
    }
    with failing(*FAILED) as caught:
        await write(shop, rename("web", "www"), creation("other"))
    assert failed_writes(caught.value) == [0]


# Beside others


async def test_who_reads_after_a_batch_reads_it_on_the_same_process_and_with_min_revision_on_any(
    database_url: str,
) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        for number in range(20):
            response = await write(one, *(upsert(f"c{index}", {"number": number}) for index in range(20)))
            assert content((await get(one, "c7")).config) == {"number": number}
            read = await get(other, "c7", min_revision=response.revision)
            assert content(read.config) == {"number": number}


async def test_a_row_that_a_session_locks_is_waited_for(shop: Service, psql: "Session") -> None:
    await create(shop, "web", {"a": 1})
    async with psql.transaction():
        await psql.execute("""UPDATE configurations SET config = '{"a": 2}'""")
        waiting = asyncio.create_task(write(shop, patch("web", {"b": 1}), creation("new")))
        await head(shop)
    assert versions(await waiting) == [("web", 3), ("new", 1)]
    assert content((await get(shop, "web")).config) == {"a": 2, "b": 1}


@pytest.mark.parametrize("table", ["applications", "configurations", "schemas"])
async def test_what_is_locked_for_long_is_a_conflict(shop: Service, psql: "Session", table: str) -> None:
    await make_schema(psql, "web", REPLICAS)
    await create(shop, "web", {"replicas": 1}, schema=pin("web"))
    async with psql.transaction():
        await psql.execute(f"SELECT FROM {table} FOR UPDATE")
        with failing(StatusCode.ABORTED, "WRITE_CONFLICT"):
            await write(shop, patch("web", {"replicas": 2}))
    assert (await get(shop, "web")).version == 1


async def test_what_was_deleted_and_made_again_while_it_was_waited_for_is_looked_at_again(
    shop: Service, psql: "Session"
) -> None:
    await create(shop, "web", {"a": 1})
    async with psql.transaction():
        await psql.execute("DELETE FROM configurations WHERE name = 'web'")
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
        waiting = asyncio.create_task(write(shop, patch("web", {"b": 2})))
        await head(shop)
    assert versions(await waiting) == [("web", 2)]


async def test_a_configuration_that_moved_to_another_version_meanwhile_is_validated_against_that_one(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", {"type": "object"})
    await make_schema(psql, "api", REPLICAS)
    await create(shop, "eu", {"replicas": 1}, schema=pin("web"))
    async with psql.transaction():
        await psql.execute("UPDATE configurations SET schema = 'api', schema_version = 1")
        waiting = asyncio.create_task(write(shop, patch("eu", {"replicas": 0})))
        await head(shop)
    with failing(*FAILED) as caught:
        await waiting
    assert list(violations_of(caught.value)) == ["writes[0].config/replicas"]


async def test_a_key_that_another_inserts_meanwhile_is_updated_by_an_upsert(shop: Service, psql: "Session") -> None:
    async with psql.transaction():
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
        waiting = asyncio.create_task(write(shop, upsert("web", {"a": 1})))
        await head(shop)
    assert versions(await waiting) == [("web", 2)]
