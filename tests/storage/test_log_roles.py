"""The rights of a role that may write applications and configurations, and nothing else."""

import uuid
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
import pytest

from configsvc.domain.models import Operation
from configsvc.storage import group_commits
from configsvc.storage.migrations import migrate
from tests.postgres import cloned_database, execute, plain_connection
from tests.storage.planned import new, planned
from tests.storage.reading import Session, application, changes, changes_after, configuration


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


async def unlogged(session: Session) -> int:
    """Return the number of rows and records that no commit shows as they are."""
    return await session.fetchval(
        """SELECT count(*) FROM (
            SELECT r.commit_id FROM change_records AS r WHERE r.commit_id NOT IN (SELECT id FROM commits)
            UNION ALL
            SELECT rows.commit_id
            FROM (
                SELECT id, version, commit_id FROM applications
                UNION ALL
                SELECT id, version, commit_id FROM configurations
            ) AS rows
            WHERE (id, version, commit_id) NOT IN (SELECT resource_id, version, commit_id FROM changes)
        ) AS missing"""
    )


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
    await writer.execute("UPDATE configurations SET comments = 'not hidden'")
    assert [(record["revision"], record["ordinal"]) for record in await changes(psql)] == [(1, 0), (2, 0), (3, 0)]


async def test_it_cannot_skip_the_revision_of_its_change(writer: Session, psql: Session) -> None:
    async with writer.transaction():
        await writer.execute("SET LOCAL configsvc.ordinal = '5'")
        await writer.execute("INSERT INTO applications (name) VALUES ('shop')")
    assert [record["revision"] for record in await changes(psql)] == [1]


MEDDLING = {
    "an ordinal before the first": "SET LOCAL configsvc.ordinal = '-1'",
    "an ordinal beyond the last": "SET LOCAL configsvc.ordinal = '7'",
    "no commit": "SELECT set_config('configsvc.commit_id', '', true)",
    "another commit": "SELECT set_config('configsvc.commit_id', '1', true)",
    "a setting that is no number": "SET configsvc.commit_id = 'x'",
    "all settings anew": "RESET ALL",
    "no plans": "DISCARD PLANS",
    "the revision first": "SET CONSTRAINTS ALL IMMEDIATE",
    "a savepoint": "SAVEPOINT one",
    "a savepoint that is rolled back": "SAVEPOINT one; UPDATE applications SET comments = 'lost'; ROLLBACK TO one",
    "settings that are rolled back": "SAVEPOINT one; SET LOCAL configsvc.ordinal = '9'; ROLLBACK TO one; RESET ALL",
    "a block that fails": """DO $$ BEGIN
        UPDATE applications SET comments = 'lost'; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$""",
    "tables that look like ours": """CREATE TEMPORARY TABLE change_records (commit_id bigint, ordinal integer);
        CREATE TEMPORARY TABLE commits (id bigint, revision bigint, time timestamptz, transaction xid8);
        CREATE TEMPORARY TABLE commit_order (only_row boolean);
        CREATE TEMPORARY SEQUENCE commit_ids; SET LOCAL search_path = pg_temp, public""",
    "a role that is reset": "RESET ROLE; RESET SESSION AUTHORIZATION",
    "a log of its own": "SET configsvc.writes_own_log = 'on'",
}


@pytest.mark.parametrize(
    "first", ["UPDATE public.applications SET comments = 'x'", "SELECT 1"], ids=["after", "before"]
)
@pytest.mark.parametrize("meddling", MEDDLING.values(), ids=list(MEDDLING))
async def test_a_transaction_is_one_commit_whatever_its_session_sets(
    writer: Session, psql: Session, first: str, meddling: str
) -> None:
    await application(writer)
    async with writer.transaction():
        await writer.execute(first)
        await writer.execute(meddling)
        await writer.execute(
            """INSERT INTO public.configurations (application, name, config)
            VALUES ('shop', 'web', '{}'), ('shop', 'db', '{}');
            UPDATE public.configurations SET comments = 'x' WHERE name = 'web';
            DELETE FROM public.configurations WHERE name = 'db'"""
        )
    log = await changes_after(psql, 1)
    places = [(record["revision"], record["ordinal"]) for record in log]
    assert places == [(2, ordinal) for ordinal in range(4 if first == "SELECT 1" else 5)]
    assert await unlogged(psql) == 0


@pytest.mark.parametrize(
    "meddling",
    [
        "set_config('configsvc.ordinal', '-1', true)",
        "set_config('configsvc.commit_id', '', true)",
        "set_config('configsvc.commit_id', '1', true)",
        "set_config('configsvc.writes_own_log', 'on', true)",
    ],
)
async def test_a_statement_is_of_one_commit_whatever_it_sets_meanwhile(
    writer: Session, psql: Session, meddling: str
) -> None:
    await application(writer)
    for name in ("a", "b", "c"):
        await configuration(writer, name)
    await writer.execute(f"UPDATE configurations SET comments = name || {meddling}")
    log = await changes_after(psql, 4)
    assert [(record["revision"], record["ordinal"]) for record in log] == [(5, 0), (5, 1), (5, 2)]
    assert await unlogged(psql) == 0


async def test_changes_within_a_statement_that_changes_are_of_its_commit(writer: Session, psql: Session) -> None:
    await application(writer)
    await configuration(writer, "web")
    await writer.execute(
        """CREATE FUNCTION pg_temp.other(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO configurations (application, name, config) VALUES ('shop', name, '{}'); RETURN 'x'; END $$"""
    )
    await writer.execute("UPDATE configurations SET comments = pg_temp.other('db') || pg_temp.other('api')")
    log = await changes_after(psql, 2)
    assert [(record["revision"], record["ordinal"], record["name"]) for record in log] == [
        (3, 0, "db"),
        (3, 1, "api"),
        (3, 2, "web"),
    ]
    assert await unlogged(psql) == 0


async def test_it_cannot_pass_for_a_function_that_writes_the_log(writer: Session, psql: Session) -> None:
    await application(writer)
    await writer.execute("SET configsvc.writes_own_log = 'on'")
    await configuration(writer, "web")
    await writer.execute("UPDATE configurations SET comments = 'x', version = 7, updated_by = 'alice'")
    # The foreign key renames with the rights of the owner.
    await writer.execute("UPDATE applications SET name = 'other'")
    await writer.execute("DELETE FROM configurations")
    role = await writer.fetchval("SELECT session_user")
    log = await changes(psql)
    assert [(row["revision"], row["kind"], row["operation"], row["version"]) for row in log] == [
        (1, "APPLICATION", "CREATED", 1),
        (2, "CONFIGURATION", "CREATED", 1),
        (3, "CONFIGURATION", "UPDATED", 2),
        (4, "APPLICATION", "UPDATED", 2),
        (4, "CONFIGURATION", "UPDATED", 3),
        (5, "CONFIGURATION", "DELETED", 4),
    ]
    assert {row["actor"] for row in log} == {f"database:{role}"}
    assert await unlogged(psql) == 0


async def test_it_cannot_write_as_a_group_commit_does(writer: Session, psql: Session) -> None:
    await application(writer)
    count = await psql.fetchval("SELECT pronargs FROM pg_proc WHERE proname = 'write_configurations'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(f"SELECT write_configurations({', '.join(['NULL'] * count)})")


async def test_what_follows_a_group_commit_in_its_transaction_is_logged_by_triggers(psql: Session) -> None:
    owner = await application(psql)
    async with psql.transaction():
        await group_commits.write(psql, [planned(Operation.CREATED, new(owner, "web"))], lock_seconds=None)
        assert await psql.fetchval("SELECT current_setting('configsvc.writes_own_log', true)") != "on"
        await psql.execute("UPDATE configurations SET comments = 'x'")
    log = await changes(psql)
    assert [(row["revision"], row["ordinal"], row["version"]) for row in log] == [(1, 0, 1), (2, 0, 1), (2, 1, 2)]


@pytest.mark.parametrize("meddling", ["DISCARD SEQUENCES", "SELECT nextval('commit_ids')"])
async def test_a_transaction_cannot_be_split(writer: Session, psql: Session, meddling: str) -> None:
    await application(writer)
    role = await writer.fetchval("SELECT session_user")
    await psql.execute(f"GRANT USAGE ON SEQUENCE commit_ids TO {role}")
    transaction = writer.transaction()
    await transaction.start()
    await configuration(writer, "web")
    await writer.execute(meddling)
    await configuration(writer, "db")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is one commit"):
        await transaction.commit()
    assert [record["revision"] for record in await changes(psql)] == [1]
    assert await psql.fetchval("SELECT count(*) FROM configurations") == 0
    await configuration(writer, "web")
    assert [record["revision"] for record in await changes(psql)] == [1, 2]


async def test_a_statement_cannot_be_split(writer: Session, psql: Session) -> None:
    await application(writer)
    await configuration(writer, "web")
    await configuration(writer, "db")
    role = await writer.fetchval("SELECT session_user")
    await psql.execute(f"GRANT USAGE ON SEQUENCE commit_ids TO {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="missing from the log"):
        await writer.execute("UPDATE configurations SET comments = nextval('commit_ids')::text")
    assert [record["revision"] for record in await changes(psql)] == [1, 2, 3]


async def test_a_commit_cannot_be_given_the_id_of_another(writer: Session, psql: Session) -> None:
    await application(writer)
    role = await writer.fetchval("SELECT session_user")
    await psql.execute(f"GRANT ALL ON SEQUENCE commit_ids TO {role}")
    first = await psql.fetchval("SELECT id FROM commits")
    await writer.execute(f"SELECT setval('commit_ids', {first}, false)")
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="is behind the log"):
        await configuration(writer, "web")
    await psql.execute("SELECT setval('commit_ids', max(id)) FROM commits")
    await configuration(writer, "web")
    assert [(record["revision"], record["ordinal"]) for record in await changes(psql)] == [(1, 0), (2, 0)]


async def test_a_session_that_discards_all_goes_on(writer: Session, psql: Session) -> None:
    await application(writer)
    await writer.execute("DISCARD ALL")
    await configuration(writer, "web")
    assert [record["revision"] for record in await changes(psql)] == [1, 2]


async def test_an_id_that_was_drawn_in_vain_is_used_once(writer: Session, psql: Session) -> None:
    await application(writer)
    for _ in range(3):
        transaction = writer.transaction()
        await transaction.start()
        await configuration(writer, "web")
        await transaction.rollback()
        await writer.execute("UPDATE configurations SET comments = 'nothing there'")
    await configuration(writer, "web")
    await writer.execute("UPDATE configurations SET comments = 'x'")
    log = await changes(psql)
    assert [(record["revision"], record["ordinal"]) for record in log] == [(1, 0), (2, 0), (3, 0)]
    assert len({record["commit_id"] for record in log}) == 3
    assert await unlogged(psql) == 0


async def test_a_version_of_a_schema_cannot_be_added_without_a_record(psql: Session) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('app')")
    await psql.execute("UPDATE schemas SET latest_version = 1")
    with pytest.raises(asyncpg.CheckViolationError, match="leave the number out"):
        await psql.execute(
            """INSERT INTO schema_versions (schema_id, schema, version, document)
            SELECT id, name, 1, '{"type": "object"}' FROM schemas"""
        )
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('app', '{}')")
    assert [(record["revision"], record["schema_version"]) for record in await changes(psql)] == [
        (1, 0),
        (2, 1),
        (3, 2),
    ]


@pytest.mark.parametrize("table", ["change_records", "commits", "commit_order", "compaction", "log_identity"])
async def test_the_log_cannot_be_truncated(psql: Session, table: str) -> None:
    await application(psql)
    with pytest.raises(asyncpg.RaiseError, match="use DELETE"):
        await psql.execute(f"TRUNCATE {table}")
    assert [record["revision"] for record in await changes(psql)] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO change_records SELECT * FROM change_records",
        "UPDATE change_records SET actor = 'alice'",
        "INSERT INTO commits VALUES (9, 9, now())",
        "DELETE FROM commit_order",
        "SELECT FROM commit_order FOR UPDATE",
        "SELECT nextval('commit_ids')",
        "SELECT setval('commit_ids', 1)",
        "SET session_replication_role = replica",
        "ALTER TABLE configurations DISABLE TRIGGER USER",
        """CREATE TRIGGER own BEFORE UPDATE ON configurations
        FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()""",
        "SELECT begin_commit()",
    ],
)
async def test_it_cannot_touch_the_log(writer: Session, psql: Session, statement: str) -> None:
    await application(writer)
    with pytest.raises(asyncpg.PostgresError):
        await writer.execute(statement)
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
