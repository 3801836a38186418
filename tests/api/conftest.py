from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.api.calls import Connection


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    """A session like one of psql, on this test's database."""
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)
