from collections.abc import AsyncIterator, Iterator

import pytest

from tests.postgres import cloned_database, execute, run, running_server, with_database

TEMPLATE = "template_migrated"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of this worker's PostgreSQL server, on a database that no test uses."""
    with running_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> str:
    """The name of a database that holds the migrated schema and no rows."""
    # Imported here: the tests that need no database run while the schema is being worked on.
    from configsvc.storage.migrations import migrate  # noqa: PLC0415

    run(execute(postgres_server, f"CREATE DATABASE {TEMPLATE}"))
    run(migrate(with_database(postgres_server, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
async def database_url(postgres_server: str, template_database: str) -> AsyncIterator[str]:
    """The URL of a migrated, empty database of this test alone."""
    async with cloned_database(postgres_server, template_database) as url:
        yield url
