"""Sessions: new connections, each set up and checked in one round trip, whatever poolers, roles or databases preset."""

from functools import cache
from typing import TypeAlias

import asyncpg

from configsvc.storage.database_url import connect_arguments
from configsvc.storage.queries import queries
from configsvc.storage.session_settings import LOOKUP_PLANNER

# In quotes, because asyncpg's classes take type arguments only in its stubs.
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connection: TypeAlias = "Session | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

CONNECT_TIMEOUT_SECONDS = 3.0

_SQL = queries("session")

# The first major version of PostgreSQL that has a setting.
_SINCE = {"transaction_timeout": 17}
# A setting that does not exist, has other values, or is not for this role.
_REFUSALS = (
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
)


class SessionRefusedError(Exception):
    """A session that the service cannot rely on. The text says why, and what to do."""


class ReadSession(asyncpg.Connection):  # type: ignore[type-arg]
    """A session whose planner follows the kind of its work."""

    # As READ_SETTINGS leave it.
    _planner: dict[str, str] | None = LOOKUP_PLANNER

    async def plan_with(self, settings: dict[str, str]) -> None:
        """Give the planner these settings, unless it has them from the work before. Raises what asyncpg raises."""
        if self._planner is settings:
            return
        # Unknown until it is done.
        self._planner = None
        await self.execute("".join(f"SET {name} = {value};" for name, value in settings.items()))
        self._planner = settings


class ReplicaError(ConnectionError):
    """A server in recovery. Another one is the primary, or this one is about to be promoted."""

    def __init__(self) -> None:
        super().__init__("the server is a replica, which cannot be written")


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
    """Give the session its settings, and check what only others can set.

    Not in the startup message: poolers drop settings there, or refuse them. Raises SessionRefusedError, or what asyncpg
    raises.
    """
    script = _script(tuple(settings.items()), connection.get_server_version().major)
    try:
        found = await connection.execute(script, timeout=CONNECT_TIMEOUT_SECONDS)
    except _REFUSALS as error:
        raise SessionRefusedError(str(error)) from error
    if found != "SELECT 1":
        await _refuse(connection)


async def _refuse(connection: Session) -> None:
    facts = await connection.fetchrow(_SQL["facts"])
    assert facts is not None
    if facts["encoding"] != "UTF8":
        raise SessionRefusedError(
            f"the database {facts['database']} has the encoding {facts['encoding']}: use one with UTF8 "
            "(CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8')"
        )
    if facts["client_encoding"] != "UTF8":
        raise SessionRefusedError(f"client_encoding is {facts['client_encoding']}: let the pooler pass on UTF8")
    if facts["is_replica"]:
        raise ReplicaError
    await _leave_replication_role(connection, facts["role"], facts["replication_role"])


async def _leave_replication_role(connection: Session, role: str, replication_role: str) -> None:
    try:
        await connection.execute("SET session_replication_role = 'origin'")
    except asyncpg.InsufficientPrivilegeError as error:
        raise SessionRefusedError(
            f"session_replication_role is {replication_role} for the role {role}, so that no trigger would write the "
            "log: ALTER ROLE … RESET session_replication_role"
        ) from error


@cache
def _script(settings: tuple[tuple[str, str], ...], version: int) -> str:
    """Return one message for one round trip. A prepared statement would need two, and PL/pgSQL takes 2 ms to load."""
    known = [(name, value) for name, value in settings if version >= _SINCE.get(name, 0)]
    return "".join(f"SET {name} = '{value}';\n" for name, value in known) + _SQL["is_sound"]
