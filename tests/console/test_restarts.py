"""A page that stays open while its service restarts, is away, or gives way to a newer one."""

import pytest
from playwright.async_api import Browser, expect

from tests.api.calls import create, create_application
from tests.console.chromium import console_of
from tests.identity.provider import reserved_port
from tests.service import running_service

pytestmark = pytest.mark.timeout(120)


async def test_an_open_page_says_that_the_service_is_away_and_then_shows_what_it_missed(
    database_url: str, browser: Browser
) -> None:
    with reserved_port() as port:
        listen = f"127.0.0.1:{port}"
        async with console_of(browser, f"http://{listen}") as console:
            async with running_service(database_url, http_listen=listen) as service:
                await create_application(service)
                await create(service, "before")
                await console.open()
                await expect(console.page.get_by_text("live at revision")).to_be_visible()
            await expect(console.page.get_by_text("not live:")).to_be_visible()
            # What was shown stays.
            await expect(console.page.get_by_role("link", name="before")).to_be_visible()
            async with running_service(database_url) as elsewhere:
                await create(elsewhere, "missed")
            async with running_service(database_url, http_listen=listen):
                await expect(console.page.get_by_role("link", name="missed")).to_be_visible(timeout=30_000)
                await expect(console.page.get_by_text("live at revision")).to_be_visible()
                await expect(console.page.locator("tr.lit")).to_contain_text("missed")


async def test_a_page_that_is_opened_while_the_service_is_away_goes_on_when_it_is_back(
    database_url: str, browser: Browser
) -> None:
    with reserved_port() as port:
        listen = f"127.0.0.1:{port}"
        async with console_of(browser, f"http://{listen}") as console:
            async with running_service(database_url, http_listen=listen):
                await console.open("/status")
                await expect(console.page.get_by_text("live", exact=True)).to_be_visible()
            await expect(console.page.get_by_text("not reached")).to_be_visible()
            await expect(console.page.get_by_role("alert")).to_contain_text("The service does not respond")
            async with running_service(database_url, http_listen=listen):
                await expect(console.page.get_by_text("live", exact=True)).to_be_visible(timeout=30_000)
                await expect(console.page.get_by_role("alert")).to_have_count(0)
