"""The first screen: all configurations, searched, filtered and live."""

import pytest
from playwright.async_api import expect

from tests.api.calls import create, create_application, delete, patch
from tests.console.chromium import AXE, Console
from tests.service import Service

pytestmark = pytest.mark.timeout(120)


async def names(console: Console) -> list[str]:
    return await console.page.locator("section.virtual tbody tr td:nth-child(2)").all_inner_texts()


async def test_configurations_are_found_as_one_types(http: Service, console: Console) -> None:
    await create_application(http, "payments")
    await create(http, "web/limits", {"replicas": 3})
    await create(http, "limits", {"replicas": 1}, application="payments")
    await console.open("/configurations")
    await expect(console.page.get_by_text("2 configurations")).to_be_visible()
    assert await names(console) == ["limits", "web/limits"]
    await console.page.keyboard.press("/")
    await console.page.keyboard.type("shop lim")
    await expect(console.page.get_by_text("1 of 2 configurations")).to_be_visible()
    assert await names(console) == ["web/limits"]
    await expect(console.page).to_have_url(f"{console.origin}/#/configurations?q=shop+lim")


async def test_the_service_filters_by_application_and_content_and_what_comes_to_have_it_appears(
    http: Service, console: Console
) -> None:
    await create_application(http, "payments")
    await create(http, "many", {"replicas": 3})
    await create(http, "few", {"replicas": 1})
    await create(http, "other", {"replicas": 3}, application="payments")
    await console.open("/configurations?application=shop")
    await expect(console.page.get_by_text("2 configurations")).to_be_visible()
    await console.page.get_by_label("Content has").fill('{"replicas": 3}')
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_text("1 of 2 configurations")).to_be_visible()
    assert await names(console) == ["many"]
    await patch(http, "few", {"replicas": 3})
    await expect(console.page.get_by_text("2 configurations", exact=True)).to_be_visible()
    assert await names(console) == ["few", "many"]


async def test_rows_come_change_and_go_as_they_do_in_the_service(http: Service, console: Console) -> None:
    await create(http, "web")
    await console.open()
    await expect(console.page.get_by_text("live at revision")).to_be_visible()
    await create(http, "added")
    await expect(console.page.locator("tr.lit")).to_contain_text("added")
    await patch(http, "web", {"n": 2})
    await expect(console.page.locator("tr.lit", has_text="web")).to_contain_text("2")
    await delete(http, "web")
    await expect(console.page.get_by_text("1 configuration")).to_be_visible()
    assert await names(console) == ["added"]


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    await create(http, "web")
    await console.open()
    await expect(console.page.get_by_text("live at revision")).to_be_visible()
    assert await console.axe() == []
