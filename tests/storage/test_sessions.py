"""Sessions have the settings that the service relies on, whatever poolers, roles and databases preset."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from configsvc.limits.slots import connection_turn
from configsvc.storage.database import Database, open_database
from configsvc.storage.session_settings import READ_SETTINGS, WRITE_SETTINGS
from tests.api.calls import create_application
from tests.pgbouncer import needs_pgbouncer, pooled
from tests.postgres import execute, plain_connection
from tests.process.running import program
from tests.service import Service, running_service

# What a role may have been given by somebody who did not think of this service.
PRESET = {
    "default_transaction_isolation": "serializable",
    "statement_timeout": "'20s'",
    "lock_timeout": "'9s'",
    "idle_session_timeout": "'10s'",
    "idle_in_transaction_session_timeout": "'1s'",
    "synchronous_commit": "off",
    "plan_cache_mode": "force_generic_plan",
    "search_path": "'\"$user\"', public",
    "standard_conforming_strings": "off",
    "session_replication_role": "replica",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "sql_standard",
    "TimeZone": "'Asia/Kolkata'",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "lc_messages": "'C'",
    "row_security": "off",
    # The last, because the others are set with it.
    "default_transaction_read_only": "on",
}


@pytest.fixture
async def preset_url(database_url: str) -> str:
    """Return the URL of a database that gives all of its sessions other settings."""
    name = urlsplit(database_url).path.removeprefix("/")
    for setting, value in PRESET.items():
        await execute(database_url, f"ALTER DATABASE {name} SET {setting} = {value}")
    return database_url


async def shown(database: Database, kind: str) -> dict[str, Any]:
    """Return the settings of a session of this pool, by name."""
    async with getattr(database, kind).acquire() as connection:
        rows = await connection.fetch("SELECT name, setting, unit FROM pg_settings")
        writer = await connection.fetchval("SELECT current_setting('configsvc.writer', true)")
    return {row["name"]: row["setting"] for row in rows} | {"configsvc.writer": writer}


async def check_sessions(url: str) -> None:
    async with open_database(url, turn=connection_turn) as database:
        for kind, timeout, lock, read_only, writer in (
            ("reads", "5000", "2000", "on", None),
            ("watches", "5000", "2000", "on", None),
            ("writes", "60000", "2000", "off", "service"),
            ("merges", "60000", "1000", "off", "service"),
            ("operations", "60000", "2000", "off", "service"),
        ):
            # The second time, the connection comes back from the pool.
            for _ in range(2):
                settings = await shown(database, kind)
                assert (settings["statement_timeout"], settings["lock_timeout"]) == (timeout, lock), kind
                assert settings["default_transaction_read_only"] == read_only
                assert (settings["configsvc.writer"] or None) == writer
                assert settings["default_transaction_isolation"] == "read committed"
                assert settings["session_replication_role"] == "origin"
                assert settings["synchronous_commit"] == "on"
                assert settings["idle_session_timeout"] == "0"
                assert settings["TimeZone"] == "UTC"
                assert settings["search_path"] == "public"
                assert settings["client_encoding"] == "UTF8"
                keeps_plans = kind in ("reads", "watches", "merges")
                assert settings["plan_cache_mode"] == ("force_generic_plan" if keeps_plans else "auto")


async def test_lookups_keep_their_plans_and_lists_plan_for_their_filters_on_the_same_connections(
    database_url: str,
) -> None:
    async with open_database(database_url, turn=connection_turn) as database:
        for _ in range(2):
            for taken, mode, scans in (
                (database.read, "force_generic_plan", "off"),
                (database.read_list, "force_custom_plan", "on"),
                (database.catch_up, "force_generic_plan", "off"),
                (database.read_snapshot, "force_custom_plan", "on"),
            ):
                async with taken() as connection:
                    assert await connection.fetchval("SHOW plan_cache_mode") == mode
                    assert await connection.fetchval("SHOW enable_seqscan") == scans
        assert (database.reads.get_size(), database.watches.get_size()) == (1, 1)


async def test_every_pool_has_its_settings_whatever_the_database_presets(preset_url: str) -> None:
    await check_sessions(preset_url)


async def record_of_a_write(service: Service, url: str) -> dict[str, Any]:
    await create_application(service, "shop", reason="opening", request_id="01JGNR0000000000000000TEST")
    async with plain_connection(url) as session:
        row = await session.fetchrow("SELECT actor, reason, request_id, origin FROM changes WHERE name = 'shop'")
    assert row
    return dict(row)


async def check_record(service: Service, url: str) -> None:
    record = await record_of_a_write(service, url)
    assert not record["actor"].startswith("database:")
    assert (record["reason"], record["request_id"]) == ("opening", "01JGNR0000000000000000TEST")
    assert "peer" in record["origin"]


async def test_a_service_writes_and_delivers_whatever_the_database_presets(preset_url: str) -> None:
    async with running_service(preset_url) as service:
        await check_record(service, preset_url)


@needs_pgbouncer
async def test_every_pool_has_its_settings_behind_a_pooler_in_session_mode(database_url: str) -> None:
    async with pooled(database_url, mode="session") as url:
        await check_sessions(url)


@needs_pgbouncer
@pytest.mark.parametrize("more", [{}, {"ignore_startup_parameters": "extra_float_digits"}])
async def test_a_write_through_a_pooler_in_session_mode_is_recorded_as_the_callers(
    tmp_path: Path, database_url: str, more: dict[str, str]
) -> None:
    async with pooled(database_url, mode="session", **more) as url:
        async with program(tmp_path, "serve", listen="127.0.0.1:0", database_url=url) as running:
            await running.wait_for("ready")
        async with running_service(url) as service:
            await check_record(service, database_url)


@needs_pgbouncer
async def test_connections_that_a_pooler_gives_to_others_in_turn_have_the_settings_again(database_url: str) -> None:
    # Fewer connections than the pools ask for in turn: each is used by one pool after the other.
    async with pooled(database_url, mode="session", default_pool_size="1") as url:
        for _ in range(2):
            for kind, timeout in (("reads", "5000"), ("writes", "60000")):
                async with open_database(url, turn=connection_turn) as database:
                    assert (await shown(database, kind))["statement_timeout"] == timeout


@needs_pgbouncer
@pytest.mark.parametrize("more", [{}, {"server_round_robin": "1"}])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_in_transaction_mode_is_refused_with_one_line(
    tmp_path: Path, database_url: str, mode: str, more: dict[str, str]
) -> None:
    async with pooled(database_url, mode=mode, **more) as url:
        for command in ("serve", "migrate"):
            async with program(tmp_path, command, database_url=url) as running:
                assert await running.exit_code() == 1
            assert "pooler in transaction mode" in running.lines[-1]
            assert "Traceback" not in running.text


def test_settings_of_reads_and_writes_name_the_same_things() -> None:
    assert READ_SETTINGS.keys() == WRITE_SETTINGS.keys() - {"configsvc.writer"}
