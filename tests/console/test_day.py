"""A day of an operator, from sign-in to rollback, and pages that strangers fill with markup."""

import asyncio
import gzip
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Response, expect

from configapi.v1.access_service_pb2 import ROLE_EDITOR, CreateRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import WatchInstance
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import create, patch
from tests.console.chromium import Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, application
from tests.watch.changing import watching
from tests.watch.recording import recorded

pytestmark = pytest.mark.timeout(120)
# Kilobytes, compressed.
MOST_OF_THE_FIRST_PAGE = 350
SCREENS = [
    "/configurations",
    "/configurations/shop/web",
    "/configurations/shop/web/edit",
    "/configurations/shop/web/history?from=1&to=2",
    "/configurations/shop/web/blame",
    "/applications",
    "/applications/shop",
    "/applications/shop/past?since=3",
    "/schemas",
    "/schemas/numbers",
    "/audit",
    "/operations",
    "/access",
    "/status",
]
MARKUP = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"{{7*7}}'


async def replace_text(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Content as JSON").click()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.insert_text(text)


async def test_an_operator_signs_in_finds_changes_compares_and_rolls_back(
    database_url: str, browser: Browser, psql: Session, tmp_path: Path
) -> None:
    await application(psql)
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **oidc_settings(tmp_path)) as service,
        console_of(browser, f"http://{service.http_address}") as console,
    ):
        editor = CreateRoleBindingRequest(
            principal="user:ada", role=ROLE_EDITOR, application=ApplicationRef(name="shop")
        )
        await service.access.CreateRoleBinding(editor, metadata=bearing("root"))
        page = console.page
        await sign_in(console, "ada")
        await page.get_by_role("link", name="New configuration").click()
        await page.get_by_label("Application", exact=True).fill("shop")
        await page.get_by_label("Name", exact=True).fill("web/limits")
        await replace_text(page, '{"replicas": 3}')
        await page.get_by_role("button", name="Create").click()
        await page.get_by_role("link", name="configsvc").click()
        await page.keyboard.press("/")
        await page.keyboard.type("limits")
        await page.get_by_role("link", name="web/limits").click()
        await page.get_by_role("link", name="Edit", exact=True).click()
        await replace_text(page, '{"replicas": 300}')
        await page.get_by_role("button", name="Publish …").click()
        await page.get_by_label("Reason").fill("more load")
        await page.get_by_role("button", name="Publish", exact=True).click()
        await page.get_by_role("link", name="History").click()
        await page.get_by_role("row", name="created").get_by_role("button", name="Roll back").click()
        await page.get_by_label("Reason").fill("too many")
        await page.get_by_role("dialog").get_by_role("button", name="Roll back to version 1").click()
        await expect(page.get_by_role("row", name="too many")).to_contain_text("user:ada")
        await page.get_by_role("link", name="shop/web/limits").click()
        await expect(page.get_by_role("textbox", name="Content")).to_contain_text('"replicas": 3')
        await expect(page.get_by_text("too many")).to_be_visible()


async def filled(http: Service) -> None:
    """Fill all texts of the API with markup, as far as they take it."""
    await http.applications.CreateApplication(CreateApplicationRequest(name="other", comments=MARKUP, reason=MARKUP))
    document: JsonObject = {
        "type": "object",
        "title": MARKUP,
        "properties": {"n": {"type": "integer", "description": MARKUP}},
    }
    schema = CreateSchemaRequest(name="numbers", comments=MARKUP, document=struct(document), reason=MARKUP)
    await http.schemas.CreateSchema(schema)
    pin = SchemaVersionRef(schema="numbers")
    await create(http, "web", {"n": 1}, schema=pin, comments=MARKUP, reason=MARKUP, change_request="<b>OPS</b>")
    await create(http, "loose", {MARKUP: MARKUP}, comments=MARKUP)
    await patch(http, "web", {"n": 2}, reason=MARKUP)
    everybody = CreateRoleBindingRequest(principal=f"group:{MARKUP}", role=ROLE_EDITOR, reason=MARKUP)
    everybody.all_applications.SetInParent()
    await http.access.CreateRoleBinding(everybody)


async def test_no_text_of_the_api_becomes_a_part_of_the_page(http: Service, console: Console) -> None:
    await filled(http)
    request = watching()
    request.instance.CopyFrom(WatchInstance(id=MARKUP, program=MARKUP, version=MARKUP, labels={"a": MARKUP}))
    async with recorded(http, request) as watch:
        await watch.until_synced()
        await console.open()
        for address in [*SCREENS, "/configurations/shop/loose", "/configurations/shop/loose/edit"]:
            await console.page.evaluate("address => { location.hash = address; }", address)
            await expect(console.page.get_by_role("heading", level=1)).to_be_visible()
            await expect(console.page.get_by_role("progressbar")).to_have_count(0)
            assert await console.page.locator("main img, main script").count() == 0, address
            assert await console.page.evaluate("window.hit") is None, address


async def test_the_first_page_is_small(http: Service, console: Console) -> None:
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    # Playwright takes no method of a built-in type.
    console.page.on("response", note)
    await console.open()
    await expect(console.page.get_by_text("live at revision")).to_be_visible()
    files = [one for one in answers if "/assets/" in one.url]
    bodies = await asyncio.gather(*(one.body() for one in files))
    assert len(files) > 2
    assert sum(len(gzip.compress(body)) for body in bodies) < MOST_OF_THE_FIRST_PAGE * 1024


@pytest.mark.parametrize("width", [360])
async def test_no_screen_is_wider_than_a_telephone(http: Service, console: Console, width: int) -> None:
    await filled(http)
    await console.page.set_viewport_size({"width": width, "height": 740})
    await console.open()
    for address in [*SCREENS, "/transfer", "/new-schema", "/new-configuration", "/schemas/numbers/migrate"]:
        await console.page.evaluate("address => { location.hash = address; }", address)
        await expect(console.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(console.page.get_by_role("progressbar")).to_have_count(0)
        wide = await console.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, address
