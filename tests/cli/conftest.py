from pathlib import Path

import pytest

from tests.cli.running import Cli
from tests.service import Service


@pytest.fixture
def cli(shared_service: Service, tmp_path: Path) -> Cli:
    """Return the command line, for the service of this module."""
    return Cli(tmp_path, {"CONFIGSVC_SERVER": shared_service.address})


@pytest.fixture
def application(request: pytest.FixtureRequest) -> str:
    """Return the name of an application for this test alone."""
    return request.node.name.removeprefix("test_")[:60].replace("[", ".").rstrip("]")
