import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

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


@pytest_asyncio.fixture(loop_scope="module")
async def no_defect() -> AsyncGenerator[None]:
    """Check that nothing in the test's process ends with an error that is not foreseen."""
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, Any]] = []

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncpg's word for a query that was cancelled.
        if "Resetting connection with an active transaction" not in context["message"]:
            unhandled.append(context)

    loop.set_exception_handler(handle)
    try:
        with capture_logs() as lines:
            yield
    finally:
        loop.set_exception_handler(None)
    assert not unhandled
    assert not [line for line in lines if line["log_level"] in {"error", "critical"}]
