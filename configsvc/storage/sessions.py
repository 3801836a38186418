"""Sessions: new connections, each set up and checked in one round trip, whatever poolers, roles or databases preset."""

import json
from functools import cache
from pathlib import Path
from typing import TypeAlias

import asyncpg

from configsvc.storage.database_url import connect_arguments

# In quotes, because asyncpg's classes take type arguments only in its stubs.
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT_SECONDS = 3.0

# Of the server: a setting that may not be changed, or does not exist, and what session.sql refuses.
_REFUSALS = (
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
)


class SessionRefusedError(Exception):
    """A session that the service cannot rely on. The text says why, and what to do."""


async def open_session(url: str, settings: dict[str, str], *, command_timeout: float | None) -> Session:
    """Return a new connection with these settings, outside of any pool.

    Raises SessionRefusedError, BadDatabaseUrlError, or what asyncpg raises.
    """
    connection = await asyncpg.connect(
        **connect_arguments(url),
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout,
        server_settings=startup_settings(settings),
    )
    try:
        await set_up(connection, settings)
    except BaseException:
        connection.terminate()
        raise
    return connection


def startup_settings(settings: dict[str, str]) -> dict[str, str]:
    """Return what the startup message says. Every pooler takes a name, and shows it from the beginning."""
    return {"application_name": settings["application_name"]}


async def set_up(connection: Session, settings: dict[str, str]) -> None:
    """Give the session its settings, and check what cannot be set.

    Raises SessionRefusedError, or what asyncpg raises.
    """
    try:
        await connection.execute(_script(json.dumps(settings)), timeout=CONNECT_TIMEOUT_SECONDS)
    except _REFUSALS as error:
        raise SessionRefusedError(str(error)) from error


async def decode_jsonb(connection: Session) -> None:
    """Decode jsonb to Python values; encoded values are JSON text already. Takes no round trip."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)


@cache
def _script(settings: str) -> str:
    text = Path(__file__).with_name("session.sql").read_text(encoding="utf-8")
    # As psql -v settings=… would.
    return text.replace(":'settings'", "'" + settings.replace("'", "''") + "'")
