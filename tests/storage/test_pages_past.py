"""Lists of applications and schemas of the past: what a page shows, however its state is found."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from configsvc.domain.models import NameRef
from configsvc.domain.scope import Everything, Only
from configsvc.limits.slots import connection_turn
from configsvc.storage import applications, schemas
from configsvc.storage.database import Connection, open_database
from tests.storage.reading import Session, changes, head

COMMITS = 60
NAMES = tuple(f"name{number}" for number in range(6))
List = Callable[[Connection, int, str, str | None, int], Awaitable[Any]]


async def of_all(connection: Connection, revision: int, prefix: str, after: str | None, limit: int) -> Any:
    return await applications.page(
        connection, revision=revision, name_prefix=prefix, after=after, limit=limit, scope=Everything()
    )


async def of_schemas(connection: Connection, revision: int, prefix: str, after: str | None, limit: int) -> Any:
    return await schemas.page(connection, revision=revision, name_prefix=prefix, after=after, limit=limit)


async def change(psql: Session, dice: random.Random, table: str) -> None:
    """Create, change, rename or delete something; nothing if it cannot be done."""
    name, other = dice.sample(NAMES, 2)
    statements = [
        f"INSERT INTO {table} (name) VALUES ('{name}') ON CONFLICT DO NOTHING",
        f"UPDATE {table} SET comments = '{dice.random()}' WHERE name = '{name}'",
        f"DELETE FROM {table} WHERE name = '{name}'",
    ]
    if table == "applications":
        rename = f"UPDATE applications SET name = '{other}' WHERE name = '{name}'"
        statements.append(f"{rename} AND NOT EXISTS (SELECT FROM applications WHERE name = '{other}')")
    await psql.execute(dice.choice(statements))


async def listed(list_page: List, connection: Connection, revision: int, prefix: str, limit: int) -> list[Any]:
    """Return all resources of a list, page by page."""
    found: list[Any] = []
    after = None
    while True:
        page = await list_page(connection, revision, prefix, after, limit)
        assert page.revision == revision
        found += page.resources
        if page.last_key is None:
            return found
        (after,) = page.last_key


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("table", "kind", "list_page"), [("applications", "APPLICATION", of_all), ("schemas", "SCHEMA", of_schemas)]
)
async def test_a_list_of_the_past_shows_its_state_however_much_has_changed_since(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch, table: str, kind: str, list_page: List, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(COMMITS):
        await change(psql, dice, table)
    records = [row for row in await changes(psql) if row["kind"] == kind]
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        for revision in range(await head(psql) + 1):
            latest = {row["resource_id"]: row for row in records if row["revision"] <= revision}
            living = [row for row in latest.values() if row["operation"] != "DELETED"]
            for prefix in ("", "name3"):
                wanted = sorted(row["name"] for row in living if row["name"].startswith(prefix))
                monkeypatch.setattr("configsvc.storage.log.FEW_RECORDS", -1)
                found = await listed(list_page, connection, revision, prefix, dice.choice((1, 2, 100)))
                assert [one.name for one in found] == wanted, (revision, prefix)
                monkeypatch.setattr("configsvc.storage.log.FEW_RECORDS", 1000)
                assert found == await listed(list_page, connection, revision, prefix, 100)


async def test_a_caller_with_some_applications_sees_those_and_an_application_is_found_by_its_name_of_then(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(1)
    for _ in range(COMMITS):
        await change(psql, dice, "applications")
    monkeypatch.setattr("configsvc.storage.log.FEW_RECORDS", -1)
    records = [row for row in await changes(psql) if row["kind"] == "APPLICATION"]
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        for revision in range(await head(psql) + 1):
            latest = {row["resource_id"]: row for row in records if row["revision"] <= revision}
            living = {row["name"]: row["resource_id"] for row in latest.values() if row["operation"] != "DELETED"}
            own = set(dice.sample(sorted(latest), len(latest) // 2))
            page = await applications.page(
                connection, revision=revision, name_prefix="", after=None, limit=9, scope=Only(frozenset(own))
            )
            wanted = sorted(name for name, resource_id in living.items() if resource_id in own)
            assert [one.name for one in page.resources] == wanted
            for name in NAMES:
                found = await applications.get_at(connection, NameRef(name=name), revision)
                assert (found.id if found else None) == living.get(name)
