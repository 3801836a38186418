import pytest

from tests.api.calls import create_application
from tests.compaction import conftest
from tests.service import Service

# Housekeeping would compact the log at a moment of its own.
no_housekeeping = conftest._no_housekeeping


@pytest.fixture
async def shop(service: Service) -> Service:
    """The service, with an application named shop."""
    await create_application(service, "shop")
    return service
