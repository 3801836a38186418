"""Lists with deleted configurations: what a page shows, by the log, and that all pages show everything once."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from configsvc.domain.models import ConfigurationQuery, key_with_deleted
from configsvc.domain.scope import Everything, Only
from configsvc.limits.slots import connection_turn
from configsvc.storage import configurations, deleted_configurations, log
from configsvc.storage.database import Connection, open_database
from configsvc.storage.deleted_configurations import page_with_deleted
from configsvc.storage.session_settings import READ_SETTINGS
from configsvc.storage.sessions import open_session
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session, application, changes, configuration, head
from tests.storage.test_compaction_histories import change
from tests.storage.test_queries_plans import plan, rows_read

COMMITS = 60
EVERYTHING = ConfigurationQuery(
    scope=Everything(), revision=None, after=None, limit=1, limit_bytes=60, with_config=True
)
Row = dict[str, Any]
Shown = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Filters of a query, and the same as a predicate on the last record with the state."""

    filters: dict[str, Any]
    matches: Callable[[Row], bool]


def cases(application_id: str) -> tuple[Case, ...]:
    own = Only(frozenset({application_id}))
    return (
        Case({}, lambda _: True),
        Case({"name_prefix": "name1"}, lambda row: row["name"].startswith("name1")),
        Case({"application_id": application_id}, lambda row: row["application_id"] == application_id),
        Case({"scope": own}, lambda row: row["application_id"] == application_id),
        Case({"names": ("name2", "name5")}, lambda row: row["name"] in {"name2", "name5"}),
        Case({"contains": {"of": "name3"}}, lambda row: '"of": "name3"' in row["content"]),
        Case(
            {"scope": own, "json_path": '$."of" == "name3"'},
            lambda row: row["application_id"] == application_id and '"of": "name3"' in row["content"],
        ),
    )


def state_at(log: list[Row], revision: int, matches: Callable[[Row], bool]) -> list[Shown]:
    """Return the configurations at a revision, deleted ones as they were last, in the order of lists."""
    by_id: dict[str, list[Row]] = {}
    for row in log:
        if row["kind"] == "CONFIGURATION" and row["revision"] <= revision:
            by_id.setdefault(row["resource_id"], []).append(row)
    found: list[Shown] = []
    for records in by_id.values():
        is_deleted = records[-1]["operation"] == "DELETED"
        last = records[-2] if is_deleted else records[-1]
        if matches(last):
            place = last["resource_id"] if is_deleted else "0"
            delete_time = records[-1]["commit_time"] if is_deleted else None
            found.append(
                (
                    (last["application"], last["name"], place),
                    *(last["resource_id"], last["version"], last["revision"], last["commit_time"], delete_time),
                )
            )
    return sorted(found, key=lambda one: one[0])


async def listed(connection: Connection, revision: int, limit: int, filters: dict[str, Any]) -> list[Shown]:
    """Return everything that a list shows, page by page."""
    after: tuple[str, ...] | None = None
    found: list[Shown] = []
    while True:
        query = replace(EVERYTHING, revision=revision, after=after, limit=limit, **filters)
        page = await page_with_deleted(connection, query)
        assert page.revision == revision
        assert len(page.resources) <= limit
        for one in page.resources:
            assert one.config is not None
            found.append((key_with_deleted(one), one.id, one.version, one.revision, one.update_time, one.delete_time))
        if page.last_key is None:
            return found
        assert after is None or page.last_key > after
        after = page.last_key


@pytest.mark.parametrize("seed", range(6))
async def test_a_list_shows_everything_that_was_deleted_by_its_revision_as_it_was_last(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(COMMITS):
        await change(psql, dice)
    records = [dict(row) for row in await changes(psql)]
    newest = await head(psql)
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        for revision in (newest, *dice.sample(range(newest + 1), 8)):
            for case in cases(f"{dice.randrange(5):026}"):
                monkeypatch.setattr(log, "FEW_RECORDS", dice.choice((-1, 5, 1000)))
                monkeypatch.setattr(configurations, "KEYS_EXAMINED", dice.choice((1, 3, 2000)))
                monkeypatch.setattr(deleted_configurations, "DELETIONS_EXAMINED", dice.choice((1, 3, 2000)))
                found = await listed(connection, revision, dice.choice((1, 2, 100)), case.filters)
                assert found == state_at(records, revision, case.matches)


async def test_a_deletion_whose_content_was_compacted_is_shown_without_it_until_it_is_compacted_too(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    configuration_id = await configuration(psql, "web", '{"n": 1}')
    await psql.execute("DELETE FROM configurations")
    deleted = await head(psql)
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        # Compaction removes the records of a deleted configuration one after the other, oldest first.
        async with psql.transaction():
            await psql.execute("SET LOCAL session_replication_role = replica")
            await psql.execute("DELETE FROM change_records WHERE resource_id = $1 AND version = 1", configuration_id)
        query = replace(EVERYTHING, limit=10)
        (found,) = (await page_with_deleted(connection, query)).resources
        assert (found.id, found.name, found.version, found.config) == (configuration_id, "web", 1, None)
        assert found.delete_time == await psql.fetchval("SELECT time FROM commits WHERE revision = $1", deleted)
        assert not (await page_with_deleted(connection, replace(query, contains={"n": 1}))).resources
        await configuration(psql, "api")
        await age(psql, up_to=await head(psql))
        await compact_once(database_url)
        (left,) = (await page_with_deleted(connection, query)).resources
        assert left.name == "api"


FILL = (
    "INSERT INTO applications (name) VALUES ('live'), ('gone')",
    """
    INSERT INTO configurations (application, name, config)
    SELECT 'live', 'c' || number, '{}' FROM generate_series(1, 2000) AS number
    """,
    """
    INSERT INTO configurations (application, name, config)
    SELECT 'gone', 'g' || number, '{}' FROM generate_series(1, 3000) AS number
    """,
    "DELETE FROM configurations WHERE application = 'gone'",
    # One that was deleted again and again.
    """
    DO $$
    BEGIN
        FOR number IN 1..500 LOOP
            INSERT INTO configurations (id, application, name, config) VALUES (repeat('0', 26), 'gone', 'again', '{}');
            COMMIT;
            DELETE FROM configurations WHERE application = 'gone';
            COMMIT;
        END LOOP;
    END
    $$
    """,
    "VACUUM ANALYZE",
)


async def test_deletions_are_found_by_index_and_no_more_of_them_are_read_than_are_examined(
    psql: Session, database_url: str
) -> None:
    for statement in FILL:
        await psql.execute(statement)
    newest = await head(psql)
    own = [await psql.fetchval("SELECT id FROM applications WHERE name = 'gone'")]
    filters = ("", None, None, None, None, None)
    session = await open_session(database_url, READ_SETTINGS, command_timeout=30)
    try:
        for ids, index in ((None, "change_records_deleted"), (own, "change_records_deleted_of")):
            for after in (("", "", "0"), ("gone", "g2", "0")):
                arguments = (newest, *after, ids, *filters, 51, True, 1_000_000, 100)
                indexes, scanned = await plan(session, "deleted_configurations", "list", *arguments)
                assert {index, "change_records_kind_resource_id_version_key"} <= indexes
                assert not scanned
                assert await rows_read(session, "deleted_configurations", "list", *arguments) <= 101
    finally:
        await session.close(timeout=10)
