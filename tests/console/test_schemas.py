"""Schemas, operations, imports and exports in the console."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
)
from configsvc.domain.content import JsonObject
from tests.api.calls import content, create, get
from tests.console.chromium import AXE, Console
from tests.service import Service, struct

pytestmark = pytest.mark.timeout(120)
SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}}


def text_of(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Schema as JSON")


async def type_schema(page: Page, document: object) -> None:
    await text_of(page).click()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.insert_text(json.dumps(document))


async def numbers(http: Service) -> None:
    """Create the schema numbers, and two configurations with it."""
    await http.schemas.CreateSchema(CreateSchemaRequest(name="numbers", document=struct(SCHEMA)))
    for name, number in (("few", 1), ("many", 100)):
        await create(http, name, {"n": number}, schema=SchemaVersionRef(schema="numbers"))


async def test_a_schema_is_created_closed_and_says_what_was_added(http: Service, console: Console) -> None:
    page = console.page
    await console.open("/new-schema")
    await page.get_by_label("Name", exact=True).fill("numbers")
    await type_schema(page, SCHEMA)
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="numbers")).to_be_visible()
    await page.get_by_text("The service closed this schema").click()
    await expect(page.get_by_role("listitem").get_by_text("additionalProperties")).to_be_visible()


async def test_a_new_version_shows_what_it_would_break_before_it_is_made(http: Service, console: Console) -> None:
    await numbers(http)
    page = console.page
    await console.open("/schemas/numbers")
    await expect(page.get_by_text("latest version 1")).to_be_visible()
    await page.keyboard.press("e")
    await expect(text_of(page)).to_be_visible()
    await type_schema(page, {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10}}})
    await page.get_by_role("button", name="Check what it would break").click()
    await expect(page.get_by_text("1 configuration of 2 would violate it")).to_be_visible()
    await expect(page.get_by_role("link", name="shop/many")).to_be_visible()
    await page.get_by_role("button", name="Make the new version").click()
    await expect(page.get_by_role("alert")).to_contain_text("choose Pinned")
    await page.get_by_label("Pinned:").check()
    await page.get_by_role("button", name="Make the new version").click()
    await expect(page.get_by_text("latest version 2")).to_be_visible()


async def test_configurations_are_migrated_after_a_dry_run(http: Service, console: Console) -> None:
    await numbers(http)
    tight = struct({"type": "object", "properties": {"n": {"type": "integer", "maximum": 10}}})
    pinned = CreateSchemaVersionRequest(name="numbers", document=tight, mode=SCHEMA_VERSION_MODE_PINNED)
    await http.schemas.CreateSchemaVersion(pinned)
    page = console.page
    await console.open("/schemas/numbers")
    await page.get_by_role("link", name="Migrate").click()
    await page.get_by_label("Merge patch").fill('{"n": 5}')
    await page.get_by_role("button", name="Show what would change").click()
    await expect(page.get_by_role("heading", name="migration (dry run)")).to_be_visible()
    await expect(page.get_by_text("succeeded")).to_be_visible()
    await page.get_by_role("button", name="Show the change").last.click()
    await expect(page.locator(".cm-merge-b .cm-changedLine").first).to_contain_text('"n": 5')
    await page.go_back()
    await page.get_by_label("Merge patch").fill('{"n": 5}')
    await page.get_by_label("Dry run").uncheck()
    await page.get_by_label("Reason").fill("at most ten")
    await page.get_by_role("button", name="Migrate", exact=True).click()
    await expect(page.get_by_text("succeeded")).to_be_visible()
    assert content((await get(http, "many")).config) == {"n": 5}
    await console.open("/operations")
    await expect(page.get_by_role("row", name="at most ten")).to_contain_text("2 of 2")


async def downloaded(page: Page, folder: Path) -> Path:
    """Export the application shop into a file."""
    await page.get_by_label("Of application").fill("shop")
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export", exact=True).click()
    await (await downloading.value).save_as(folder / "shop.ndjson")
    await expect(page.get_by_text("1 configuration, all of one revision")).to_be_visible()
    return folder / "shop.ndjson"


async def test_an_export_and_a_plain_file_are_imported_after_a_dry_run(
    http: Service, console: Console, tmp_path: Path
) -> None:
    await create(http, "web", {"n": 1})
    page = console.page
    await console.open("/transfer")
    file = await downloaded(page, tmp_path)
    file.write_text(file.read_text().replace('"n": 1', '"n": 2').replace('"n":1', '"n":2'))
    plain = tmp_path / "plain.json"
    plain.write_text('{"m": 1}')
    await page.get_by_label("Drag files here").set_input_files([file, plain])
    await expect(page.get_by_text("Name the application first")).to_be_visible()
    await page.get_by_label("Application", exact=True).fill("shop")
    await page.get_by_role("button", name="Show what would change").click()
    await expect(page.get_by_role("heading", name="import (dry run)")).to_be_visible()
    await expect(page.get_by_text("2 of 2")).to_be_visible()
    assert content((await get(http, "web")).config) == {"n": 1}
    await page.go_back()
    await page.get_by_label("Drag files here").set_input_files([file, plain])
    await page.get_by_label("Application", exact=True).fill("shop")
    await page.get_by_label("Dry run").uncheck()
    await page.get_by_role("button", name="Import", exact=True).click()
    await expect(page.get_by_text("succeeded")).to_be_visible()
    assert [content((await get(http, name)).config) for name in ("web", "plain")] == [{"n": 2}, {"m": 1}]


async def test_a_file_that_cannot_be_read_is_named_and_nothing_is_sent(console: Console, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    await console.open("/transfer")
    await console.page.get_by_label("Drag files here").set_input_files([broken])
    await expect(console.page.get_by_text("this is not JSON")).to_be_visible()
    await expect(console.page.get_by_role("button", name="Show what would change")).to_be_hidden()


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    await numbers(http)
    addresses = {
        "/schemas": "td",
        "/schemas/numbers": ".cm-content",
        "/schemas/numbers?edit=1": ".cm-content",
        "/schemas/numbers/migrate": "textarea",
        "/new-schema": ".cm-content",
        "/operations": ".nothing",
        "/transfer": ".drop",
    }
    for scheme in ("light", "dark"):
        await console.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for address, shown in addresses.items():
            await console.open(address)
            await expect(console.page.locator(shown).first).to_be_visible()
            assert await console.axe() == [], (scheme, address)
