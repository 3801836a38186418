"""Random histories, compacted again and again: everything that can still be read is unchanged."""

import json
import random
from typing import Any

import pytest

from configsvc.app import housekeeping
from configsvc.domain.commits import Position, position_after
from configsvc.domain.errors import RevisionCompactedError
from configsvc.domain.models import ConfigurationQuery, Retention
from configsvc.domain.scope import Everything
from configsvc.limits.slots import connection_turn
from configsvc.storage import applications, configurations
from configsvc.storage.database import Connection, open_database
from configsvc.storage.log import page_from
from tests.storage.compacting import Log, age, compact_once, compacted_revision, kept, position_of, state
from tests.storage.reading import Session, changes, head, revisions

ROUNDS = 3
COMMITS = 15

STATEMENTS = (
    "INSERT INTO applications (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    "UPDATE applications SET comments = $2 WHERE id = $1",
    # Carried over to the configurations of the application.
    "UPDATE applications SET name = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM applications WHERE name = $2)",
    """DELETE FROM applications
    WHERE id = $1 AND name <> $2 AND NOT EXISTS (SELECT FROM configurations WHERE application_id = $1)""",
    """INSERT INTO configurations (id, application, name, config)
    SELECT $1, name, $2, '{}' FROM applications ORDER BY name LIMIT 1 ON CONFLICT DO NOTHING""",
    "UPDATE configurations SET config = jsonb_build_object('of', $2::text, 'n', version) WHERE id <> $1",
    "UPDATE configurations SET config = jsonb_build_object('of', $2::text, 'n', version) WHERE id = $1",
    "UPDATE configurations SET name = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM configurations WHERE name = $2)",
    "DELETE FROM configurations WHERE id = $1 AND name <> $2",
    "DELETE FROM configurations WHERE application_id = $1 AND name <> $2",
)
# Statements that create what the others need come more often.
WEIGHTS = (4, 1, 1, 1, 4, 2, 3, 1, 1, 1)


async def change(session: Session, dice: random.Random) -> None:
    """Make one commit, or none, of some statements on a few recurring ids and names."""
    async with session.transaction():
        for _ in range(dice.choice((1, 1, 2, 5))):
            (statement,) = dice.choices(STATEMENTS, WEIGHTS)
            await session.execute(statement, f"{dice.randrange(5):026}", f"name{dice.randrange(8)}")


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_left_of_the_history_reads_as_it_did_before(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(housekeeping, "COMPACTION_STEP", dice.choice((1, 3, 1000)))
    # No other load needs the pauses of compaction.
    monkeypatch.setattr(housekeeping, "REST_FACTOR", 0.0)
    versions = dice.randint(1, 3)
    for _ in range(ROUNDS):
        for _ in range(COMMITS):
            await change(psql, dice)
        before = await changes(psql)
        floor = dice.randint(await compacted_revision(psql), await head(psql))
        await age(psql, up_to=floor)
        await compact_once(database_url, Retention(days=1, versions=versions))
        assert await compacted_revision(psql) == floor
        assert {position_of(record) for record in await changes(psql)} == kept(before, floor, versions)
        await check_commits(psql, floor)
        await check_readable(database_url, before, floor)


async def check_commits(session: Session, floor: int) -> None:
    """Check that every row and record has its commit, and that only the last compacted commit has no records."""
    rows = "SELECT commit_id FROM applications UNION ALL SELECT commit_id FROM configurations"
    assert await session.fetch(f"SELECT FROM ({rows}) AS rows WHERE commit_id NOT IN (SELECT id FROM commits)") == []
    with_records = {record["revision"] for record in await changes(session)}
    assert {*await revisions(session), floor} == {*with_records, floor}
    assert floor == 0 or floor in await revisions(session)


async def check_readable(url: str, before: Log, floor: int) -> None:
    """Check that lists show the unchanged states from the floor on and nothing below it, and the log every change after
    it.
    """
    last = before[-1]["revision"]
    async with open_database(url, turn=connection_turn) as database, database.read() as connection:
        for revision in range(floor, last + 1):
            assert await listed(connection, revision) == {
                resource_id: (record["application"], record["name"], json.loads(record["content"]), record["version"])
                for resource_id, record in state(before, "CONFIGURATION", revision).items()
            }
            assert await listed_applications(connection, revision) == {
                resource_id: (record["name"], record["comments"], record["version"])
                for resource_id, record in state(before, "APPLICATION", revision).items()
            }
        page = await page_from(connection, position_after(floor))
        assert [change.configuration.revision for part in page.parts for change in part.changes] == [
            record["revision"] for record in before if record["revision"] > floor and record["kind"] == "CONFIGURATION"
        ]
        await check_unreadable(connection, floor - 1)


async def check_unreadable(connection: Connection, revision: int) -> None:
    for read in (listed, listed_applications):
        with pytest.raises(RevisionCompactedError):
            await read(connection, revision)
    for position in (position_after(revision), Position(revision=revision + 1, ordinal=1)):
        with pytest.raises(RevisionCompactedError):
            await page_from(connection, position)


async def listed(connection: Connection, revision: int) -> dict[str, Any]:
    query = ConfigurationQuery(
        scope=Everything(),
        revision=revision,
        after=None,
        limit=1000,
        limit_bytes=1_000_000,
        with_config=True,
        name_prefix="",
    )
    page = await configurations.page(connection, query)
    return {
        found.id: (found.application, found.name, found.config and found.config.value, found.version)
        for found in page.resources
    }


async def listed_applications(connection: Connection, revision: int) -> dict[str, Any]:
    page = await applications.page(
        connection, revision=revision, name_prefix="", after=None, limit=1000, scope=Everything()
    )
    return {found.id: (found.name, found.comments, found.version) for found in page.resources}
