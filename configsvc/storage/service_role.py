"""The database role of the service, if it does not own the tables."""

from pathlib import Path

import asyncpg

from configsvc.storage.start_connections import DatabaseRefusedError, connected, explained

_GRANTS = Path(__file__).with_name("service_role.sql")


async def grant_service_rights(url: str, role: str) -> None:
    """Grant the role what the service needs, and revoke all else on our tables, as the role of the URL.

    Raises DatabaseUnavailableError or DatabaseRefusedError.
    """
    statements = grants(role)
    async with connected(url) as connection:
        try:
            await connection.execute(statements)
        except asyncpg.PostgresError as error:
            raise DatabaseRefusedError(
                f"cannot grant the rights of the service to {role}: {explained(error)}"
            ) from error


def grants(role: str) -> str:
    """Return the statements of service_role.sql for the role, as `psql -v role=…` would."""
    quoted = '"' + role.replace('"', '""') + '"'
    return _GRANTS.read_text(encoding="utf-8").replace(':"role"', quoted)
