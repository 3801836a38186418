"""The log of changes that were made in SQL."""

import json
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest
from tests.service import Service
from tests.storage.reading import Session, application, changes, changes_after, configuration, head

TOO_DEEP = '{"a":' * 33 + "0" + "}" * 33
DEEPEST = '{"a":' * 32 + "0" + "}" * 32


async def test_the_actor_of_a_change_in_sql_is_the_database_role(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web")
    await psql.execute("UPDATE configurations SET comments = 'x'")
    await psql.execute("DELETE FROM configurations")
    await psql.execute("UPDATE applications SET comments = 'x'")
    await psql.execute("DELETE FROM applications")
    role = await psql.fetchval("SELECT session_user")
    log = await changes(psql)
    assert len(log) == 6
    assert {change["actor"] for change in log} == {f"database:{role}"}
    assert {(change["reason"], change["request_id"]) for change in log} == {("", "")}


async def test_the_actor_is_the_role_that_logged_in_whatever_role_it_has_set(psql: Session) -> None:
    role = f"writer_{await psql.fetchval('SELECT oid FROM pg_database WHERE datname = current_database()')}"
    me = await psql.fetchval("SELECT session_user")
    await psql.execute(f"CREATE ROLE {role}")
    try:
        await psql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON applications, configurations TO {role}")
        await psql.execute(f"SET ROLE {role}")
        await application(psql)
        await configuration(psql, "web")
        await psql.execute("DELETE FROM configurations")
        await psql.execute("RESET ROLE")
        assert {change["actor"] for change in await changes(psql)} == {f"database:{me}"}
        await psql.execute(f"SET SESSION AUTHORIZATION {role}")
        await psql.execute("UPDATE applications SET name = 'store'")
        await psql.execute("RESET SESSION AUTHORIZATION")
        assert (await changes(psql))[-1]["actor"] == f"database:{role}"
    finally:
        await psql.execute("RESET SESSION AUTHORIZATION")
        await psql.execute("RESET ROLE")
        await psql.execute(f"DROP OWNED BY {role}")
        await psql.execute(f"DROP ROLE {role}")


async def test_a_session_cannot_pass_for_another_actor(psql: Session) -> None:
    role = await psql.fetchval("SELECT session_user")
    await psql.execute(
        """INSERT INTO applications (name, updated_by, created_by, update_reason, update_request_id, version, commit_id)
        VALUES ('shop', 'alice', 'alice', 'because', 'r', 99, 99)"""
    )
    await psql.execute("UPDATE applications SET comments = 'x', updated_by = 'alice', version = 50, commit_id = 1")
    created, updated = await changes(psql)
    assert (created["actor"], created["created_by"], created["reason"], created["version"]) == (
        f"database:{role}",
        f"database:{role}",
        "",
        1,
    )
    assert (updated["actor"], updated["version"], updated["revision"]) == (f"database:{role}", 2, 2)


async def test_a_record_shows_the_resource_after_the_change_and_its_names_before(psql: Session) -> None:
    owner = await application(psql)
    web = await configuration(psql, "web", '{"a": 1}')
    await psql.execute("UPDATE configurations SET name = 'www', comments = 'renamed'")
    await psql.execute("DELETE FROM configurations")
    created, renamed, deleted = await changes_after(psql, 1)
    shown = ("version", "previous_version", "application", "name", "previous_application", "previous_name", "comments")
    assert [created[field] for field in shown] == [1, 0, "shop", "web", "shop", "web", ""]
    assert [renamed[field] for field in shown] == [2, 1, "shop", "www", "shop", "web", "renamed"]
    assert [deleted[field] for field in shown] == [3, 2, "shop", "www", "shop", "www", "renamed"]
    assert {change["resource_id"] for change in (created, renamed, deleted)} == {web}
    assert {change["application_id"] for change in (created, renamed, deleted)} == {owner}
    assert [json.loads(change["content"]) for change in (created, renamed)] == [{"a": 1}, {"a": 1}]
    assert deleted["content"] is None


async def test_an_id_and_a_time_of_creation_do_not_change(psql: Session) -> None:
    await application(psql)
    web = await configuration(psql, "web")
    # Until the first change, the row has the begin of its transaction; from then on, the time of its commit.
    await psql.execute("UPDATE configurations SET comments = 'first'")
    created = await psql.fetchrow("SELECT * FROM configurations")
    await psql.execute(
        """UPDATE configurations
        SET id = generate_ulid(), create_time = 'epoch', created_by = 'nobody', comments = 'x'"""
    )
    updated = await psql.fetchrow("SELECT * FROM configurations")
    assert created is not None
    assert updated is not None
    assert updated["id"] == web
    for field in ("create_time", "created_by"):
        assert updated[field] == created[field]


async def test_a_renamed_application_carries_its_configurations_along_in_the_same_commit(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web")
    await configuration(psql, "db")
    before = await head(psql)
    await psql.execute("UPDATE applications SET name = 'store'")
    log = await changes_after(psql, before)
    assert {change["revision"] for change in log} == {before + 1}
    assert [change["kind"] for change in log] == ["APPLICATION", "CONFIGURATION", "CONFIGURATION"]
    for change in log[1:]:
        assert (change["previous_application"], change["application"], change["version"]) == ("shop", "store", 2)
    assert await psql.fetchval("SELECT count(*) FROM configurations WHERE application = 'store'") == 2


async def test_who_renames_an_application_is_the_actor_for_its_configurations_too(
    service: Service, psql: Session
) -> None:
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"))
    await configuration(psql, "web")
    renamed = await service.applications.UpdateApplication(
        UpdateApplicationRequest(name="shop", application=Application(name="store"), reason="a new brand")
    )
    log = await changes_after(psql, renamed.revision - 1)
    assert [(change["name"], change["actor"], change["reason"]) for change in log] == [
        ("store", "anonymous", "a new brand"),
        ("web", "anonymous", "a new brand"),
    ]
    await psql.execute("UPDATE applications SET name = 'shop'")
    role = await psql.fetchval("SELECT session_user")
    log = await changes_after(psql, renamed.revision)
    assert [(change["actor"], change["reason"]) for change in log] == [(f"database:{role}", "")] * 2


async def test_a_deletion_by_the_service_is_logged_with_its_reason(service: Service, psql: Session) -> None:
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"))
    await configuration(psql, "web")
    await configuration(psql, "db")
    await service.configurations.DeleteConfiguration(
        DeleteConfigurationRequest(key=ConfigurationKey(application="shop", name="web"), reason="unused")
    )
    await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", force=True, reason="closed"))
    assert [
        (change["revision"], change["name"], change["operation"], change["actor"], change["reason"])
        for change in await changes_after(psql, 3)
    ] == [
        (4, "web", "DELETED", "anonymous", "unused"),
        (5, "db", "DELETED", "anonymous", "closed"),
        (5, "shop", "DELETED", "anonymous", "closed"),
    ]


async def test_a_configuration_can_move_to_another_application(psql: Session) -> None:
    shop, bank = await application(psql, "shop"), await application(psql, "bank")
    await configuration(psql, "web")
    await psql.execute("UPDATE configurations SET application_id = $1, application = 'bank'", bank)
    moved = (await changes(psql))[-1]
    assert (moved["previous_application_id"], moved["previous_application"]) == (shop, "shop")
    assert (moved["application_id"], moved["application"]) == (bank, "bank")


async def test_the_name_of_the_application_is_enough_for_an_insert(psql: Session) -> None:
    shop = await application(psql)
    await configuration(psql, "web")
    assert await psql.fetchval("SELECT application_id FROM configurations") == shop


async def test_the_id_of_the_application_is_enough_for_an_insert(psql: Session) -> None:
    shop = await application(psql)
    await psql.execute("INSERT INTO configurations (application_id, name, config) VALUES ($1, 'web', '{}')", shop)
    assert await psql.fetchval("SELECT application FROM configurations") == "shop"


async def test_an_application_that_does_not_exist_is_refused(psql: Session) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await configuration(psql, "web", application="nowhere")
    assert await head(psql) == 0


async def test_an_application_with_configurations_cannot_be_deleted(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await psql.execute("DELETE FROM applications")
    assert await head(psql) == 2


@pytest.mark.parametrize("statement", ["TRUNCATE configurations", "TRUNCATE applications CASCADE"])
async def test_truncate_is_refused(psql: Session, statement: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    with pytest.raises(asyncpg.RaiseError, match="use DELETE"):
        await psql.execute(statement)
    assert await psql.fetchval("SELECT count(*) FROM configurations") == 1


async def test_copy_is_one_commit(psql: Session) -> None:
    await application(psql)
    await psql.copy_records_to_table(
        "configurations",
        records=[("shop", f"c{number}", '{"a": 1}') for number in range(300)],
        columns=["application", "name", "config"],
    )
    log = await changes_after(psql, 1)
    assert {change["revision"] for change in log} == {2}
    assert sorted(change["name"] for change in log) == sorted(f"c{number}" for number in range(300))
    assert {change["operation"] for change in log} == {"CREATED"}


async def test_an_upsert_is_logged_as_what_it_did(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web", '{"a": 1}')
    await psql.execute(
        """INSERT INTO configurations (application, name, config)
        VALUES ('shop', 'web', '{"a": 2}'), ('shop', 'db', '{"a": 2}')
        ON CONFLICT (application, name) DO UPDATE SET config = excluded.config"""
    )
    log = await changes_after(psql, 2)
    assert {change["revision"] for change in log} == {3}
    assert sorted((change["name"], change["operation"], change["version"]) for change in log) == [
        ("db", "CREATED", 1),
        ("web", "UPDATED", 2),
    ]


async def test_a_merge_is_logged_as_what_it_did(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web", '{"a": 1}')
    await configuration(psql, "old", '{"a": 1}')
    await psql.execute(
        """MERGE INTO configurations AS c
        USING (VALUES ('web', 2), ('old', NULL), ('new', 3)) AS wanted (name, value) ON c.name = wanted.name
        WHEN MATCHED AND wanted.value IS NULL THEN DELETE
        WHEN MATCHED THEN UPDATE SET config = jsonb_build_object('a', wanted.value)
        WHEN NOT MATCHED THEN INSERT (application, name, config)
            VALUES ('shop', wanted.name, jsonb_build_object('a', wanted.value))"""
    )
    log = await changes_after(psql, 3)
    assert {change["revision"] for change in log} == {4}
    assert sorted((change["name"], change["operation"]) for change in log) == [
        ("new", "CREATED"),
        ("old", "DELETED"),
        ("web", "UPDATED"),
    ]


async def test_an_id_that_is_inserted_again_goes_on_counting_versions(psql: Session) -> None:
    await application(psql)
    web = await configuration(psql, "web")
    await psql.execute("UPDATE configurations SET comments = 'x'")
    await psql.execute("DELETE FROM configurations")
    await psql.execute(
        "INSERT INTO configurations (id, application, name, config) VALUES ($1, 'shop', 'web', '{}')", web
    )
    log = [change for change in await changes(psql) if change["resource_id"] == web]
    assert [(change["operation"], change["version"]) for change in log] == [
        ("CREATED", 1),
        ("UPDATED", 2),
        ("DELETED", 3),
        ("CREATED", 4),
    ]
    assert await psql.fetchval("SELECT version FROM configurations") == 4


async def test_an_id_can_be_deleted_and_inserted_again_in_one_commit(psql: Session) -> None:
    await application(psql)
    web = await configuration(psql, "web")
    async with psql.transaction():
        await psql.execute("DELETE FROM configurations")
        await psql.execute(
            "INSERT INTO configurations (id, application, name, config) VALUES ($1, 'shop', 'web', '{}')", web
        )
    log = await changes_after(psql, 2)
    assert [(change["revision"], change["operation"], change["version"]) for change in log] == [
        (3, "DELETED", 2),
        (3, "CREATED", 3),
    ]


async def test_ids_made_by_the_database_are_ulids_of_now(psql: Session) -> None:
    from ulid import ULID  # noqa: PLC0415

    before = await psql.fetchval("SELECT clock_timestamp()")
    ids = [row["id"] for row in await psql.fetch("SELECT generate_ulid() AS id FROM generate_series(1, 100)")]
    after = await psql.fetchval("SELECT clock_timestamp()")
    assert len(set(ids)) == 100
    for made in ids:
        time = ULID.from_str(made).datetime
        # PostgreSQL rounds to the nearest millisecond.
        assert before - timedelta(milliseconds=0.5) <= time <= after + timedelta(milliseconds=0.5)


BAD_NAMES = [
    "",
    ".hidden",
    "-dash",
    "_under",
    "/absolute",
    "trailing/",
    "a//b",
    "a/./b",
    "a/../b",
    "a/..",
    "a b",
    "a\n",
    "é",
    "a" * 257,
]


async def test_the_rule_for_names_holds_in_sql(psql: Session) -> None:
    await application(psql)
    for name in BAD_NAMES:
        with pytest.raises(asyncpg.CheckViolationError):
            await application(psql, name)
        with pytest.raises(asyncpg.CheckViolationError):
            await configuration(psql, name)
    assert await head(psql) == 1


async def test_names_that_the_api_takes_are_taken_in_sql(psql: Session) -> None:
    await application(psql)
    for name in ["a", "0", "a" * 256, "a.b_c-d"]:
        await application(psql, name)
        await psql.execute("INSERT INTO schemas (name) VALUES ($1)", name)
    for name in ["a", "0", "a" * 256, "a.b_c-d/e", "a/.b", "a/...", "a/..b"]:
        await configuration(psql, name)
    with pytest.raises(asyncpg.CheckViolationError):
        await application(psql, "team/web")
    with pytest.raises(asyncpg.CheckViolationError):
        await psql.execute("INSERT INTO schemas (name) VALUES ('team/web')")


BAD_CONTENTS = [
    "[]",
    "null",
    "1",
    '"text"',
    '{"a": 9007199254740992}',
    '{"a": -9007199254740992}',
    '{"a": [{"b": 1e300}]}',
    TOO_DEEP,
    '{"a":' + "[" * 32 + "]" * 32 + "}",
    '{"a":' * 32 + "{}" + "}" * 32,
    '{"a": "' + "x" * 1024 * 1024 + '"}',
]


async def test_the_bounds_of_contents_hold_in_sql(psql: Session) -> None:
    await application(psql)
    for config in BAD_CONTENTS:
        with pytest.raises(asyncpg.CheckViolationError):
            await configuration(psql, "web", config)
    assert await head(psql) == 1


GOOD_CONTENTS = [
    "{}",
    '{"a": 9007199254740991, "b": -9007199254740991}',
    DEEPEST,
    '{"a":' + "[" * 31 + "]" * 31 + "}",
    '{"a": "' + "x" * 256 * 1024 + '"}',
]


async def test_contents_within_the_bounds_are_taken_in_sql(psql: Session) -> None:
    await application(psql)
    for number, config in enumerate(GOOD_CONTENTS):
        await configuration(psql, f"c{number}", config)
        kept = await psql.fetchval("SELECT config FROM configurations WHERE name = $1", f"c{number}")
        assert json.loads(kept) == json.loads(config)


async def schema_version(session: Session, document: str, additions: str = "[]") -> None:
    insert = "INSERT INTO schema_versions (schema, document, additions) VALUES ('s', $1, $2)"
    await session.execute(insert, document, additions)


INEXACT = ["0.1234567890123456789012345", "1e-400", "1e-16000", "0.30000000000000000001", "4503599627370496.25000001"]
EXACT = ["0.1", "0.30000000000000004", "5e-324", "1.5e-300", "-4503599627370495.5", "1.0", "123456789.123456"]


@pytest.mark.parametrize("number", INEXACT)
async def test_a_fraction_that_clients_cannot_read_exactly_is_refused_in_sql(psql: Session, number: str) -> None:
    await application(psql)
    await configuration(psql, "web")
    with pytest.raises(asyncpg.CheckViolationError, match="which clients cannot read exactly"):
        await configuration(psql, "api", f'{{"a": [{{"b": {number}}}]}}')
    with pytest.raises(asyncpg.CheckViolationError, match="config has the number"):
        await psql.execute("UPDATE configurations SET config = $1", f'{{"a": {number}}}')
    await psql.execute("INSERT INTO schemas (name) VALUES ('s')")
    with pytest.raises(asyncpg.CheckViolationError, match="document has the number"):
        await psql.execute(
            "INSERT INTO schema_versions (schema, document) VALUES ('s', $1)", f'{{"maximum": {number}}}'
        )


@pytest.mark.parametrize("number", EXACT)
async def test_a_fraction_that_a_double_holds_is_taken_in_sql(psql: Session, number: str) -> None:
    await application(psql)
    # The rule does not depend on how this session shows doubles.
    await psql.execute("SET extra_float_digits = -10")
    await configuration(psql, "web", f'{{"a": {number}}}')
    kept = await psql.fetchval("SELECT config ->> 'a' FROM configurations")
    assert Decimal(kept) == Decimal(number) == Decimal(repr(float(number)))


BAD_DOCUMENTS = [
    f'{{"maximum": 1{"0" * 5000}}}',
    '{"maximum": 1e1001}',
    '{"not": ' * 32 + "{}" + "}" * 32,
    '{"enum": ' + "[" * 5000 + "]" * 5000 + "}",
]
BAD_ADDITIONS = ['{"pointer": "", "keyword": "a"}', "[1]", '[{"pointer": ""}]', '[{"pointer": "", "keyword": 1}]']


async def test_the_bounds_of_documents_hold_in_sql(psql: Session) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('s')")
    begin = await head(psql)
    for document in BAD_DOCUMENTS:
        with pytest.raises(asyncpg.CheckViolationError):
            await schema_version(psql, document)
    for additions in BAD_ADDITIONS:
        with pytest.raises(asyncpg.CheckViolationError, match="additions is not"):
            await psql.execute(
                "INSERT INTO schema_versions (schema, document, additions) VALUES ('s', '{}', $1)", additions
            )
    assert await head(psql) == begin
    await schema_version(psql, '{"maximum": 1e1000}')


async def test_ids_and_comments_have_bounds_in_sql(psql: Session) -> None:
    for bad in ("", "x", "01ARZ3NDEKTSV4RRFFQ69G5FA", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"):
        with pytest.raises(asyncpg.CheckViolationError):
            await psql.execute("INSERT INTO applications (id, name) VALUES ($1, 'shop')", bad)
    with pytest.raises(asyncpg.CheckViolationError):
        await psql.execute("INSERT INTO applications (name, comments) VALUES ('shop', repeat('x', 1025))")
    await psql.execute("INSERT INTO applications (name, comments) VALUES ('shop', repeat('é', 1024))")


async def test_a_name_is_unique(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web")
    with pytest.raises(asyncpg.UniqueViolationError):
        await application(psql)
    with pytest.raises(asyncpg.UniqueViolationError):
        await configuration(psql, "web")
    assert await head(psql) == 2
