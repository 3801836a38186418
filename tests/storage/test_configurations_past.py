"""Lists of the past: what a page shows, however its state is found, and what it reads for that."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from configsvc.domain.models import Configuration, ConfigurationQuery
from configsvc.domain.scope import Everything, Only
from configsvc.limits.slots import connection_turn
from configsvc.storage import configurations
from configsvc.storage.database import Connection, open_database
from tests.storage.reading import Session, changes, head
from tests.storage.test_compaction_histories import change

COMMITS = 40
EVERYTHING = ConfigurationQuery(
    scope=Everything(), revision=None, after=None, limit=1, limit_bytes=60, with_config=True
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Filters of a query, and the same as a predicate on a record of the log."""

    filters: dict[str, Any]
    matches: Callable[[Row], bool]


def cases(application_id: str) -> tuple[Case, ...]:
    own = Only(frozenset({application_id}))
    return (
        Case({}, lambda _: True),
        Case({"name_prefix": "name1"}, lambda row: row["name"].startswith("name1")),
        Case({"application_id": application_id}, lambda row: row["application_id"] == application_id),
        Case({"scope": own}, lambda row: row["application_id"] == application_id),
        Case({"application": "name1"}, lambda row: row["application"] == "name1"),
        Case(
            {"application": "name1", "scope": own},
            lambda row: (row["application"], row["application_id"]) == ("name1", application_id),
        ),
        Case(
            {"application_id": application_id, "names": ("name2", "name5")},
            lambda row: row["application_id"] == application_id and row["name"] in {"name2", "name5"},
        ),
        Case({"names": ("name2", "name5")}, lambda row: row["name"] in {"name2", "name5"}),
        Case({"contains": {"of": "name3"}}, lambda row: '"of": "name3"' in row["content"]),
        Case(
            {"json_path": '$.of == "name3"', "application_id": application_id},
            lambda row: row["application_id"] == application_id and '"of": "name3"' in row["content"],
        ),
    )


def state_at(log: list[Row], revision: int) -> list[Row]:
    """Return the records that show the configurations at a revision, in the order of their keys."""
    latest = {row["resource_id"]: row for row in log if row["kind"] == "CONFIGURATION" and row["revision"] <= revision}
    living = (row for row in latest.values() if row["operation"] != "DELETED")
    return sorted(living, key=lambda row: (row["application"], row["name"]))


async def listed(connection: Connection, revision: int, limit: int, filters: dict[str, Any]) -> list[Configuration]:
    """Return all configurations of a list, page by page."""
    after: tuple[str, str] | None = None
    found: list[Configuration] = []
    while True:
        query = replace(EVERYTHING, revision=revision, after=after, limit=limit, **filters)
        page = await configurations.page(connection, query)
        assert page.revision == revision
        assert len(page.resources) <= limit
        found += page.resources
        if page.last_key is None:
            return found
        application, name = page.last_key
        assert after is None or (application, name) > after
        after = (application, name)


@pytest.mark.parametrize("seed", range(6))
async def test_a_list_of_the_past_shows_its_state_however_much_has_changed_since(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(COMMITS):
        await change(psql, dice)
    log = [dict(row) for row in await changes(psql)]
    newest = await head(psql)
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        for revision in dice.sample(range(newest + 1), 12):
            state = state_at(log, revision)
            for case in cases(f"{dice.randrange(5):026}"):
                wanted = [row for row in state if case.matches(row)]
                monkeypatch.setattr("configsvc.storage.log.FEW_RECORDS", dice.choice((-1, -1, 5, 1000)))
                monkeypatch.setattr(configurations, "KEYS_EXAMINED", dice.choice((1, 3, 2000)))
                found = await listed(connection, revision, dice.choice((1, 2, 100)), case.filters)
                assert [
                    (one.id, one.application, one.name, one.version, one.revision, one.update_time) for one in found
                ] == [
                    (
                        row["resource_id"],
                        row["application"],
                        row["name"],
                        row["version"],
                        row["revision"],
                        row["commit_time"],
                    )
                    for row in wanted
                ], (revision, case.filters)
                monkeypatch.setattr("configsvc.storage.log.FEW_RECORDS", 1000)
                assert found == await listed(connection, revision, 100, case.filters)


async def test_the_version_at_a_revision_is_found_among_any_number_of_them(psql: Session) -> None:
    await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
    for comment in range(40):
        await psql.execute("UPDATE applications SET comments = $1", str(comment))
        await psql.execute("INSERT INTO applications (name) VALUES ($1)", f"other{comment}")
    application_id = await psql.fetchval("SELECT id FROM applications WHERE name = 'shop'")
    versions = {change["revision"]: change["version"] for change in await changes(psql) if change["name"] == "shop"}
    wanted = 0
    for revision in range(await head(psql) + 1):
        wanted = versions.get(revision, wanted)
        found = await psql.fetchval("SELECT version_at('APPLICATION', $1, $2)", application_id, revision)
        assert found == wanted
    assert await psql.fetchval("SELECT version_at('APPLICATION', 'none', 5)") is None
