"""Rows that no session of the service could write, and that the service cannot read."""

from urllib.parse import urlsplit

from tests.postgres import execute

BAD_TEXT = r"E'\xff'"
BAD_JSON = r"""E'{"a": "\xff"}'::jsonb"""
BAD_TIME = "'20000-01-01'"


async def write_unchecked(url: str, statements: str) -> None:
    """Run statements in one transaction of a session that takes any bytes for text."""
    name = urlsplit(url).path.removeprefix("/")
    mark = "UPDATE pg_database SET encoding = pg_char_to_encoding('{}') WHERE datname = '{}'"
    await execute(url, mark.format("SQL_ASCII", name))
    await execute(url, f"{statements}; {mark.format('UTF8', name)}")


async def damage(url: str, table: str, column: str, value: str, where: str) -> None:
    """Write a value into some rows of a table, past every trigger: nobody hears of it."""
    # Not the constraints, which a damaged disk would get past: the values here satisfy them.
    await write_unchecked(
        url, f"SET session_replication_role = replica; UPDATE {table} SET {column} = {value} WHERE {where}"
    )


async def lose_contents(url: str, table: str) -> None:
    """Remove what PostgreSQL stores beside the rows of a table, as a damaged disk does: it cannot read these values."""
    beside = f"(SELECT reltoastrelid FROM pg_class WHERE oid = '{table}'::regclass)"
    # PostgreSQL changes no such table, but takes its word for what kind of a table it is.
    kind = "UPDATE pg_class SET relkind = '{}' WHERE oid = {}"
    await execute(
        url,
        f"""
        SET allow_system_table_mods = on;
        {kind.format("r", beside)};
        -- What is only deleted stays readable until it is vacuumed.
        DO $$ BEGIN EXECUTE format('TRUNCATE %s', {beside}::regclass); END $$;
        {kind.format("t", beside)};
        """,
    )
