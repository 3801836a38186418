"""Sign-in at an OpenID provider, in the browser."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.chromium import Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.provider import OpenIdProvider, running_provider
from tests.identity.tokens import oidc_settings, token
from tests.service import running_service

pytestmark = pytest.mark.timeout(120)
STORED = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


@pytest.fixture
def provider() -> Generator[OpenIdProvider]:
    with running_provider() as running:
        yield running


@asynccontextmanager
async def signing_in(
    database_url: str, browser: Browser, provider: OpenIdProvider, **more: Any
) -> AsyncGenerator[Console]:
    """Yield a console of a service that takes the tokens of the provider."""
    settings: dict[str, Any] = {
        "auth": "oidc",
        "admins": "user:ada",
        "oidc_issuer": provider.issuer,
        "oidc_audience": "configsvc-console",
        "console_client_id": "configsvc-console",
    }
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **settings | more) as service,
        console_of(browser, f"http://{service.http_address}") as console,
    ):
        yield console


async def authorize(page: Page, user: str = "ada") -> None:
    await page.get_by_placeholder("sub").fill(user)
    await page.get_by_role("button", name="Authorize").click()


async def test_the_provider_signs_in_and_leads_back_to_the_screen_that_was_asked_for(
    database_url: str, browser: Browser, provider: OpenIdProvider
) -> None:
    async with signing_in(database_url, browser, provider) as console:
        await console.open("/access?principal=user:bo")
        await authorize(console.page)
        await expect(console.page.get_by_text("by a token of the OpenID provider")).to_be_visible()
        await expect(console.page).to_have_url(f"{console.origin}/#/access?principal=user:bo")
        assert await console.page.evaluate(STORED) == '[{"configsvc.theme":"auto"},{},""]'
        # The token was in memory: a reload asks the provider again, which remembers the user or asks.
        await console.page.reload()
        await authorize(console.page)
        await expect(console.page.get_by_label("Principal")).to_have_value("user:bo")


async def test_a_refused_sign_in_says_why_and_can_be_repeated(
    database_url: str, browser: Browser, provider: OpenIdProvider
) -> None:
    async with signing_in(database_url, browser, provider) as console:
        await console.open()
        await console.page.get_by_role("button", name="Deny").click()
        await expect(console.page.get_by_role("alert")).to_contain_text("The sign-in failed")
        await console.page.get_by_role("button", name="Sign in", exact=True).click()
        await authorize(console.page)
        await expect(console.page.get_by_role("heading", name="Configurations")).to_be_visible()


async def test_a_token_for_somebody_else_is_not_sent_and_the_error_says_what_to_set(
    database_url: str, browser: Browser, provider: OpenIdProvider
) -> None:
    async with signing_in(database_url, browser, provider, oidc_audience="another") as console:
        await console.open()
        await authorize(console.page)
        alert = console.page.get_by_role("alert")
        await expect(alert).to_contain_text("no token for the audience another")
        await expect(alert).to_contain_text("CONFIGSVC_OIDC_AUDIENCE")


async def test_a_refused_token_is_replaced_in_a_window_beside_the_page_that_keeps_what_was_typed(
    database_url: str, browser: Browser, provider: OpenIdProvider
) -> None:
    async with signing_in(database_url, browser, provider) as console:
        await console.open("/applications")
        await authorize(console.page)
        await console.page.get_by_role("button", name="New application").click()
        await console.page.get_by_label("Name", exact=True).fill("typed")
        # As if it had expired.
        await console.page.route("**/api/v1/applications", lambda route: route.fulfill(status=401, json={"code": 16}))
        await console.page.get_by_role("button", name="Create").click()
        await expect(console.page.get_by_text("What you typed stays here")).to_be_visible()
        await console.page.unroute("**/api/v1/applications")
        await console.page.keyboard.press("Escape")
        async with console.page.expect_popup() as opened:
            await console.page.get_by_role("button", name="Sign in again").click()
        await authorize(await opened.value)
        await expect(console.page.get_by_text("What you typed stays here")).to_be_hidden()


async def test_without_a_client_id_a_token_can_be_pasted_and_a_wrong_one_is_refused(
    database_url: str, browser: Browser, tmp_path: Path
) -> None:
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **oidc_settings(tmp_path)) as service,
        console_of(browser, f"http://{service.http_address}") as console,
    ):
        await sign_in(console, "root", "/access")
        await expect(console.page.get_by_text("user:root").first).to_be_visible()
        await console.page.get_by_role("main").get_by_role("button", name="Sign out").click()
        await console.page.get_by_label("Token of").fill(token("root", exp=1))
        await console.page.get_by_role("button", name="Use it").click()
        await expect(console.page.get_by_text("The token has expired")).to_be_visible()


async def test_without_authentication_the_console_says_so_in_red(console: Console) -> None:
    await console.open()
    notice = console.page.get_by_text("This service runs without authentication")
    await expect(notice).to_be_visible()
    await expect(notice).to_have_css("color", "rgb(179, 38, 30)")
