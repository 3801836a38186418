"""The migration of the log, there and back again."""

import logging
from typing import TYPE_CHECKING

from pogo_core.util.migrate import rollback

from configsvc.storage.migrations import _folder, migrate, pending
from tests.postgres import execute, plain_connection, with_database
from tests.storage.reading import Session, application, configuration, head

if TYPE_CHECKING:
    from asyncpg import Record

MIGRATIONS = tuple(sorted(path.stem for path in _folder().glob("*.sql")))
OBJECTS = """
SELECT 'relation ' || relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
ORDER BY name
"""


async def objects(session: Session) -> list[str]:
    rows: list[Record] = await session.fetch(OBJECTS)
    return [row["name"] for row in rows if "pogo" not in row["name"]]


async def test_a_migration_that_is_rolled_back_leaves_nothing_and_can_be_applied_again(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    await configuration(psql, "web")
    before = await objects(psql)
    assert before
    silent = logging.Logger("silent", logging.CRITICAL)
    await rollback(psql, _folder(), schema_name="public", logger=silent)
    assert await objects(psql) == []
    assert await pending(database_url) == MIGRATIONS
    assert await migrate(database_url) == MIGRATIONS
    async with plain_connection(database_url) as session:
        assert await objects(session) == before
        assert await head(session) == 0
        await application(session)
        await configuration(session, "web")
        assert await head(session) == 2


async def test_a_migrated_database_is_left_alone(psql: Session, database_url: str) -> None:
    await application(psql)
    assert await pending(database_url) == ()
    assert await migrate(database_url) == ()
    assert await head(psql) == 1


async def test_an_empty_database_is_migrated(postgres_server: str, psql: Session) -> None:
    name = f"empty_{await psql.fetchval('SELECT oid FROM pg_database WHERE datname = current_database()')}"
    await execute(postgres_server, f"CREATE DATABASE {name}")
    try:
        url = with_database(postgres_server, name)
        assert await pending(url) == MIGRATIONS
        assert await migrate(url) == MIGRATIONS
    finally:
        await execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")
