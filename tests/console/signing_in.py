"""Callers who sign in to the console with a token that they paste."""

from playwright.async_api import expect

from tests.console.chromium import Console
from tests.identity.tokens import token


async def sign_in(console: Console, user: str, address: str = "") -> None:
    """Open a screen with a token of the user."""
    await console.open(address)
    await console.page.get_by_label("Token of").fill(token(user))
    await console.page.get_by_role("button", name="Use it").click()
    await expect(console.page.get_by_role("navigation", name="Screens")).to_be_visible()
