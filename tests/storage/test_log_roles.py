"""The rights of a role that may write applications and configurations, and nothing else."""

import uuid
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
import pytest

from configsvc.storage.migrations import migrate
from tests.postgres import cloned_database, execute, plain_connection
from tests.storage.reading import Session, application, changes, configuration


@pytest.fixture
async def writer(psql: Session, database_url: str) -> AsyncGenerator[Session]:
    """Yield a session of such a role."""
    role = f"writer_{uuid.uuid4().hex}"
    await psql.execute(f"CREATE ROLE {role} LOGIN")
    await psql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON applications, configurations TO {role}")
    await psql.execute(f"GRANT SELECT ON change_records TO {role}")
    url = database_url.replace(f"//{urlsplit(database_url).username}@", f"//{role}@")
    try:
        async with plain_connection(url) as connection:
            yield connection
    finally:
        await psql.execute(f"DROP OWNED BY {role}")
        await psql.execute(f"DROP ROLE {role}")


async def test_it_writes_and_is_recorded(writer: Session, psql: Session) -> None:
    await application(writer)
    await configuration(writer, "web")
    await writer.execute("UPDATE configurations SET comments = 'x'")
    await writer.execute("DELETE FROM configurations")
    role = await writer.fetchval("SELECT session_user")
    assert [record["actor"] for record in await changes(psql)] == [f"database:{role}"] * 4


async def test_it_cannot_write_in_the_name_of_others(writer: Session, psql: Session) -> None:
    await writer.execute("SET configsvc.writer = 'service'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is for the service"):
        await writer.execute("INSERT INTO applications (name, updated_by) VALUES ('shop', 'alice')")
    assert await changes(psql) == []


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE applications SET comments = 'x', updated_by = 'alice',
        update_reason = set_config('configsvc.writer', 'service', false)""",
        """DELETE FROM configurations WHERE set_config('configsvc.writer', 'service', true) <> ''
        AND set_config('configsvc.deletion', '{"*": {"actor": "alice"}}', true) <> ''""",
    ],
)
async def test_it_cannot_write_in_the_name_of_others_within_a_statement(
    writer: Session, psql: Session, statement: str
) -> None:
    await application(writer)
    await configuration(writer, "web")
    await writer.execute(statement)
    role = await writer.fetchval("SELECT session_user")
    assert [record["actor"] for record in await changes(psql)] == [f"database:{role}"] * 3


async def test_a_statement_that_cascades_is_refused_when_it_writes_in_the_name_of_others(writer: Session) -> None:
    await application(writer)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is for the service"):
        await writer.execute("DELETE FROM applications WHERE set_config('configsvc.writer', 'service', true) <> ''")


@pytest.mark.parametrize(("commit_id", "ordinal"), [("1", "77"), ("1", "1"), ("2", "1"), ("99", "0")])
async def test_it_cannot_put_its_change_into_another_commit(
    writer: Session, psql: Session, commit_id: str, ordinal: str
) -> None:
    await application(writer)
    await configuration(writer, "web")
    await writer.execute(f"SET configsvc.commit_id = '{commit_id}'")
    await writer.execute(f"SET configsvc.ordinal = '{ordinal}'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not for sessions to set"):
        await writer.execute("UPDATE configurations SET comments = 'hidden'")
    assert [record["revision"] for record in await changes(psql)] == [1, 2]


async def test_it_cannot_skip_the_revision_of_its_change(writer: Session, psql: Session) -> None:
    async with writer.transaction():
        await writer.execute("SET LOCAL configsvc.ordinal = '5'")
        await writer.execute("INSERT INTO applications (name) VALUES ('shop')")
    assert [record["revision"] for record in await changes(psql)] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE compaction SET revision = 1",
        "DELETE FROM compaction",
        "SELECT FROM compaction FOR UPDATE",
        "DELETE FROM change_records",
        "DELETE FROM commits",
    ],
)
async def test_it_cannot_compact_the_log(writer: Session, psql: Session, statement: str) -> None:
    await application(writer)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(statement)
    assert [record["revision"] for record in await changes(psql)] == [1]


async def test_it_cannot_write_the_log_through_a_table_of_its_own(writer: Session, psql: Session) -> None:
    await writer.execute("CREATE TEMPORARY TABLE own (LIKE configurations)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(
            """CREATE TRIGGER forge AFTER INSERT ON own REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION public.log_configurations()"""
        )


async def test_a_schema_named_like_the_role_is_not_mistaken_for_ours(postgres_server: str) -> None:
    async with cloned_database(postgres_server, "template0") as url:
        await execute(url, f"CREATE SCHEMA {urlsplit(url).username}")
        await migrate(url)
        async with plain_connection(url) as session:
            await session.execute("INSERT INTO applications (name) VALUES ('shop')")
            assert await session.fetchval("SELECT count(*) FROM changes") == 1
