"""Plans that a session made for a small log and keeps while the log grows."""

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from configsvc.storage.queries import queries
from configsvc.storage.session_settings import MERGE_SETTINGS
from configsvc.storage.sessions import open_session
from tests.storage.reading import Session, application, configuration

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

# A session makes a new plan for the first five executions of a statement, and may keep the next one.
EXECUTIONS = 12

CHANGES = {
    "application updated": "UPDATE applications SET comments = comments || 'x'",
    "application created": "INSERT INTO applications (name) VALUES ('app' || txid_current())",
    "application created and deleted": """
        WITH gone AS (DELETE FROM applications WHERE name LIKE 'app%')
        INSERT INTO applications (name) VALUES ('app' || txid_current())
    """,
    "configuration updated": "UPDATE configurations SET comments = comments || 'x'",
    "configuration created": """
        INSERT INTO configurations (application, name, config) VALUES ('shop', 'new' || txid_current(), '{}')
    """,
    "configuration created and deleted": """
        WITH gone AS (DELETE FROM configurations WHERE name LIKE 'new%')
        INSERT INTO configurations (application, name, config) VALUES ('shop', 'new' || txid_current(), '{}')
    """,
    "schema updated": "UPDATE schemas SET comments = comments || 'x'",
    "schema created": "INSERT INTO schemas (name) VALUES ('new' || txid_current())",
    "schema created and deleted": """
        WITH gone AS (DELETE FROM schemas WHERE name LIKE 'new%')
        INSERT INTO schemas (name) VALUES ('new' || txid_current())
    """,
    "schema version added": "INSERT INTO schema_versions (schema, document) VALUES ('first', '{\"type\": \"object\"}')",
    "role binding created and deleted": """
        WITH gone AS (DELETE FROM role_bindings)
        INSERT INTO role_bindings (principal, role) VALUES ('user:' || txid_current(), 'EDITOR')
    """,
}


async def scans_of_the_log(session: "Connection") -> dict[str, int]:
    """Return how often the tables of the log were read from end to end, including this session."""
    await session.execute("SELECT pg_stat_force_next_flush()")
    rows = await session.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('commits', 'change_records')"
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


async def small_log(psql: Session) -> str:
    """Make a log so small that reading all of it is the best plan; return the id of a configuration."""
    await application(psql)
    configuration_id = await configuration(psql, "web")
    await psql.execute("INSERT INTO schemas (name) VALUES ('first')")
    await psql.execute("VACUUM ANALYZE")
    return configuration_id


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_finds_its_place_in_the_log_by_index_however_small_the_log_is(
    psql: Session, change: str
) -> None:
    await small_log(psql)
    before = await scans_of_the_log(psql)
    for _ in range(EXECUTIONS):
        await psql.execute(change)
    assert await scans_of_the_log(psql) == before


async def test_what_looks_into_the_log_finds_it_by_index_however_small_the_log_is(
    psql: Session, database_url: str
) -> None:
    configuration_id = await small_log(psql)
    session = await open_session(database_url, MERGE_SETTINGS, command_timeout=30)
    statements: dict[str, tuple[Any, ...]] = {
        queries("configuration_writes")["delete"]: ([configuration_id],),
        "SELECT version_at('CONFIGURATION', $1, 1)": (configuration_id,),
        "SELECT create_time_of(now(), now(), 1)": (),
        "SELECT commit_of_transaction()": (),
    }
    try:
        before = await scans_of_the_log(session)
        for statement, arguments in statements.items():
            for _ in range(EXECUTIONS):
                await session.fetch(statement, *arguments)
            assert await scans_of_the_log(session) == before, statement
    finally:
        await session.close(timeout=10)
