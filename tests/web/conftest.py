from collections.abc import AsyncGenerator

import pytest

from tests.service import Service, running_service
from tests.storage.reading import Session, application


@pytest.fixture
async def http(database_url: str, psql: Session) -> AsyncGenerator[Service]:
    """Yield a service that serves HTTP too, with an application named shop."""
    await application(psql)
    async with running_service(database_url, http_listen="127.0.0.1:0") as running:
        yield running
