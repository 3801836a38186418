"""Compaction of the log: the rows it removes, its steps, and the work that can go on meanwhile."""

import asyncio

import pytest
import structlog

from configsvc.app import housekeeping
from configsvc.app.housekeeping import keep_house
from configsvc.domain.models import Retention
from configsvc.limits.slots import connection_turn
from configsvc.storage.compaction import step
from configsvc.storage.database import open_database
from tests.postgres import plain_connection
from tests.storage.compacting import A_DAY, AT_ONCE, age, compact_once, compacted_revision
from tests.storage.reading import LIMIT_SECONDS, Session, application, changes, configuration, head, revisions
from tests.watch.changing import commit_one_by_one, fill


async def versions_of(session: Session, name: str) -> list[int]:
    return [record["version"] for record in await changes(session) if record["name"] == name]


async def update(session: Session, count: int) -> None:
    """Make that many commits that change all configurations."""
    for number in range(count):
        await session.execute("UPDATE configurations SET comments = $1", f"{number} of {await head(session)}")


async def test_only_what_is_older_than_the_age_is_removed(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 4)
    await compact_once(database_url, A_DAY)
    assert (await compacted_revision(psql), await versions_of(psql, "web")) == (0, [1, 2, 3, 4, 5])
    await age(psql, up_to=4)
    await compact_once(database_url, A_DAY)
    assert (await compacted_revision(psql), await versions_of(psql, "web")) == (4, [3, 4, 5])


async def test_the_newest_version_of_what_lives_is_kept_however_old_it_is(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await configuration(psql, "gone")
    await psql.execute("DELETE FROM configurations WHERE name = 'gone'")
    await compact_once(database_url)
    assert [record["name"] for record in await changes(psql)] == ["shop", "web"]
    assert await psql.fetchval("SELECT count(*) FROM configurations JOIN commits ON commits.id = commit_id") == 1


async def test_as_many_versions_are_kept_as_the_settings_say(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 5)
    await compact_once(database_url, Retention(days=0, versions=3))
    assert await versions_of(psql, "web") == [4, 5, 6]


async def test_fewer_versions_are_kept_of_what_changes_after_the_setting_did(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 5)
    await compact_once(database_url, Retention(days=0, versions=10))
    await compact_once(database_url, Retention(days=0, versions=3))
    assert await versions_of(psql, "web") == [1, 2, 3, 4, 5, 6]
    await update(psql, 1)
    await compact_once(database_url, Retention(days=0, versions=3))
    assert await versions_of(psql, "web") == [5, 6, 7]


async def test_a_clock_that_was_set_back_removes_nothing_early(psql: Session, database_url: str) -> None:
    # An old commit after a young one waits until the young one is old.
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 2)
    await psql.execute("UPDATE commits SET time = time - interval '2 days' WHERE revision IN (1, 2, 4)")
    await compact_once(database_url, A_DAY)
    assert (await compacted_revision(psql), await versions_of(psql, "web")) == (2, [1, 2, 3])


async def test_a_large_commit_is_compacted_in_small_steps(psql: Session, database_url: str) -> None:
    await application(psql)
    await fill(psql, 2000)
    await update(psql, 2)
    await psql.execute("DELETE FROM configurations")
    removed: list[int] = []
    floors: list[int] = []
    async with open_database(database_url, turn=connection_turn) as database, database.write() as connection:
        while (count := await step(connection, AT_ONCE, limit=300)) is not None:
            removed.append(count)
            floors.append(await compacted_revision(psql))
    assert max(removed) <= 300
    assert sum(removed) == 4 * 2000
    assert floors == sorted(floors)
    assert set(floors) == {2, 3, 4, 5}
    assert [record["name"] for record in await changes(psql)] == ["shop"]
    assert await revisions(psql) == [1, 5]


async def test_a_resource_of_many_versions_is_compacted_in_small_steps(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 60)
    await compact_once(database_url, Retention(days=0, versions=1000))
    await psql.execute("DELETE FROM configurations")
    async with open_database(database_url, turn=connection_turn) as database, database.write() as connection:
        for expected in (25, 25, 12):
            assert await step(connection, AT_ONCE, limit=25) == expected
            if expected == 25:
                # A reinserted id continues its versions as long as any record of it remains.
                assert (await versions_of(psql, "web"))[-1] == 62
        assert await step(connection, AT_ONCE, limit=25) is None
    assert await versions_of(psql, "web") == []


async def test_an_id_that_is_inserted_again_counts_anew_once_nothing_is_left_of_it(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    web = await configuration(psql, "web")
    again = "INSERT INTO configurations (id, application, name, config) VALUES ($1, 'shop', 'web', '{}')"
    await update(psql, 2)
    await psql.execute("DELETE FROM configurations")
    await psql.execute(again, web)
    assert await versions_of(psql, "web") == [1, 2, 3, 4, 5]
    await compact_once(database_url)
    assert await versions_of(psql, "web") == [5]
    await psql.execute("DELETE FROM configurations")
    await compact_once(database_url)
    await psql.execute(again, web)
    await compact_once(database_url)
    assert await versions_of(psql, "web") == [1]


async def test_one_process_compacts_at_a_time_and_waits_for_none(psql: Session, database_url: str) -> None:
    await application(psql)
    await commit_one_by_one(psql, 5)
    async with psql.transaction(), asyncio.timeout(LIMIT_SECONDS):
        await psql.execute("SELECT FROM compaction FOR UPDATE")
        await compact_once(database_url)
        assert await compacted_revision(psql) == 0
    await compact_once(database_url)
    assert await compacted_revision(psql) == 6


async def test_processes_that_compact_at_once_do_what_one_does(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "COMPACTION_STEP", 7)
    await application(psql)
    await fill(psql, 50)
    await update(psql, 5)
    await psql.execute("DELETE FROM configurations WHERE name < 'c00025'")
    async with asyncio.timeout(LIMIT_SECONDS):
        while await compacted_revision(psql) < 8:
            await asyncio.gather(*(compact_once(database_url) for _ in range(3)))
        await compact_once(database_url)
    left = [record for record in await changes(psql) if record["kind"] == "CONFIGURATION"]
    assert [record["version"] for record in left] == [6] * 26


async def test_writers_are_not_held_up(psql: Session, database_url: str) -> None:
    # Every kind of write must work while a step does not end.
    await application(psql)
    web = await configuration(psql, "web")
    await update(psql, 3)
    async with (
        open_database(database_url, turn=connection_turn) as database,
        database.write() as connection,
        connection.transaction(),
    ):
        assert await step(connection, AT_ONCE, limit=1000) == 3
        async with plain_connection(database_url) as writer, asyncio.timeout(LIMIT_SECONDS):
            await writer.execute("SET lock_timeout = '100ms'")
            await update(writer, 2)
            await configuration(writer, "other")
            await writer.execute("UPDATE applications SET name = 'store'")
            await writer.execute("DELETE FROM configurations")
            await writer.execute(
                "INSERT INTO configurations (id, application, name, config) VALUES ($1, 'store', 'web', '{}')", web
            )
    assert await versions_of(psql, "web") == [4, 5, 6, 7, 8, 9]


async def test_housekeeping_compacts_and_says_so(psql: Session, database_url: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    await update(psql, 3)
    with structlog.testing.capture_logs() as logs:
        async with open_database(database_url, turn=connection_turn) as database, asyncio.timeout(LIMIT_SECONDS):
            keeping = asyncio.create_task(keep_house(database, AT_ONCE))
            while not logs:  # noqa: ASYNC110  # only the log tells when it is done
                await asyncio.sleep(0.01)
            keeping.cancel()
    assert (logs[0]["event"], logs[0]["removed"]) == ("log compacted", 3)
    assert await versions_of(psql, "web") == [4]
