"""Migrations to the newest schema: numbered ones, then the functions if they changed."""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pogo_core.error import BadMigrationError
from pogo_core.util.migrate import apply, rollback

from configsvc.process.startup import StartError, migrate_database, prepare_database
from configsvc.storage.migrations import FUNCTIONS, DatabaseRefusedError, _folder, migrate, pending
from tests.postgres import cloned_database, plain_connection
from tests.service import LIMIT_SECONDS, settings_of
from tests.storage.catalogue import Catalogue, catalogue
from tests.storage.reading import Session, application, changes, configuration, head

MIGRATIONS = tuple(sorted(path.stem for path in _folder().glob("*.sql")))
SILENT = logging.Logger("silent", logging.CRITICAL)

MIGRATION = "-- {name}\n-- depends: {depends}\n\n-- migrate: apply\n\n{apply}\n\n-- migrate: rollback\n\n{rollback}\n"

# The names that an earlier program gave to its migrations.
BEFORE = (
    "0001_foundation",
    "0002_compaction",
    "0003_deletions_in_batches",
    "0004_schemas",
    "0005_commits_of_schema_versions",
    "0006_requests_of_many",
    "0007_history",
    "0008_operations",
    "0009_role_bindings",
    "0010_schema_names",
    "0011_attempts",
    "0012_origins",
    "0013_service_role",
    "0014_operations_of_actors",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the migrations that the test may change."""
    copy = tmp_path / "migrations"
    shutil.copytree(_folder(), copy)
    monkeypatch.setattr("configsvc.storage.migrations._folder", lambda: copy)
    return copy


@pytest.fixture
async def empty_url(postgres_server: str) -> AsyncGenerator[str]:
    """Yield the URL of a database with no objects of the service."""
    async with cloned_database(postgres_server, "template0") as url:
        yield url


def add_migration(folder: Path, name: str, up: str = "", down: str = "", depends: str = MIGRATIONS[-1]) -> None:
    text = MIGRATION.format(name=name, depends=depends, apply=up, rollback=down)
    (folder / f"{name}.sql").write_text(text, encoding="utf-8")


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / FUNCTIONS / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change_functions(folder: Path) -> None:
    edit(folder, "03_applications.sql", "RETURN NEW;", "NEW.comments := 'changed'; RETURN NEW;")


async def catalogue_of(url: str) -> Catalogue:
    async with plain_connection(url) as session:
        return await catalogue(session)


async def comments_of_a_new_application(session: Session) -> str:
    return await session.fetchval("INSERT INTO applications (name) VALUES ('other') RETURNING comments")


async def test_a_migrated_database_is_left_alone(psql: Session, database_url: str) -> None:
    await application(psql)
    assert await pending(database_url) == ()
    rows = "SELECT xmin::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY oid"
    functions = await psql.fetch(rows)
    assert await migrate(database_url) == ()
    assert await psql.fetch(rows) == functions
    assert await head(psql) == 1


async def test_an_empty_database_is_migrated(empty_url: str) -> None:
    assert await pending(empty_url) == (*MIGRATIONS, FUNCTIONS)
    assert await migrate(empty_url) == (*MIGRATIONS, FUNCTIONS)
    assert await pending(empty_url) == ()
    async with plain_connection(empty_url) as session:
        await application(session)
        await configuration(session, "web")
        assert await head(session) == 2


async def test_functions_are_applied_again_when_their_text_changed(
    psql: Session, database_url: str, folder: Path
) -> None:
    change_functions(folder)
    assert await pending(database_url) == (FUNCTIONS,)
    assert await migrate(database_url) == (FUNCTIONS,)
    assert await pending(database_url) == ()
    assert await comments_of_a_new_application(psql) == "changed"


async def test_functions_that_are_applied_again_change_nothing_else(database_url: str, folder: Path) -> None:
    before = await catalogue_of(database_url)
    edit(folder, "08_pgqueuer.sql", "\n", "\n-- Another comment.\n")
    assert await migrate(database_url) == (FUNCTIONS,)
    assert await catalogue_of(database_url) == before


async def test_a_start_without_migrating_is_refused_when_functions_are_out_of_date(
    database_url: str, folder: Path
) -> None:
    change_functions(folder)
    with pytest.raises(StartError, match=r"pending migrations \(functions\): run configsvc migrate"):
        await prepare_database(settings_of(migrate=False), database_url)


async def test_a_function_that_fails_is_named_and_takes_all_of_them_back(
    psql: Session, database_url: str, folder: Path
) -> None:
    change_functions(folder)
    edit(folder, "07_role_bindings.sql", "CREATE OR REPLACE TRIGGER stamp", "CREATE OR REPLACE TRIGER stamp")
    with pytest.raises(DatabaseRefusedError, match=r'functions/07_role_bindings\.sql: syntax error at or near "TRIG'):
        await migrate(database_url)
    assert await pending(database_url) == (FUNCTIONS,)
    assert await comments_of_a_new_application(psql) == ""


async def test_functions_that_deadlock_with_a_writer_are_applied_after_it(
    psql: Session, database_url: str, folder: Path
) -> None:
    await application(psql)
    await configuration(psql, "web")
    await psql.execute("INSERT INTO schemas (name) VALUES ('web')")
    change_functions(folder)
    async with asyncio.TaskGroup() as tasks, psql.transaction():
        # So that migrating is what PostgreSQL cancels.
        await psql.execute("SET LOCAL deadlock_timeout = '1min'")
        # In the order of a strict schema version; the functions replace the triggers of configurations first.
        await psql.execute("UPDATE schemas SET comments = 'new'")
        tasks.create_task(migrate_database(settings_of(), database_url))
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await psql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0.01)
        await psql.execute("UPDATE configurations SET comments = 'new'")
    assert await pending(database_url) == ()


async def test_a_table_and_the_functions_that_use_it_change_together(
    database_url: str, empty_url: str, folder: Path
) -> None:
    async with plain_connection(database_url) as session:
        await application(session)
    add_migration(
        folder,
        "9001_owners",
        "ALTER TABLE applications ADD COLUMN owner text NOT NULL DEFAULT '';\n"
        "UPDATE applications SET comments = 'filled in';\n"
        # Functions come after the migrations: in an empty database this one does not exist yet.
        "DROP FUNCTION IF EXISTS deletion_contexts;",
    )
    edit(folder, "03_applications.sql", "NEW.update_time := now();", "NEW.update_time := now(); NEW.owner := 'alice';")
    edit(folder, "01_callers.sql", "origin jsonb)", "origin jsonb, owner text)")
    edit(folder, "01_callers.sql", "-> 'origin'", "-> 'origin', explained.value ->> 'owner'")
    for url, missing in ((database_url, ()), (empty_url, MIGRATIONS)):
        assert await migrate(url) == (*missing, "9001_owners", FUNCTIONS)
        async with plain_connection(url) as session:
            await application(session, "owned")
            assert await session.fetchval("SELECT owner FROM applications WHERE name = 'owned'") == "alice"
            await session.execute("DELETE FROM applications")
            assert (await changes(session))[-1]["operation"] == "DELETED"
    assert await catalogue_of(database_url) == await catalogue_of(empty_url)


async def test_a_migration_applies_the_functions_again_even_if_their_text_is_the_same(
    psql: Session, database_url: str, folder: Path
) -> None:
    before = await catalogue(psql)
    add_migration(folder, "9001_anew", "DROP TRIGGER assign_revision ON change_records;")
    text = (folder / FUNCTIONS / "08_pgqueuer.sql").read_text(encoding="utf-8")
    edit(folder, "08_pgqueuer.sql", "CREATE OR REPLACE TRIGGER", "broken")
    with pytest.raises(DatabaseRefusedError, match="08_pgqueuer"):
        await migrate(database_url)
    (folder / FUNCTIONS / "08_pgqueuer.sql").write_text(text, encoding="utf-8")
    # The earlier run ended between the migration and the functions.
    assert await pending(database_url) == (FUNCTIONS,)
    assert await migrate(database_url) == (FUNCTIONS,)
    assert await catalogue(psql) == before


async def test_a_program_of_the_release_before_refuses_a_newer_database_and_leaves_it_alone(
    psql: Session, database_url: str, folder: Path
) -> None:
    add_migration(folder, "9001_functions_only")
    change_functions(folder)
    assert await migrate(database_url) == ("9001_functions_only", FUNCTIONS)
    (folder / "9001_functions_only.sql").unlink()
    edit(folder, "03_applications.sql", "'changed'", "'of before'")
    for ask in (pending, migrate):
        with pytest.raises(DatabaseRefusedError, match=r"a newer release .*9001_functions_only.*install that release"):
            await ask(database_url)
    assert await comments_of_a_new_application(psql) == "changed"


async def test_what_comes_after_the_baseline_can_be_rolled_back_and_applied_again(
    psql: Session, database_url: str, folder: Path
) -> None:
    before = await catalogue(psql)
    add_migration(folder, "9001_last", "CREATE TABLE last ();", "DROP TABLE last;")
    await migrate(database_url)
    await rollback(psql, folder, schema_name="public", logger=SILENT, count=len(MIGRATIONS[1:]) + 1)
    assert await pending(database_url) == (*MIGRATIONS[1:], "9001_last", FUNCTIONS)
    (folder / "9001_last.sql").unlink()
    assert await migrate(database_url) == (*MIGRATIONS[1:], FUNCTIONS)
    assert await catalogue(psql) == before


async def test_the_baseline_cannot_be_rolled_back(psql: Session, database_url: str) -> None:
    before = await catalogue(psql)
    with pytest.raises(BadMigrationError):
        await rollback(psql, _folder(), schema_name="public", logger=SILENT)
    assert MIGRATIONS[0] not in await pending(database_url)
    await migrate(database_url)
    assert await catalogue(psql) == before


@pytest.fixture
async def database_of_before(empty_url: str, tmp_path: Path) -> str:
    """Return the URL of a database that the migrations of an earlier program made."""
    folder = tmp_path / "before"
    folder.mkdir()
    for name, depends in zip(BEFORE, ("", *BEFORE), strict=False):
        add_migration(folder, name, f'CREATE TABLE "{name}" ();', depends=depends)
    async with plain_connection(empty_url) as session:
        await apply(session, folder, schema_name="public", logger=SILENT)
    return empty_url


async def test_a_database_of_before_the_baseline_is_refused_with_the_way_out(database_of_before: str) -> None:
    before = await catalogue_of(database_of_before)
    way_out = (
        r"an earlier, incompatible program created its tables \(0001_foundation\): export schemas and configurations "
        r"\(ExportConfigurations\) with that program, and import them here into a new database$"
    )
    with pytest.raises(DatabaseRefusedError, match=way_out):
        await migrate(database_of_before)
    with pytest.raises(DatabaseRefusedError, match=way_out):
        await pending(database_of_before)
    with pytest.raises(StartError, match=way_out):
        await migrate_database(settings_of(), database_of_before)
    with pytest.raises(StartError, match=way_out):
        await prepare_database(settings_of(migrate=False), database_of_before)
    assert await catalogue_of(database_of_before) == before
