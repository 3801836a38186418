"""Fixtures that run every test of the API over both doors."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from tests.doors.marks import GRPC_ONLY
from tests.postgres import cloned_database
from tests.service import Door, Service, running_service


@pytest.fixture(scope="module", params=Door, ids=lambda door: door.value)
def door(request: pytest.FixtureRequest) -> Door:
    """Return the door that the test uses."""
    return request.param


@pytest.fixture
async def service(database_url: str, door: Door) -> AsyncGenerator[Service]:
    """Yield the service, running on this test's database."""
    async with running_service(database_url, door=door) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_service(postgres_server: str, template_database: str, door: Door) -> AsyncGenerator[Service]:
    """Yield a service for the tests of one module and door, which change nothing another test looks at."""
    async with cloned_database(postgres_server, template_database) as url, running_service(url, door=door) as running:
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about gRPC alone on the other door."""
    other = [item for item in items if item.get_closest_marker(GRPC_ONLY) and _door_of(item) is Door.HTTP]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]


def _door_of(item: pytest.Item) -> Door | None:
    case: Any = getattr(item, "callspec", None)
    return case.params.get("door") if case else None
