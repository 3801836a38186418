"""The statement of a group commit: what it makes, what it leaves out, and that its log is that of the triggers."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from configsvc.domain.models import Effect, Operation, SchemaVersionRef, Written
from configsvc.domain.writes import PinnedSchema
from configsvc.storage import configuration_writes, group_commits
from configsvc.storage.group_commits import GroupWrite, Refusal
from configsvc.storage.session_settings import MERGE_SETTINGS
from configsvc.storage.sessions import open_session
from tests.postgres import plain_connection
from tests.storage.planned import context_of, current, new, planned
from tests.storage.reading import Session, application, changes, changes_after, configuration, head, revisions

DONE, LOCKED, CHANGED = Refusal.DONE, Refusal.LOCKED, Refusal.CHANGED
# What differs between two changes that are alike.
OWN = {"revision", "commit_time", "commit_id", "ordinal", "resource_id", "create_time", "time", "name", "previous_name"}


@asynccontextmanager
async def merging(url: str, **settings: str) -> AsyncGenerator[Session]:
    session = await open_session(url, MERGE_SETTINGS | settings, command_timeout=30)
    try:
        yield session
    finally:
        await session.close(timeout=10)


@pytest.fixture
async def merges(database_url: str) -> AsyncIterator[Session]:
    """Yield a session of the service for group commits."""
    async with merging(database_url) as session:
        yield session


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Session]:
    """Yield a second session of psql."""
    async with plain_connection(database_url) as session:
        yield session


async def updates(session: Session, *ids: str, request_id: str = "") -> list[GroupWrite]:
    """Plan an update of each configuration."""
    rows = [await current(session, configuration_id) for configuration_id in ids]
    return [planned(Operation.UPDATED, replace(row, comments="x"), request_id, before=row) for row in rows]


async def write(session: Session, *writes: GroupWrite, lock_seconds: float | None = None) -> tuple[Refusal, ...]:
    return tuple((await group_commits.write(session, writes, lock_seconds=lock_seconds)).refusals)


async def test_a_group_is_one_commit_whose_revision_and_time_it_returns(merges: Session, psql: Session) -> None:
    owner = await application(psql)
    a, b = [await configuration(psql, name) for name in "ab"]
    gone = await current(psql, b)
    writes = (
        planned(Operation.CREATED, new(owner, "c")),
        planned(Operation.DELETED, gone, before=gone),
        *await updates(psql, a),
    )
    made = await group_commits.write(merges, writes, lock_seconds=None)
    assert list(made.refusals) == [DONE] * 3
    log = await changes_after(psql, 3)
    assert [(row["ordinal"], row["operation"], row["name"], row["version"]) for row in log] == [
        (0, "DELETED", "b", 2),
        (1, "UPDATED", "a", 2),
        (2, "CREATED", "c", 1),
    ]
    assert {(row["revision"], row["commit_time"]) for row in log} == {(made.revision, made.time)} == {(4, made.time)}


async def test_what_changed_since_it_was_planned_is_left_out(merges: Session, psql: Session) -> None:
    owner = await application(psql)
    second = await application(psql, "second")
    ids = [await configuration(psql, name) for name in ("kept", "changed", "deleted")]
    writes = await updates(psql, *ids)
    creations = [
        planned(Operation.CREATED, new(owner, "new")),
        planned(Operation.CREATED, new(second, "new", "second")),
        planned(Operation.CREATED, new("0" * 26, "new", "nowhere")),
    ]
    await psql.execute("UPDATE configurations SET comments = 'by hand' WHERE name = 'changed'")
    await psql.execute("DELETE FROM configurations WHERE name = 'deleted'")
    await psql.execute("UPDATE applications SET name = 'renamed' WHERE name = 'second'")
    assert await write(merges, *writes, *creations) == (DONE, CHANGED, CHANGED, DONE, CHANGED, CHANGED)
    assert [row["name"] for row in await changes_after(psql, 8)] == ["kept", "new"]
    assert await psql.fetchval("SELECT comments FROM configurations WHERE name = 'changed'") == "by hand"


async def test_what_others_have_locked_is_left_out(merges: Session, psql: Session, other: Session) -> None:
    owner = await application(psql)
    second = await application(psql, "second")
    schema = await psql.fetchval("INSERT INTO schemas (name) VALUES ('web') RETURNING id")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', '{}')")
    ids = [await configuration(psql, name) for name in ("free", "locked")]
    pin = PinnedSchema(id=schema, name="web", latest_version=1)
    ref = SchemaVersionRef(schema="web", version=1)
    before = await head(psql)
    async with other.transaction():
        await other.execute("SELECT FROM configurations WHERE name = 'locked' FOR UPDATE")
        await other.execute("SELECT FROM applications WHERE name = 'second' FOR UPDATE")
        await other.execute("SELECT FROM schemas FOR UPDATE")
        refusals = await write(
            merges,
            *await updates(psql, *ids),
            planned(Operation.CREATED, new(owner, "new")),
            planned(Operation.CREATED, new(second, "new", "second")),
            planned(Operation.CREATED, new(owner, "pinned", schema=ref), pin=pin),
        )
    assert refusals == (DONE, LOCKED, DONE, LOCKED, LOCKED)
    assert [row["name"] for row in await changes_after(psql, before)] == ["free", "new"]


async def test_a_schema_with_a_newer_version_than_the_one_that_validated_is_a_change(
    merges: Session, psql: Session
) -> None:
    owner = await application(psql)
    schema = await psql.fetchval("INSERT INTO schemas (name) VALUES ('web') RETURNING id")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', '{}')")
    pin = PinnedSchema(id=schema, name="web", latest_version=1)
    ref = SchemaVersionRef(schema="web", version=1)
    one, two = [planned(Operation.CREATED, new(owner, name, schema=ref), pin=pin) for name in "ab"]
    assert await write(merges, one) == (DONE,)
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', '{\"type\": \"object\"}')")
    assert await write(merges, two) == (CHANGED,)


async def test_a_key_that_is_taken_and_a_row_that_stays_the_same_make_no_commit(merges: Session, psql: Session) -> None:
    owner = await application(psql)
    web = await current(psql, await configuration(psql, "web", '{"n": 1.0}'))
    refusals = await write(
        merges,
        planned(Operation.CREATED, new(owner, "web"), "taken"),
        planned(Operation.UPDATED, web, "same", before=web),
    )
    assert refusals == (Refusal.EXISTS, Refusal.UNCHANGED)
    assert await head(psql) == 2
    rows = await psql.fetch("SELECT * FROM requests")
    assert [(row["request_id"], row["resource_id"], json.loads(row["answers"])) for row in rows] == [
        ("same", "", [[web.id, 1, False]])
    ]


async def test_request_ids_are_kept_for_what_was_made_alone(merges: Session, psql: Session, other: Session) -> None:
    await application(psql)
    a, b, c = [await configuration(psql, name) for name in "abc"]
    kept = Effect(written=Written(resource_id=c, version=1), changed=False)
    writes = [
        *await updates(psql, a, request_id="made"),
        *await updates(psql, b, request_id="locked"),
        GroupWrite(context=context_of("kept"), kept=kept),
    ]
    async with other.transaction():
        await other.execute("SELECT FROM configurations WHERE name = 'b' FOR UPDATE")
        assert await write(merges, *writes) == (DONE, LOCKED, DONE)
    rows = await psql.fetch("SELECT * FROM requests ORDER BY request_id")
    assert [(row["request_id"], row["resource_id"], row["version"], row["answers"]) for row in rows] == [
        ("kept", "", 0, json.dumps([[c, 1, False]])),
        ("made", a, 2, None),
    ]
    again = [*await updates(psql, a, request_id="made"), *await updates(psql, b)]
    assert await write(merges, *again) == (Refusal.CLAIMED, DONE)


async def test_a_request_id_is_free_after_24_hours(merges: Session, psql: Session) -> None:
    await application(psql)
    a = await configuration(psql, "a")
    assert await write(merges, *await updates(psql, a, request_id="one")) == (DONE,)
    await psql.execute("UPDATE requests SET create_time = now() - interval '24 hours 1 second'")
    row = await current(psql, a)
    assert await write(merges, planned(Operation.DELETED, row, "one", before=row)) == (DONE,)
    assert await psql.fetchval("SELECT version FROM requests") == 3


async def test_a_part_of_a_group_waits_less_but_for_its_commit(merges: Session, psql: Session, other: Session) -> None:
    owner = await application(psql)
    creation = planned(Operation.CREATED, new(owner, "web"))
    async with other.transaction():
        await other.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await write(merges, creation, lock_seconds=0.01)
    async with other.transaction():
        await other.execute("SELECT FROM commit_order FOR UPDATE")
        with pytest.raises(asyncpg.LockNotAvailableError) as caught:
            await write(merges, planned(Operation.CREATED, new(owner, "db")), lock_seconds=0.01)
    assert "commit_order" in str(caught.value.context)  # type: ignore[attr-defined]
    assert await merges.fetchval("SHOW lock_timeout") == MERGE_SETTINGS["lock_timeout"]


async def test_it_logs_what_the_triggers_log(merges: Session, psql: Session) -> None:
    owner = await application(psql)
    schema = await psql.fetchval("INSERT INTO schemas (name) VALUES ('web') RETURNING id")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', '{}')")
    pin = PinnedSchema(id=schema, name="web", latest_version=1)
    ref = SchemaVersionRef(schema="web", version=1)
    rows: dict[str, list[dict[str, Any]]] = {}
    for way in ("function", "triggers"):
        row = replace(new(owner, way, schema=ref), comments="made")
        last = await head(psql)
        await _make(merges, way, planned(Operation.CREATED, row, f"{way}-0", pin=pin))
        for changed in (
            replace(row, comments="new comments", version=1),
            replace(row, name=f"{way}-renamed", schema=None, version=2),
        ):
            before = await current(psql, row.id)
            one = planned(
                Operation.UPDATED, changed, f"{way}-{changed.version}", before=before, config='{"n": 2, "a": [1]}'
            )
            await _make(merges, way, one)
        gone = await current(psql, row.id)
        await _make(merges, way, planned(Operation.DELETED, gone, f"{way}-3", before=gone))
        log = await changes_after(psql, last)
        _check_times(log)
        assert [entry["name"].removeprefix(way) for entry in log] == ["", "", "-renamed", "-renamed"]
        assert [entry["previous_name"].removeprefix(way) for entry in log] == ["", "", "", "-renamed"]
        rows[way] = [
            {key: str(value).replace(way, "") for key, value in entry.items() if key not in OWN} for entry in log
        ]
    assert rows["function"] == rows["triggers"]


async def _make(session: Session, way: str, one: GroupWrite) -> None:
    if way == "function":
        assert await write(session, one) == (DONE,)
        return
    assert one.planned is not None
    assert one.operation is not None
    by_kind = {
        Operation.CREATED: configuration_writes.insert,
        Operation.UPDATED: configuration_writes.update,
        Operation.DELETED: configuration_writes.delete,
    }
    async with session.transaction():
        assert len(await by_kind[one.operation](session, [one.planned])) == 1


def _check_times(log: list[Any]) -> None:
    """Check that a record has the time of its transaction, and from the second version on that of the first commit."""
    assert all(row["time"] < row["commit_time"] for row in log)
    assert log[0]["create_time"] == log[0]["time"]
    assert {row["create_time"] for row in log[1:]} == {log[0]["commit_time"]}


async def test_rows_have_what_the_triggers_would_give_them(merges: Session, psql: Session) -> None:
    await application(psql)
    ids = [await configuration(psql, name) for name in ("function", "triggers")]
    one, two = await updates(psql, *ids)
    await _make(merges, "function", one)
    await _make(merges, "triggers", two)
    first, second = await psql.fetch("SELECT * FROM configurations ORDER BY name")
    same = set(first.keys()) - {"id", "name", "commit_id", "create_time", "update_time"}
    assert {key: first[key] for key in same} == {key: second[key] for key in same}
    for row in (first, second):
        own = (row["id"], row["version"], row["commit_id"])
        assert own in {(entry["resource_id"], entry["version"], entry["commit_id"]) for entry in await changes(psql)}


async def test_it_is_a_transaction_of_its_own(merges: Session, psql: Session) -> None:
    await application(psql)
    one, two = await updates(psql, *[await configuration(psql, name) for name in "ab"])
    transaction = merges.transaction()
    await transaction.start()
    await merges.execute("UPDATE applications SET comments = 'x'")
    with pytest.raises(asyncpg.ActiveSQLTransactionError, match="a transaction of its own"):
        await write(merges, one)
    await transaction.rollback()
    async with merges.transaction():
        assert await write(merges, one) == (DONE,)
        await merges.execute("UPDATE configurations SET comments = 'later'")
    assert [(row["revision"], row["ordinal"], row["name"]) for row in await changes_after(psql, 3)] == [
        (4, 0, "a"),
        (4, 1, "a"),
        (4, 2, "b"),
    ]
    assert await write(merges, two) == (CHANGED,)


@pytest.mark.parametrize("mode", ["auto", "force_custom_plan", "force_generic_plan"])
async def test_groups_beside_sessions_of_sql_are_gapless_and_in_order(
    psql: Session, database_url: str, mode: str
) -> None:
    await application(psql)
    ids = [await configuration(psql, f"c{number}") for number in range(8)]

    async def group() -> None:
        async with merging(database_url, plan_cache_mode=mode) as session, plain_connection(database_url) as reader:
            for _ in range(15):
                await write(session, *await updates(reader, *ids))

    async def by_hand(name: str) -> None:
        async with plain_connection(database_url) as session:
            for number in range(15):
                statement = (
                    "UPDATE configurations SET config = jsonb_build_object($1::text, $2::integer) WHERE name = $3"
                )
                await session.execute(statement, name, number, f"c{number % 8}")

    await asyncio.gather(group(), group(), by_hand("one"), by_hand("two"))
    assert await revisions(psql) == list(range(1, await head(psql) + 1))
    log = await changes(psql)
    assert [row["commit_time"] for row in log] == sorted(row["commit_time"] for row in log)
    for configuration_id in ids:
        versions = [row["version"] for row in log if row["resource_id"] == configuration_id]
        assert versions == list(range(1, len(versions) + 1))
        assert versions[-1] == (await current(psql, configuration_id)).version
