from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.chromium import connected
from tests.console.chromium import Console, console_of
from tests.service import Service, running_service
from tests.storage.reading import Session, application


@pytest.fixture
async def browser(chromium: str) -> AsyncGenerator[Browser]:
    async with connected(chromium) as opened:
        yield opened


@pytest.fixture
async def http(database_url: str, psql: Session) -> AsyncGenerator[Service]:
    """Yield a service that serves HTTP too, with an application named shop."""
    await application(psql)
    async with running_service(database_url, http_listen="127.0.0.1:0") as running:
        yield running


@pytest.fixture
async def console(browser: Browser, http: Service) -> AsyncGenerator[Console]:
    """Yield a tab for the console of the service."""
    async with console_of(browser, f"http://{http.http_address}") as opened:
        yield opened
