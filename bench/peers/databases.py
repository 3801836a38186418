"""Connections to PostgreSQL, and databases beside the service's own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIMIT_SECONDS = 60.0


@asynccontextmanager
async def connected(url: str, *, limit_seconds: float = LIMIT_SECONDS) -> AsyncGenerator[Connection]:
    """Yield a connection whose statements have a time limit."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=limit_seconds)
    try:
        yield connection
    finally:
        connection.terminate()


async def database_beside(url: str, name: str) -> str:
    """Create an empty database on the same server, and so with the same durability, and return its URL."""
    async with connected(url) as connection:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}"')
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
