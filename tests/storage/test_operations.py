"""Statements about operations that PostgreSQL has no statistics of yet."""

from configsvc.limits.slots import connection_turn
from configsvc.storage import operations
from configsvc.storage.database import open_database
from tests.storage.reading import Session

OPERATION = """
INSERT INTO operations (id, kind, state, settings, actor, reason, request_id, validate_only)
VALUES ($1, 'IMPORT_CONFIGURATIONS', 'RUNNING', '{}', 'anonymous', '', '', false)
"""
ITEMS = """
INSERT INTO operation_items (operation_id, place, application, name, configuration_id, config)
SELECT $1, place, 'shop', 'web-' || place, '', '{}' FROM generate_series(0, $2::bigint - 1) AS place
"""
COUNT = 20_000


async def test_an_operation_that_came_after_the_last_analysis_is_looked_through_once(
    database_url: str, psql: Session
) -> None:
    for operation_id in ("A" * 26, "B" * 26):
        await psql.execute(OPERATION, operation_id)
        await psql.execute(ITEMS, operation_id, COUNT)
        # The statistics do not know the second operation, so the planner assumes that it is small.
        if operation_id.startswith("A"):
            await psql.execute("ANALYZE operation_items")
    await psql.execute("UPDATE operation_items SET name = 'web-0' WHERE operation_id = $1 AND place = 7", "B" * 26)
    async with open_database(database_url, turn=connection_turn) as database, database.operation() as connection:
        await connection.execute("SET statement_timeout = '15s'")
        await operations.fail_duplicates(connection, "B" * 26)
    failed = await psql.fetch("SELECT operation_id, place FROM operation_items WHERE state = 'FAILED'")
    assert [tuple(row) for row in failed] == [("B" * 26, 7)]
