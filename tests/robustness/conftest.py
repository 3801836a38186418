from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.postgres import run, server_folder
from tests.robustness.server import OwnServer, own_server, prepare_server


@pytest.fixture(scope="session")
def prepared_server() -> Generator[Path]:
    """The folder of a stopped server with a migrated database, to be copied."""
    with server_folder() as folder:
        run(prepare_server(folder))
        yield folder


@pytest.fixture
async def server(prepared_server: Path) -> AsyncGenerator[OwnServer]:
    """A server of this test alone."""
    with server_folder() as folder:
        async with own_server(prepared_server, folder) as running:
            yield running
