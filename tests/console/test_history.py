"""History, blame, audit and the past of an application."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from configapi.v1.access_service_pb2 import ROLE_VIEWER, CreateRoleBindingRequest
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_service_pb2 import UpdateConfigurationRequest
from tests.api.calls import content, create, create_application, creation, delete, get, head, key, patch
from tests.configurations.reading import rename
from tests.console.chromium import AXE, Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, running_service, struct
from tests.storage.compacting import compact_once
from tests.storage.reading import Session, application

pytestmark = pytest.mark.timeout(120)
# The versions that the blame reads at once; a history shows half as many.
PAGE = 100
# Text of others is shown as text.
EVIL = "<img src=x onerror=alert(1)>"


async def three_versions(http: Service) -> None:
    await create(http, "web", {"a": 1, EVIL: [1, 2]}, reason=EVIL)
    await patch(http, "web", {"a": 2, "b": {"c": None, "d": "x"}}, reason="second", change_request="OPS-2")
    await patch(http, "web", {"a": 3}, reason="third")


async def test_any_two_versions_are_compared_by_an_address_and_each_is_shown_as_it_was(
    http: Service, console: Console
) -> None:
    await three_versions(http)
    page = console.page
    await console.open("/configurations/shop/web/history")
    second = page.get_by_role("row", name="OPS-2")
    await expect(second).to_contain_text("anonymous")
    await expect(page.get_by_role("row", name=EVIL)).to_be_visible()
    await page.get_by_label("from version 1").check()
    await expect(page).to_have_url(re.compile(r"history\?from=1&to=3$"))
    # It stands above the table, which it moves when it comes.
    await expect(page.locator(".cm-merge-b")).to_be_visible()
    await expect(page.get_by_label("What differs")).to_contain_text("changed /a 1 → 3")
    await page.get_by_label("to version 2").check()
    await expect(page.get_by_role("heading", name="Version 1 → 2")).to_be_visible()
    await expect(page.locator(".cm-merge-a .cm-changedLine")).to_have_text(['  "a": 1,'])
    differing = page.get_by_label("What differs")
    await expect(differing.get_by_role("listitem")).to_have_text(["changed /a 1 → 2", 'added /b {"d":"x"}'])
    # The same address, in another tab.
    await console.open("/configurations/shop/web/history?from=3&to=1")
    await expect(differing.get_by_role("listitem").first).to_have_text("changed /a 3 → 1")
    # What one version changed, and that version alone.
    await page.get_by_role("row", name="third").get_by_role("link", name="changed").click()
    await expect(page.get_by_role("heading", name="Version 2 → 3")).to_be_visible()
    await page.get_by_role("row", name=EVIL).get_by_role("link", name="1").click()
    await expect(page.get_by_role("heading", name="Version 1", exact=True)).to_be_visible()
    await expect(page.get_by_role("textbox", name="Content")).to_contain_text(EVIL)
    await page.go_back()
    await expect(page.get_by_role("heading", name="Version 2 → 3")).to_be_visible()


async def test_a_version_comes_back_after_its_difference_from_what_is_in_effect_was_shown_also_of_a_deleted_one(
    http: Service, console: Console
) -> None:
    await three_versions(http)
    page = console.page
    await console.open("/configurations/shop/web/history")
    await page.get_by_role("button", name="Roll back to version 1").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("What differs")).to_contain_text("changed /a 3 → 1")
    await dialog.get_by_label("Reason").fill("too much load")
    await dialog.get_by_label("Change request").fill("OPS-3")
    await patch(http, "web", {"a": 4}, reason="meanwhile")
    await dialog.get_by_role("button", name="Roll back to version 1").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Somebody changed it meanwhile")
    await dialog.get_by_role("button", name="Compare with the newest version").click()
    await expect(dialog.get_by_label("What differs")).to_contain_text("changed /a 4 → 1")
    await dialog.get_by_role("button", name="Roll back to version 1").click()
    await expect(page.get_by_role("row", name="too much load (OPS-3)")).to_be_visible()
    assert content((await get(http, "web")).config) == {"a": 1, EVIL: [1, 2]}
    # A deleted one keeps its history, and comes back from it.
    await delete(http, "web", reason="a mistake")
    await console.open("/configurations/shop/web/history?to=6")
    await page.reload()
    await expect(page.get_by_role("heading", name="Version 5 → 6")).to_be_visible()
    await expect(page.get_by_label("What differs")).to_contain_text("removed /a 1")
    await page.get_by_role("button", name="Roll back to version 2").click()
    await expect(dialog).to_contain_text("The configuration is deleted")
    await expect(dialog.get_by_label("What differs")).to_contain_text("added /a 2")
    await dialog.get_by_role("button", name="Roll back to version 2").click()
    await expect(page.get_by_label("from version 7")).to_be_visible()
    assert content((await get(http, "web")).config) == {"a": 2, "b": {"d": "x"}, EVIL: [1, 2]}


async def test_blame_names_for_each_value_who_set_it_as_far_as_the_history_goes(
    http: Service, console: Console, database_url: str
) -> None:
    await three_versions(http)
    page = console.page
    await console.open("/configurations/shop/web/blame")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(4)
    await expect(rows.filter(has_text="/a")).to_contain_text("third")
    await expect(rows.filter(has_text="/b/d")).to_contain_text("second (OPS-2)")
    await expect(rows.filter(has_text=f"/{EVIL}/1")).to_contain_text("anonymous")
    await page.get_by_label("Search").fill("/b")
    await expect(page.get_by_text("1 of 4 values")).to_be_visible()
    await rows.get_by_role("link", name="2").click()
    await expect(page.get_by_role("heading", name="Version 1 → 2")).to_be_visible()
    await compact_once(database_url)
    await console.open("/configurations/shop/web/blame?q=%2Fa")
    await expect(page.get_by_text("Older versions are no longer kept")).to_be_visible()
    await expect(rows.get_by_role("link", name="≤ 3")).to_be_visible()
    await page.get_by_role("link", name="History").click()
    await expect(page.get_by_text("Older versions are no longer kept")).to_be_visible()
    await page.get_by_role("link", name="changed").click()
    await expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    await page.get_by_role("link", name="Show version 3 without a comparison").click()
    await expect(page.get_by_role("textbox", name="Content")).to_contain_text('"a": 3')


async def test_a_history_of_several_pages_is_read_to_its_end(http: Service, console: Console) -> None:
    page = console.page
    rows = page.locator("tbody tr")
    await create(http, "many", {"first": 1}, reason="long ago")
    for number in range(PAGE):
        await patch(http, "many", {"n": number})
    await console.open("/configurations/shop/many/blame")
    await expect(rows.filter(has_text="/first")).to_contain_text("long ago")
    await console.open("/configurations/shop/many/history")
    await page.get_by_role("button", name="Show more").click()
    await expect(rows.last).not_to_contain_text("long ago")
    await page.get_by_role("button", name="Show more").click()
    await expect(rows.last).to_contain_text("long ago")


async def test_the_audit_is_filtered_by_its_address_and_leads_to_each_history(http: Service, console: Console) -> None:
    await create_application(http, "payments")
    await create(http, "limits", application="payments", reason="not here")
    await three_versions(http)
    page = console.page
    rows = page.locator("tbody tr")
    await console.open("/audit")
    await expect(rows.filter(has_text="payments/limits")).to_contain_text("not here")
    await expect(rows.first).to_contain_text("127.0.0.1")
    await rows.filter(has_text="application payments").get_by_role("link").click()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Show all").click()
    await page.get_by_role("textbox", name="Application").fill("shop")
    await page.get_by_label("Kind").select_option("configuration")
    await page.get_by_label("Name").fill("web")
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(3)
    for part in ("application=shop", "kind=RESOURCE_KIND_CONFIGURATION", "resource_name=web"):
        await expect(page).to_have_url(re.compile(part))
    await page.get_by_label("Until").fill("yesterday")
    await expect(page.get_by_label("Until")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Until").fill("2001-01-31 12:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No change matches")).to_be_visible()
    # Whoever gets the address may live in another zone.
    await expect(page).to_have_url(re.compile(r"end_time=2001-01-3\d.*Z$"))
    await console.open("/audit?actor=user:nobody")
    await expect(page.get_by_text("No change matches")).to_be_visible()
    await console.open("/audit?actor=anonymous&resource_name=web")
    await rows.filter(has_text="OPS-2").get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Version 1 → 2")).to_be_visible()
    await console.open("/audit?start_time=someday")
    await expect(page.get_by_role("alert")).to_contain_text("start_time")


async def test_an_application_is_shown_as_of_a_revision_or_a_time_also_from_before_its_name(
    http: Service, console: Console
) -> None:
    await create(http, "gone", {"old": True})
    then = (await get(http, "gone")).update_time.ToJsonString()
    first = await head(http)
    await delete(http, "gone")
    page = console.page
    await console.open(f"/applications/shop/past?time={then}")
    await expect(page.get_by_text(f"1 configuration at revision {first}")).to_be_visible()
    await page.get_by_role("link", name="gone", exact=True).click()
    await expect(page.get_by_role("textbox", name="Content")).to_contain_text('"old": true')
    await page.get_by_role("textbox", name="As of").fill("999")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("has not reached revision 999")
    await page.get_by_role("button", name=f"Show the newest, revision {first + 1}").click()
    await expect(page.get_by_text(f"0 configurations at revision {first + 1}")).to_be_visible()
    before = await head(http)
    await create_application(http, "store")
    await create(http, "web", {"a": 1}, application="store")
    named = await head(http)
    await http.applications.UpdateApplication(
        UpdateApplicationRequest(name="store", application=Application(name="kiosk"))
    )
    await console.open(f"/applications/kiosk/past?at={named}")
    await expect(page.get_by_text("the application was named store then")).to_be_visible()
    await console.open(f"/applications/kiosk/past?from={before}&to={named}")
    await expect(page.get_by_text(f"did not exist at revision {before}")).to_be_visible()
    await expect(page.locator(".past-changes > li")).to_have_text(re.compile("added web"))
    await console.open(f"/applications/kiosk/past?at={before}")
    await expect(page.get_by_text("there was no application kiosk")).to_be_visible()


async def test_what_changed_in_an_application_between_two_revisions_is_told_as_far_as_the_history_goes(
    http: Service, console: Console, database_url: str
) -> None:
    await create(http, "gone")
    await three_versions(http)
    first = await head(http)
    await delete(http, "gone")
    await create(http, "new", {"n": 1}, reason="for the feast")
    await rename(http, "web", "site")
    await patch(http, "site", {"a": 4})
    page = console.page
    await console.open("/applications/shop/past")
    await expect(page.get_by_role("row", name="for the feast")).to_contain_text("new")
    await page.get_by_label(f"from revision {first}").check()
    await expect(page).to_have_url(re.compile(rf"past\?from={first}$"))
    await expect(page.get_by_text("1 added, 1 removed, 1 changed")).to_be_visible()
    changes = page.locator(".past-changes > li")
    await expect(changes).to_have_text([re.compile(one) for one in ("removed gone", "added new", "changed site")])
    await expect(changes.nth(2)).to_contain_text("was named web")
    await changes.nth(2).get_by_role("link").click()
    await expect(changes.nth(2)).to_contain_text("Name: web → site")
    await expect(changes.nth(2).get_by_label("What differs")).to_contain_text("changed /a 3 → 4")
    await compact_once(database_url)
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    await page.get_by_role("button", name="Show the oldest that is kept").click()
    await expect(page.get_by_text("Nothing changed")).to_be_visible()


async def test_a_viewer_reads_the_history_and_changes_nothing(
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
        root = bearing("root")
        await service.configurations.CreateConfiguration(creation("web", {"a": 1}), metadata=root)
        await service.configurations.UpdateConfiguration(
            UpdateConfigurationRequest(key=key("web"), merge_patch=struct({"a": 2})), metadata=root
        )
        await service.applications.CreateApplication(CreateApplicationRequest(name="secret"), metadata=root)
        await sign_in(console, "vi", "/audit")
        page = console.page
        await expect(page.get_by_role("row", name="user:vi")).to_be_visible()
        await expect(page.get_by_text("secret")).to_be_hidden()
        await console.page.evaluate("location.hash = '#/configurations/shop/web/history'")
        await expect(page.get_by_label("from version 2")).to_be_visible()
        assert await page.get_by_role("main").get_by_role("button").all_inner_texts() == []
        await page.get_by_label("from version 1").check()
        await expect(page.get_by_label("What differs")).to_contain_text("changed /a 1 → 2")
        await console.page.evaluate("location.hash = '#/applications/shop/past?from=2'")
        await expect(page.get_by_text("1 added, 0 removed, 0 changed")).to_be_visible()


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(http: Service, console: Console) -> None:
    await three_versions(http)
    # More differences than are in sight.
    await patch(http, "web", {f"member-{number}": number for number in range(40)})
    revision = await head(http)
    page = console.page
    await page.set_viewport_size({"width": 360, "height": 700})
    for address in (
        "/configurations/shop/web/history?from=1&to=4",
        "/configurations/shop/web/blame",
        "/audit",
        f"/applications/shop/past?at={revision}",
        f"/applications/shop/past?from={revision - 1}&to={revision}",
    ):
        await console.open(address)
        await expect(page.locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_role("progressbar")).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, address
        assert await console.axe() == [], address
