import uuid
from collections.abc import AsyncIterator

import pytest

from tests.postgres import execute, with_database


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    """Yield the URL of a database without tables."""
    name = f"empty_{uuid.uuid4().hex}"
    await execute(postgres_server, f"CREATE DATABASE {name}")
    try:
        yield with_database(postgres_server, name)
    finally:
        await execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")
