"""Indexes that serve the service's statements, on thousands of rows, with the settings of its connections."""

import json
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from asyncpg import Record
from ulid import ULID

from configsvc.domain.models import Operation
from configsvc.domain.writes import PinnedSchema
from configsvc.storage import group_commits
from configsvc.storage.group_commits import GroupWrite, Refusal
from configsvc.storage.queries import queries
from configsvc.storage.rows import configuration_of
from configsvc.storage.session_settings import LIST_PLANNER, MERGE_SETTINGS, READ_SETTINGS, WRITE_SETTINGS
from configsvc.storage.sessions import open_session
from tests.postgres import execute, run, with_database
from tests.storage.planned import planned

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

FILL = (
    "INSERT INTO applications (name) SELECT 'app' || number FROM generate_series(1, 5) AS number",
    """
    INSERT INTO configurations (application, name, config)
    SELECT
        'app' || (number % 5 + 1), 'c' || number,
        jsonb_build_object('n', number, 'tags', jsonb_build_array('t' || number))
    FROM generate_series(1, 5000) AS number
    """,
    """
    INSERT INTO application_sources (application_id, repository, path, commit, version, apply_time, applied_by)
    SELECT id, 'repository', '', 'commit', 1, now(), 'user:ann' FROM applications
    """,
    """
    INSERT INTO applied_configurations (application_id, configuration_id, version, name)
    SELECT application_id, id, version, name FROM configurations
    """,
    "INSERT INTO schemas (name) SELECT 'schema' || number FROM generate_series(1, 2000) AS number",
    """
    INSERT INTO schema_versions (schema, document)
    SELECT 'schema' || number, jsonb_build_object('title', number) FROM generate_series(1, 2000) AS number
    """,
    # Two thousand commits of their own, so that the log is long too.
    """
    DO $$
    BEGIN
        FOR number IN 1..2000 LOOP
            UPDATE configurations SET comments = 'changed' WHERE name = 'c' || number;
            COMMIT;
        END LOOP;
    END
    $$
    """,
    "VACUUM ANALYZE",
)
LIMIT_BYTES = 3 * 1024 * 1024
# Statements of calls that find rows by their keys.
LOOKUPS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("configurations", "get", ("id", None, None)),
    ("log", "recent_commits", (2000, 2001)),
    ("configurations", "batch_get", (["id"], ["app"], ["name"], True, LIMIT_BYTES)),
    ("configurations", "batch_get_past", (["id"], ["app"], ["name"], True, LIMIT_BYTES, 1)),
    ("history", "last_holder", ("app", "name")),
    ("history", "holder_at", ("app", "name", 1)),
    ("history", "last_holder_by", ("app", "name", 1)),
    ("history", "at_revision", ("id", 1)),
    ("history", "version", ("id", 1)),
    ("history", "newest_version", ("id",)),
    ("history", "versions", ("id", None, 51, True, LIMIT_BYTES)),
    ("applications", "get", ("id", None)),
    ("applications", "get_at", ("id", 1)),
    ("schemas", "get", (None, "name")),
    ("schema_versions", "get", (None, "name", 1)),
    ("role_bindings", "applications_of", (["id"],)),
    ("log", "records", (1, 0, 1000, LIMIT_BYTES, 128, 1000, None)),
    ("log", "next_about", (1, 2, ["app"], 200)),
)
GIN, KEY, ID = "configurations_config", "configurations_application_name_key", "configurations_pkey"


@pytest.fixture(scope="module")
def filled_database(postgres_server: str, template_database: str) -> Iterator[str]:
    """Yield the URL of a database with some thousands of configurations and commits."""
    name = f"filled_{uuid.uuid4().hex}"
    run(execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    url = with_database(postgres_server, name)
    for statement in FILL:
        run(execute(url, statement))
    yield url
    run(execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@asynccontextmanager
async def connected(url: str, settings: dict[str, str]) -> AsyncGenerator["Connection"]:
    connection = await open_session(url, settings, command_timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def connection(filled_database: str) -> AsyncIterator["Connection"]:
    """Yield a connection like those that list."""
    async with connected(filled_database, READ_SETTINGS | LIST_PLANNER) as connection:
        yield connection


@pytest.fixture
async def lookups(filled_database: str) -> AsyncIterator["Connection"]:
    """Yield a connection like those that find rows by their keys: it keeps one plan whatever the arguments are."""
    async with connected(filled_database, READ_SETTINGS) as connection:
        yield connection


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
async def writes(filled_database: str, request: pytest.FixtureRequest) -> AsyncIterator["Connection"]:
    """Yield a connection like those that write, for both of the plans between which PostgreSQL chooses."""
    async with connected(filled_database, WRITE_SETTINGS | {"plan_cache_mode": request.param}) as connection:
        yield connection


async def plan(connection: "Connection", file: str, name: str, *arguments: Any) -> tuple[set[str], set[str]]:
    """Return the indexes that a statement uses, and the tables that it reads from end to end."""
    nodes = list(nodes_of(await explained(connection, "FORMAT JSON", file, name, *arguments)))
    return (
        {node["Index Name"] for node in nodes if "Index Name" in node},
        {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
        - {"commit_order", "compaction", "applications"},
    )


async def explained(connection: "Connection", options: str, file: str, name: str, *arguments: Any) -> dict[str, Any]:
    """Return the plan of a prepared statement. Without one, PostgreSQL would always plan for the arguments."""
    given = f"({', '.join(map(literal, arguments))})" if arguments else ""
    await connection.execute(f"PREPARE explained AS {queries(file)[name]}")
    try:
        text = await connection.fetchval(f"EXPLAIN ({options}) EXECUTE explained{given}")
    finally:
        await connection.execute("DEALLOCATE explained")
    return json.loads(text)[0]["Plan"]


def literal(value: Any) -> str:
    """Return a literal that takes the type of its parameter."""
    match value:
        case None:
            return "NULL"
        case list():
            elements = ("NULL" if element is None else json.dumps(str(element)) for element in cast("list[Any]", value))
            return literal(f"{{{', '.join(elements)}}}")
        case asyncpg.Range():
            return "'(,)'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes_of(child)


def listing(
    *,
    revision: int | None = None,
    application_id: str | None = None,
    name_prefix: str = "",
    names: list[str] | None = None,
    contains: str | None = None,
    json_path: str | None = None,
    after: tuple[str | None, str | None] = (None, None),
    application_ids: list[str] | None = None,
) -> tuple[Any, ...]:
    """Return the arguments of a list."""
    chosen = (revision, application_id, None, name_prefix, names, contains, json_path)
    return (*chosen, *after, 51, True, LIMIT_BYTES, None, None, application_ids)


async def application_id(connection: "Connection") -> str:
    return await connection.fetchval("SELECT id FROM applications WHERE name = 'app3'")


async def test_contains_uses_the_gin_index(connection: "Connection") -> None:
    for contains in ('{"n": 5}', '{"tags": ["t7"]}'):
        indexes, scanned = await plan(connection, "configurations", "list", *listing(contains=contains))
        assert GIN in indexes
        assert not scanned


async def test_a_json_path_uses_the_gin_index(connection: "Connection") -> None:
    for json_path in ("$.n == 5", '$.tags[*] == "t7"', 'exists($.tags ? (@ == "t7"))'):
        indexes, scanned = await plan(connection, "configurations", "list", *listing(json_path=json_path))
        assert GIN in indexes
        assert not scanned


async def test_the_first_page_and_the_next_use_the_index_of_their_order(connection: "Connection") -> None:
    head = await connection.fetchval("SELECT revision FROM revision_counter")
    for arguments in (
        listing(),
        listing(after=("app3", "c17"), revision=head),
        listing(application_id=await application_id(connection)),
        listing(application_id=await application_id(connection), after=("app3", "c17"), revision=head),
    ):
        indexes, scanned = await plan(connection, "configurations", "list", *arguments)
        assert KEY in indexes
        assert not scanned


async def test_a_page_of_the_history_finds_what_changed_since_by_its_revision(connection: "Connection") -> None:
    head = await connection.fetchval("SELECT revision FROM revision_counter")
    indexes, scanned = await plan(
        connection, "configurations", "list", *listing(after=("app3", "c17"), revision=head - 20)
    )
    assert {KEY, "commits_revision_key"} <= indexes
    assert not scanned


def past(
    revision: int,
    *,
    application_ids: list[str] | None = None,
    name_prefix: str = "",
    names: list[str] | None = None,
    after: tuple[str | None, str | None] = (None, None),
) -> tuple[Any, ...]:
    """Return the arguments of a list of the past."""
    chosen = (revision, application_ids, None, name_prefix, names, None, None)
    return (*chosen, *after, 51, True, None, None, 500, LIMIT_BYTES)


async def check_pages_of_the_past(connection: "Connection") -> None:
    own = [await application_id(connection)]
    head = await connection.fetchval("SELECT revision FROM revision_counter")
    cases: tuple[dict[str, Any], ...] = (
        {"application_ids": own},
        {"application_ids": own, "after": ("app3", "c17")},
        {"application_ids": own, "name_prefix": "c10"},
        {"application_ids": own, "names": ["c17", "c22"]},
        {},
        {"after": ("app3", "c17")},
    )
    for revision in (5, 1000, head - 5):
        for case in cases:
            arguments = past(revision, **case)
            _, scanned = await plan(connection, "configurations", "list_past", *arguments)
            assert not scanned, (revision, case)
            assert await rows_read(connection, "configurations", "list_past", *arguments) <= 500, (revision, case)


async def test_a_page_of_the_past_reads_as_many_keys_as_it_may(connection: "Connection") -> None:
    await check_pages_of_the_past(connection)


async def test_a_caller_with_few_applications_has_these_read_and_no_others(connection: "Connection") -> None:
    head = await connection.fetchval("SELECT revision FROM revision_counter")
    own = [await application_id(connection)]
    for arguments in (
        listing(application_ids=own),
        listing(application_ids=own, json_path="$.n == 5"),
        listing(application_ids=own, revision=head),
        listing(application_ids=own, revision=head - 20),
    ):
        indexes, scanned = await plan(connection, "configurations", "list", *arguments)
        assert KEY in indexes
        assert GIN not in indexes
        assert not scanned
        assert await rows_read(connection, "configurations", "list", *arguments) <= 1000


async def test_the_operations_of_one_actor_are_read_by_index(connection: "Connection") -> None:
    await connection.execute("SET enable_seqscan = off")
    indexes, _ = await plan(connection, "operations", "list", None, 50, "user:one")
    assert "operations_actor_id" in indexes


async def test_names_of_an_application_use_its_index(connection: "Connection") -> None:
    arguments = listing(application_id=await application_id(connection), names=["c17", "c22"])
    indexes, scanned = await plan(connection, "configurations", "list", *arguments)
    assert KEY in indexes
    assert not scanned


async def test_a_configuration_is_found_by_index(lookups: "Connection") -> None:
    configuration_id = await lookups.fetchval("SELECT id FROM configurations LIMIT 1")
    by_id, scanned = await plan(lookups, "configurations", "get", configuration_id, None, None)
    assert ({ID, KEY} <= by_id, scanned) == (True, set())
    by_key, scanned = await plan(lookups, "configurations", "get", None, "app3", "c17")
    assert ({ID, KEY} <= by_key, scanned) == (True, set())


async def test_what_a_batch_waits_for_is_found_and_locked_by_index(writes: "Connection") -> None:
    ids = [row["id"] for row in await writes.fetch("SELECT id FROM configurations LIMIT 10")]
    found, scanned = await plan(writes, "configuration_writes", "find", [ids[0], None], [None, "app3"], [None, "c17"])
    assert {ID, KEY} <= found
    assert not scanned
    locked, scanned = await plan(writes, "configuration_writes", "lock_or_wait", ids, ids[:1])
    assert (ID in locked, scanned) == (True, set())


async def test_a_batch_is_found_by_index(lookups: "Connection") -> None:
    ids = [row["id"] for row in await lookups.fetch("SELECT id FROM configurations LIMIT 5")]
    arguments = (ids, ["app3", "app4"], ["c17", "c18"], True, LIMIT_BYTES)
    indexes, scanned = await plan(lookups, "configurations", "batch_get", *arguments)
    assert {ID, KEY} <= indexes
    assert not scanned


async def test_a_batch_of_the_past_is_found_by_index(lookups: "Connection") -> None:
    ids = [await lookups.fetchval("SELECT id FROM configurations WHERE name = 'c7'")]
    indexes, scanned = await plan(
        lookups, "configurations", "batch_get_past", ids, ["app3", "app1"], ["c17", "c100"], True, LIMIT_BYTES, 100
    )
    assert {VERSIONS, GIVEN_UP, KEY} <= indexes
    assert not scanned


async def test_what_a_batch_writes_is_changed_and_deleted_by_index(writes: "Connection") -> None:
    rows = await writes.fetch("SELECT id, application, name FROM configurations LIMIT 10")
    ids = [row["id"] for row in rows[:10]]
    values = [
        [row["name"] for row in rows],
        [""] * 10,
        ["{}"] * 10,
        [None] * 10,
        [None] * 10,
        ['{"actor": "a", "reason": "", "request_id": "", "origin": {}}'] * 10,
    ]
    for statement, arguments in (("update", (ids, *values)), ("delete", (ids,))):
        indexes, scanned = await plan(writes, "configuration_writes", statement, *arguments)
        assert (ID in indexes, scanned) == (True, set())


@asynccontextmanager
async def plans_of_functions(connection: "Connection") -> AsyncGenerator[list[str]]:
    """Yield a list that gets the plans of the statements within functions, in a transaction that is rolled back."""
    plans: list[str] = []

    def listen(_: object, message: asyncpg.PostgresLogMessage) -> None:
        plans.append(message.message)

    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        """LOAD 'auto_explain';
        SET LOCAL auto_explain.log_min_duration = 0;
        SET LOCAL auto_explain.log_nested_statements = on;
        SET LOCAL client_min_messages = log"""
    )
    connection.add_log_listener(listen)
    try:
        yield plans
    finally:
        connection.remove_log_listener(listen)
        await transaction.rollback()


def written(row: Record, owner: Record, pin: PinnedSchema) -> tuple[GroupWrite, GroupWrite]:
    """Return an update or a deletion of a configuration, and a creation that has a request_id."""
    before = configuration_of(row, row["config"])
    kept = int(row["name"][1:]) % 2
    new = replace(
        before, id=str(ULID()), application_id=owner["id"], application=owner["name"], name=f"new{row['name']}"
    )
    return (
        planned(Operation.UPDATED if kept else Operation.DELETED, replace(before, comments="x"), before=before),
        planned(Operation.CREATED, new, row["name"], pin=pin),
    )


@pytest.mark.parametrize("mode", ["auto", "force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("count", [1, 100])
async def test_what_a_group_writes_is_found_by_index(filled_database: str, mode: str, count: int) -> None:
    async with connected(filled_database, MERGE_SETTINGS | {"plan_cache_mode": mode}) as session:
        rows = await session.fetch("SELECT *, 1 AS revision FROM configurations ORDER BY id LIMIT $1", count)
        owner = await session.fetchrow("SELECT id, name FROM applications LIMIT 1")
        pin = await session.fetchrow("SELECT id, name, latest_version FROM schemas LIMIT 1")
        assert owner is not None
        assert pin is not None
        writes = [made for row in rows for made in written(row, owner, PinnedSchema(**pin))]
        async with plans_of_functions(session) as plans:
            made = await group_commits.write(session, writes, lock_seconds=None)
        assert set(made.refusals) == {Refusal.DONE}
    text = "\n".join(plans)
    indexes = {ID, "requests_pkey", "commits_pkey", "commits_revision_key"}
    assert {index for index in indexes if index in text} == indexes
    assert not re.findall("Seq Scan on (?!commit_order|applications)", text)


async def test_the_head_is_read_by_index(lookups: "Connection") -> None:
    for statement in ("head", "bounds"):
        indexes, scanned = await plan(lookups, "log", statement)
        assert ("commits_revision_key" in indexes, scanned) == (True, set())
        assert await rows_read(lookups, "log", statement) == 1


async def test_the_log_is_read_by_revision(lookups: "Connection") -> None:
    head = await lookups.fetchval("SELECT revision FROM revision_counter")
    for after in (0, 1000, head - 5, head):
        indexes, scanned = await plan(lookups, "log", "records", after + 1, 0, 13_000, 3 * 1024 * 1024, 128, 1000, None)
        assert {"commits_revision_key", "change_records_pkey"} <= indexes
        assert not scanned


async def test_what_other_applications_changed_is_passed_over_by_index(lookups: "Connection") -> None:
    head = await lookups.fetchval("SELECT revision FROM revision_counter")
    for first in (1, 1000, head - 5):
        arguments = (first, head, ["app3"], 200)
        indexes, scanned = await plan(lookups, "log", "next_about", *arguments)
        assert ({"commits_revision_key", "change_records_pkey"} <= indexes, scanned) == (True, set())
        assert await rows_read(lookups, "log", "next_about", *arguments) <= 201


@pytest.mark.parametrize(("revision", "ordinal"), [(0, 0), (2, 700), (1500, 1)])
async def test_the_log_is_compacted_by_index(writes: "Connection", revision: int, ordinal: int) -> None:
    indexes, scanned = await plan(writes, "compaction", "remove", revision, ordinal, 0.0, 1, 1000)
    assert indexes == {"commits_revision_key", "change_records_pkey", "change_records_kind_resource_id_version_key"}
    assert not scanned


async def test_compacted_commits_are_found_by_index(connection: "Connection") -> None:
    indexes, scanned = await plan(connection, "compaction", "remove_commits", [7, 8, 9], 1500, 1600)
    assert indexes == {"commits_pkey", "commits_revision_key", "change_records_pkey", "schema_versions_commit_id"}
    assert not scanned


async def test_a_version_is_found_in_the_log_by_index(writes: "Connection") -> None:
    configuration_id = await writes.fetchval("SELECT id FROM configurations LIMIT 1")
    by_version: list[tuple[str, str, tuple[Any, ...]]] = [
        ("configuration_writes", "get_versions", ([configuration_id] * 5, [1] * 5, True)),
        ("applications", "get_version", (configuration_id, 1)),
        ("log", "commit_of", ("CONFIGURATION", configuration_id, 1)),
    ]
    for file, statement, arguments in by_version:
        indexes, scanned = await plan(writes, file, statement, *arguments)
        assert "change_records_kind_resource_id_version_key" in indexes
        assert not scanned


VERSIONS, GIVEN_UP = "change_records_kind_resource_id_version_key", "change_records_given_up"


@pytest.fixture
async def long_history(connection: "Connection", filled_database: str) -> str:
    """Return the id of a configuration with 4,000 versions."""
    configuration_id = await connection.fetchval("SELECT id FROM configurations WHERE name = 'c1'")
    if await connection.fetchval("SELECT version FROM configurations WHERE id = $1", configuration_id) < 4000:
        await execute(
            filled_database,
            """
            DO $$
            BEGIN
                FOR number IN 1..4000 LOOP
                    UPDATE configurations SET config = jsonb_build_object('n', number) WHERE name = 'c1';
                    COMMIT;
                END LOOP;
            END
            $$
            """,
        )
        await execute(filled_database, "VACUUM ANALYZE")
    return configuration_id


async def test_a_page_of_many_versions_is_read_by_index(lookups: "Connection", long_history: str) -> None:
    for before in (None, 3600, 30):
        for with_config in (False, True):
            arguments = (long_history, before, 51, with_config, LIMIT_BYTES)
            indexes, scanned = await plan(lookups, "history", "versions", *arguments)
            assert (VERSIONS in indexes, scanned) == (True, set())
            assert await rows_read(lookups, "history", "versions", *arguments) < 100


async def test_the_history_of_many_versions_is_read_by_index(lookups: "Connection", long_history: str) -> None:
    head = await lookups.fetchval("SELECT revision FROM revision_counter")
    oldest_time = await lookups.fetchval("SELECT time FROM commits WHERE revision = 2500")
    cases: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
        ("history", "version", (long_history, 17)),
        ("history", "newest_version", (long_history,)),
        ("history", "at_revision", (long_history, 2500)),
        ("history", "at_revision", (long_history, head)),
        ("history", "revision_at", (oldest_time,)),
        ("audit", "resource", (long_history, None)),
    )
    for file, statement, arguments in cases:
        _, scanned = await plan(lookups, file, statement, *arguments)
        assert not scanned, statement
        assert await rows_read(lookups, file, statement, *arguments) < 100, statement


async def test_who_had_a_key_is_found_by_index(lookups: "Connection") -> None:
    for statement, arguments in (("last_holder", ("app3", "c17")), ("holder_at", ("app3", "c17", 100))):
        indexes, scanned = await plan(lookups, "history", statement, *arguments)
        assert {GIVEN_UP, KEY} <= indexes
        assert not scanned


async def test_a_page_of_changes_reads_no_more_than_it_takes(connection: "Connection", long_history: str) -> None:
    head = await connection.fetchval("SELECT revision FROM revision_counter")
    nothing = asyncpg.Range(None, None)
    chosen = ("", None, None, None, None, nothing, 0)
    for before in (head, 3000):
        arguments: tuple[Any, ...] = (*chosen, before, 2**31 - 1, 20_000, 51, None, True)
        indexes, scanned = await plan(connection, "audit", "changes", *arguments)
        assert {"commits_revision_key", "change_records_pkey"} <= indexes
        assert not scanned
        assert await rows_read(connection, "audit", "changes", *arguments) < 100
    # For a resource with nearly the whole log, a full scan is as good a plan.
    of_one = ("", None, None, "CONFIGURATION", None, nothing, 0, head, 200, 51, long_history, None, None, True)
    indexes, scanned = await plan(connection, "audit", "changes_of_resource", *of_one)
    assert (VERSIONS in indexes, scanned) == (True, set())
    assert await rows_read(connection, "audit", "changes_of_resource", *of_one) <= 200


@pytest.mark.usefixtures("long_history")
async def test_a_page_of_the_past_reads_no_more_in_a_long_history(connection: "Connection") -> None:
    await check_pages_of_the_past(connection)


async def rows_read(connection: "Connection", file: str, name: str, *arguments: Any) -> int:
    """Return the most rows that any part of a statement's plan gave."""
    root = await explained(connection, "ANALYZE, FORMAT JSON", file, name, *arguments)
    return max(node["Actual Rows"] * node["Actual Loops"] for node in nodes_of(root))


async def test_changes_of_what_a_precondition_selects_are_found_by_index(writes: "Connection") -> None:
    since = await writes.fetchval("SELECT revision - 5 FROM revision_counter")
    by_id, last = await application_id(writes), "\U0010ffff"
    names = [f"c{number}" for number in range(20)]
    count = 2 + len(names)
    narrow = (
        list(range(count)),
        [by_id] + [None] * (count - 1),
        [None] + ["app2"] * (count - 1),
        ["", "c1", *names],
        [last, f"c1{last}", *names],
        [since] * count,
        None,
    )
    indexes, scanned = await plan(writes, "preconditions", "changes", *narrow)
    assert {KEY, "change_records_given_up", "commits_pkey"} <= indexes
    assert not scanned
    wide = ([0], [None], [None], ["c1"], [f"c1{last}"], [since], None)
    for arguments in (narrow, wide):
        indexes, scanned = await plan(writes, "preconditions", "changes_after", *arguments)
        assert {"commits_revision_key", "change_records_pkey"} <= indexes
        assert not scanned


async def test_a_list_of_applications_of_the_past_reads_them_and_not_what_changed_since(
    connection: "Connection",
) -> None:
    for revision in (5, 1000):
        for scope in (None, [await application_id(connection)]):
            arguments = (revision, "", None, 51, scope)
            # At most some rows for each of the five applications, of thousands of records.
            assert await rows_read(connection, "applications", "list_past", *arguments) <= 100, (revision, scope)


async def test_lookups_use_indexes_in_a_database_without_statistics(database_url: str) -> None:
    async with connected(database_url, READ_SETTINGS) as connection:
        for file, statement, arguments in LOOKUPS:
            nodes = list(nodes_of(await explained(connection, "FORMAT JSON", file, statement, *arguments)))
            kinds = {node["Node Type"] for node in nodes}
            scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
            assert not kinds & {"Hash Join", "Merge Join"}, statement
            assert scanned <= {"commit_order", "compaction"}, statement


async def test_marks_are_found_by_the_application_and_the_configuration(connection: "Connection") -> None:
    own = await application_id(connection)
    ids = [row["id"] for row in await connection.fetch("SELECT id FROM configurations ORDER BY id LIMIT 100")]
    for name, arguments in (
        ("list_marks", (own, None, ids[0], 51)),
        ("marked", (own, ids)),
        # To remove 100 of 5,000, PostgreSQL 15 takes the table.
        ("unmark", (own, ids[:20])),
        ("mark", (own, ids)),
        ("count_marks", (own,)),
    ):
        indexes, scanned = await plan(connection, "sources", name, *arguments)
        assert name == "mark" or "applied_configurations_pkey" in indexes, name
        assert scanned <= {"application_sources"}, name


async def test_the_marks_of_a_page_of_sources_are_counted_in_one_scan_by_index(connection: "Connection") -> None:
    for arguments in ((None, None, None, None, 51), (None, "repository", "", "0", 51)):
        nodes = list(nodes_of(await explained(connection, "ANALYZE, FORMAT JSON", "sources", "list", *arguments)))
        scans = [node for node in nodes if node.get("Relation Name") == "applied_configurations"]
        assert [node["Actual Loops"] for node in scans] == [1]
        # It depends on the number of marks that the page has whether the index is better than the table.
        assert not [node for node in nodes if node.get("Parent Relationship") == "SubPlan"]
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        nodes = list(nodes_of(await explained(connection, "FORMAT JSON", "sources", "list", None, None, None, None, 2)))
        indexes = {node.get("Index Name") for node in nodes if node.get("Relation Name") == "applied_configurations"}
        assert indexes == {"applied_configurations_pkey"}
