from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.api.calls import create, create_application
from tests.postgres import cloned_database
from tests.service import Service, running_service
from tests.transports.transports import TRANSPORTS, on


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Return the transport that the test uses."""
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(postgres_server: str, template_database: str, transport: str) -> AsyncGenerator[Service]:
    """Yield a service for the tests of one module, with a configuration named web in the application shop."""
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, **on(transport)) as service,
    ):
        await create_application(service)
        await create(service, "web", {"a": 1})
        yield service
