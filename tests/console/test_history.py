"""History, blame, rollback, audit and the past in the console."""

import pytest
from playwright.async_api import expect

from tests.api.calls import content, create, delete, get, head, patch
from tests.console.chromium import AXE, Console
from tests.service import Service

pytestmark = pytest.mark.timeout(120)


async def three_versions(http: Service) -> None:
    await create(http, "web", {"n": 1, "kept": True}, reason="first")
    await patch(http, "web", {"n": 2}, reason="second", change_request="OPS-2")
    await patch(http, "web", {"n": 3}, reason="third")


async def test_any_two_versions_are_compared_and_one_is_rolled_back_to(http: Service, console: Console) -> None:
    await three_versions(http)
    page = console.page
    await console.open("/configurations/shop/web/history")
    await expect(page.get_by_role("row", name="second")).to_contain_text("(OPS-2)")
    await page.get_by_role("radio", name="from version 1").check()
    await expect(page).to_have_url(f"{console.origin}/#/configurations/shop/web/history?from=1&to=3")
    await expect(page.locator(".cm-merge-b .cm-changedLine")).to_contain_text('"n": 3')
    await page.get_by_role("row", name="first").get_by_role("button", name="Roll back …").click()
    await expect(page.get_by_role("dialog").locator(".cm-merge-b .cm-changedLine")).to_contain_text('"n": 1')
    await page.get_by_label("Reason").fill("it was better")
    await page.get_by_role("button", name="Roll back to version 1").click()
    await expect(page.get_by_role("row", name="it was better")).to_be_visible()
    assert content((await get(http, "web")).config) == {"n": 1, "kept": True}


async def test_blame_shows_who_last_set_each_value(http: Service, console: Console) -> None:
    await three_versions(http)
    await console.open("/configurations/shop/web/blame")
    await expect(console.page.get_by_role("row", name="/n")).to_contain_text("third")
    await expect(console.page.get_by_role("row", name="/kept")).to_contain_text("first")


async def test_the_audit_is_filtered_and_leads_to_what_was_changed(http: Service, console: Console) -> None:
    await three_versions(http)
    await create(http, "other", reason="elsewhere")
    page = console.page
    await console.open("/audit?resource_name=web")
    await expect(page.get_by_role("row", name="second")).to_be_visible()
    await expect(page.get_by_text("elsewhere")).to_be_hidden()
    await page.get_by_label("From", exact=True).fill("soon")
    await expect(page.get_by_label("From", exact=True)).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Kind").select_option("application")
    await expect(page.get_by_text("No change matches")).to_be_visible()
    await page.go_back()
    await console.open("/audit?resource_name=web")
    await page.get_by_role("row", name="second").get_by_role("link").click()
    await expect(page.get_by_role("heading", name="History of shop/web")).to_be_visible()


async def test_an_application_is_shown_as_it_was_and_what_changed_since(http: Service, console: Console) -> None:
    await create(http, "web", {"n": 1})
    await create(http, "gone", {"n": 1})
    then = await head(http)
    await patch(http, "web", {"n": 2})
    await delete(http, "gone")
    await create(http, "new")
    page = console.page
    await console.open(f"/applications/shop/past?at={then}")
    await expect(page.get_by_role("heading", name=f"2 configurations, revision {then}")).to_be_visible()
    await page.get_by_text("web", exact=False).last.click()
    await expect(page.locator(".cm-content")).to_contain_text('"n": 1')
    await console.open(f"/applications/shop/past?since={then}")
    await expect(page.get_by_role("heading", name="3 differences")).to_be_visible()
    await expect(page.get_by_text("gone: removed")).to_be_visible()
    await expect(page.get_by_text("new: added")).to_be_visible()
    await page.get_by_text("web: changed").click()
    await expect(page.locator(".cm-merge-b .cm-changedLine")).to_contain_text('"n": 2')
    await console.open("/applications/shop/past?at=999999")
    await expect(page.get_by_role("alert")).to_contain_text("The history has not come so far")


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    await three_versions(http)
    addresses = {
        "/configurations/shop/web/history?from=1&to=3": ".cm-changedLine",
        "/configurations/shop/web/blame": "td",
        "/audit": "td",
        "/applications/shop/past?since=2": "details",
    }
    for scheme in ("light", "dark"):
        await console.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for address, shown in addresses.items():
            await console.open(address)
            await expect(console.page.locator(shown).first).to_be_visible()
            assert await console.axe() == [], (scheme, address)
