from collections.abc import AsyncGenerator

import pytest

from tests.service import Service, running_service

TRANSPORTS = ("grpc", "http")


@pytest.fixture
async def service(database_url: str) -> AsyncGenerator[Service]:
    """Yield the service with both doors, running on this test's database."""
    async with running_service(database_url, http_listen="127.0.0.1:0") as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def address(request: pytest.FixtureRequest, service: Service) -> str:
    """Return the address of each door of the service."""
    return service.address if request.param == "grpc" else f"http://{service.http_address}"
