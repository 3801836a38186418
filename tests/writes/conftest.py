import pytest

from tests.api.calls import create_application
from tests.service import Service


@pytest.fixture
async def shop(service: Service) -> Service:
    """Return the service with an application named shop."""
    await create_application(service, "shop")
    return service
