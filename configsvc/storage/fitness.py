"""Checks of the start that a database, made by whomever, can be served: what is wrong becomes one sentence."""

from contextlib import AsyncExitStack

from configsvc.storage.queries import queries
from configsvc.storage.session_settings import WRITE_SETTINGS
from configsvc.storage.sessions import Session
from configsvc.storage.start_connections import TRANSACTION_POOLER, DatabaseRefusedError, connected

_SQL = queries("fitness")

OLDEST_VERSION = 15
# More than one for poolers that hand out their connections in turn.
_PROBES = 2
# In a search_path, these come before the schema of the tables without any effect on it.
_NEUTRAL_SCHEMAS = frozenset({"", '"$user"', "$user", "pg_catalog"})


async def check_server(url: str) -> None:
    """Check the server, the defaults of the role, and the pooler if there is one, before any migration.

    Raises DatabaseUnavailableError and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        await _check_pooler(url, connection)
        row = await connection.fetchrow(_SQL["server"])
    assert row is not None
    if row["version"] < OLDEST_VERSION:
        raise DatabaseRefusedError(f"its server is PostgreSQL {row['version']}: use PostgreSQL 15 or later")
    _check_search_path(row["search_path"])


async def _check_pooler(url: str, connection: Session) -> None:
    """Refuse a pooler that gives each transaction another connection of its own."""
    first = await _backend(connection)
    if first == connection.get_server_pid():
        return
    async with AsyncExitStack() as held:
        for _ in range(_PROBES):
            other = await held.enter_async_context(connected(url))
            await held.enter_async_context(other.transaction())
            # The other one takes the connection that the first one has let go, or else keeps one from it.
            if await _backend(other) == first or await _backend(connection) != first:
                raise DatabaseRefusedError(TRANSACTION_POOLER)


async def _backend(connection: Session) -> int:
    return await connection.fetchval("SELECT pg_backend_pid()")


def _check_search_path(search_path: str) -> None:
    schemas = [schema for part in search_path.split(",") if (schema := part.strip()) not in _NEUTRAL_SCHEMAS]
    if schemas and schemas[0].strip('"') != "public":
        raise DatabaseRefusedError(
            f"search_path is {search_path} by default, but the tables of the service are in the schema public: reset "
            "it (ALTER ROLE … RESET search_path, ALTER DATABASE … RESET search_path), or use a database of its own"
        )


async def check_service(url: str) -> None:
    """Check that the service may write in the name of callers, and that no sequence is behind its table.

    On a session like those of the service, so that what is missing there is missing here. Raises
    DatabaseUnavailableError and DatabaseRefusedError.
    """
    async with connected(url, WRITE_SETTINGS) as connection:
        role = await connection.fetchval(_SQL["role_without_rights"])
        await _check_sequences(connection)
    if role:
        raise DatabaseRefusedError(
            f"the database role {role} lacks the rights of the service: run configsvc migrate with "
            f"CONFIGSVC_SERVICE_ROLE={role}, or make the role the owner of the tables"
        )


async def check_sequences(url: str) -> None:
    """Check that no sequence is behind its table, with the rights of the owner.

    Raises DatabaseUnavailableError and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        await _check_sequences(connection)


async def _check_sequences(connection: Session) -> None:
    for row in await connection.fetch(_SQL["sequences_behind"]):
        raise DatabaseRefusedError(
            f"the sequence {row['name']} is at {row['last_value']} and its table at {row['greatest_value']}, as after "
            f"logical replication: end that, then run {row['remedy']} as the owner"
        )
