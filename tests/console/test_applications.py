"""Applications, access and status."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from configapi.v1.access_service_pb2 import ROLE_VIEWER, CreateRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef
from tests.api.calls import create
from tests.console.chromium import AXE, Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, running_service
from tests.storage.reading import Session, application
from tests.watch.changing import watching
from tests.watch.recording import recorded

pytestmark = pytest.mark.timeout(120)


async def test_an_application_is_created_renamed_and_deleted_with_its_configurations(
    http: Service, console: Console
) -> None:
    page = console.page
    await console.open("/applications")
    await page.get_by_role("button", name="New application").click()
    await page.get_by_label("Name", exact=True).fill("shop")
    await page.get_by_label("Reason").fill("first steps")
    await page.get_by_role("button", name="Create").click()
    # What was typed stays, beside the error.
    await expect(page.get_by_role("alert")).to_contain_text("Choose another name")
    await page.get_by_label("Name", exact=True).fill("payments")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="payments")).to_be_visible()
    await create(http, "web", application="payments")
    await page.keyboard.press("e")
    await page.get_by_label("Name", exact=True).fill("billing")
    await page.get_by_label("Comments").fill("who pays what")
    await page.get_by_role("button", name="Change", exact=True).click()
    await expect(page.get_by_role("heading", name="billing")).to_be_visible()
    await expect(page.get_by_text("who pays what")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog").get_by_role("button", name="Delete")).to_be_disabled()
    await page.get_by_label("Type its name").fill("billing")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete it with all configurations").click()
    await expect(page).to_have_url(f"{console.origin}/#/applications")
    await expect(page.get_by_role("link", name="shop")).to_be_visible()
    await expect(page.get_by_role("link", name="billing")).to_be_hidden()


async def test_a_role_is_bound_and_deleted(http: Service, console: Console) -> None:
    page = console.page
    await console.open("/access")
    await expect(page.get_by_text("not at all: the service asks nobody")).to_be_visible()
    await page.get_by_role("button", name="Bind a role").click()
    await page.get_by_label("Principal").last.fill("user:ada")
    await page.get_by_role("combobox").select_option("ROLE_EDITOR")
    await page.get_by_label("Application", exact=True).last.fill("shop")
    await page.get_by_role("button", name="Bind", exact=True).click()
    row = page.get_by_role("row", name="user:ada")
    await expect(row).to_contain_text("editor")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("There is no such role binding")).to_be_visible()


async def test_the_status_shows_who_watches_what(http: Service, console: Console) -> None:
    async with recorded(http, watching()) as watch:
        await watch.until_synced()
        await console.open("/status")
        await expect(console.page.get_by_text("live", exact=True)).to_be_visible()
        row = console.page.get_by_role("row", name="everything")
        await expect(row).to_contain_text("anonymous")
        await expect(row).to_contain_text("up to date")


async def test_a_viewer_sees_no_button_that_is_not_for_him(
    database_url: str, browser: Browser, psql: Session, tmp_path: Path
) -> None:
    await application(psql)
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **oidc_settings(tmp_path)) as service,
        console_of(browser, f"http://{service.http_address}") as console,
    ):
        shop = ApplicationRef(name="shop")
        viewer = CreateRoleBindingRequest(principal="user:vi", role=ROLE_VIEWER, application=shop)
        await service.access.CreateRoleBinding(viewer, metadata=bearing("root"))
        await sign_in(console, "vi")
        page = console.page
        await expect(page.get_by_text("live at revision")).to_be_visible()
        await expect(page.get_by_role("link", name="New configuration")).to_be_hidden()
        for address, shown in (("/applications", "shop"), ("/applications/shop", "The past"), ("/access", "viewer of")):
            await console.page.evaluate("address => { location.hash = address; }", address)
            await expect(page.get_by_text(shown).first).to_be_visible()
            buttons = await page.get_by_role("main").get_by_role("button").all_inner_texts()
            assert [one for one in buttons if one != "Sign out"] == []


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    for address in ("/applications", "/applications/shop", "/access", "/status"):
        await console.open(address)
        await expect(console.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(console.page.get_by_role("progressbar")).to_have_count(0)
        assert await console.axe() == [], address
