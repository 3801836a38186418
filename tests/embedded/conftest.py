from collections.abc import Generator
from pathlib import Path

import pytest

from tests.postgres import server_folder


@pytest.fixture
def data_dir() -> Generator[Path]:
    """Yield an empty folder for one test's server."""
    with server_folder() as folder:
        yield folder
