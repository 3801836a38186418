"""Operations, import and export in the console."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from configapi.v1.application_pb2 import ApplicationRef
from configsvc.operations import imports
from tests.api.calls import content, create, create_application, get, names
from tests.console.chromium import AXE, Console
from tests.operations.operating import PER_ITEM, begin, imported, item
from tests.schemas.calls import create_schema
from tests.service import Service

pytestmark = pytest.mark.timeout(120)
# What a browser does when somebody drags files from elsewhere onto the page.
DROP = """([files, element]) => {
    const dragged = new DataTransfer();
    for (const [name, text] of files) dragged.items.add(new File([text], name));
    element.dispatchEvent(new DragEvent("drop", {dataTransfer: dragged, bubbles: true, cancelable: true}));
}"""


def line_of(*names: str, **fields: Any) -> str:
    """Return a line of an export of the application shop."""
    items = [{"application": {"name": "shop"}, "name": name, "config": {"n": 2.5}} for name in names]
    return json.dumps({"items": items, "revision": "7", "epoch": "e"} | fields) + "\n"


async def drop(page: Page, **files: str) -> None:
    """Drag files onto the page; `a_json` is a.json."""
    named = [(name.replace("_", "."), text) for name, text in files.items()]
    zone = await page.get_by_text("Drag files here").element_handle()
    await page.evaluate(DROP, [named, zone])


def chosen(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "application/json", "buffer": text.encode()}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Pause imports before each slice until the event is set."""
    check_slice, go_on = imports.check_slice, asyncio.Event()

    async def when_told(*arguments: Any) -> Any:
        await go_on.wait()
        return await check_slice(*arguments)

    monkeypatch.setattr(imports, "check_slice", when_told)
    return go_on


async def test_files_are_shown_before_they_are_imported_first_as_a_dry_run(http: Service, console: Console) -> None:
    page = console.page
    await create(http, "web/a", {"n": 1})
    await console.open("/transfer")
    files = page.get_by_label("Drag files here, or choose them")
    await files.set_input_files([chosen("bad.json", '{"n": '), chosen("limits.json", '{\n  "n": 2.5\n}\n')])
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("It is not JSON")
    await expect(page.get_by_text("Correct or remove the files with faults first")).to_be_visible()
    await page.get_by_role("button", name="Remove bad.json").click()
    await drop(page, shop_jsonl=line_of("web/a", "web/b") + line_of("c"))
    read = page.get_by_role("region", name="Configurations that were read")
    await expect(read.get_by_role("row", name="web/b")).to_contain_text("shop.jsonl")
    await expect(page.get_by_text("Name the application of the files that do not say it")).to_be_visible()
    await page.get_by_label("Application of the files that do not say it").fill("shop")
    await page.get_by_role("button", name="Try it with 4 configurations").click()
    await expect(page.get_by_role("heading", name="Operation: import, dry run")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="failed")).to_be_visible()
    await expect(page.get_by_role("row", name="shop/web/a")).to_contain_text("failed")
    assert await names(http, application=ApplicationRef(name="shop")) == ["web/a"]
    # What was chosen is there for the real import.
    await page.go_back()
    await page.get_by_role("checkbox", name="Replace those that exist").check()
    await page.get_by_role("checkbox", name="Dry run").uncheck()
    await page.get_by_label("Reason").fill("move")
    await page.get_by_role("button", name="Import 4 configurations").click()
    await expect(page.get_by_text("3 created, 1 changed")).to_be_visible()
    await expect(page.get_by_text("move")).to_be_visible()
    await expect(page.get_by_role("row", name="shop/limits")).to_contain_text("created")
    assert await names(http, application=ApplicationRef(name="shop")) == ["c", "limits", "web/a", "web/b"]
    await page.go_back()
    await expect(page.get_by_text("Drag files here")).to_be_visible()
    await expect(page.get_by_role("button", name="Import")).to_be_hidden()


async def test_what_is_exported_can_be_imported_and_an_export_that_fails_gives_no_file(
    http: Service, console: Console
) -> None:
    page = console.page
    await create_application(http, "other")
    await create(http, "web/a", {"text": "é"})
    await create(http, "mail", {"n": 1})
    await console.open("/transfer?application=shop")
    await page.get_by_label("Name begins with").fill("web/")
    await page.keyboard.press("Enter")
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export", exact=True).click()
    download = await downloading.value
    assert download.suggested_filename.startswith("shop-web-revision-")
    text = Path(await download.path()).read_text(encoding="utf-8")
    (exported,) = [one for line in text.splitlines() for one in json.loads(line)["items"]]
    assert (exported["name"], exported["config"]) == ("web/a", {"text": "é"})
    await expect(page.get_by_text("Exported 1 configuration")).to_be_visible()
    await drop(page, other_jsonl=text.replace('"shop"', '"other"'))
    await page.get_by_role("checkbox", name="Dry run").uncheck()
    await page.get_by_role("button", name="Import 1 configuration").click()
    await expect(page.get_by_role("row", name="other/web/a")).to_contain_text("created")
    assert content((await get(http, "web/a", "other")).config) == {"text": "é"}
    downloads: list[object] = []
    error = {"error": {"code": 7, "message": "the role is gone", "details": []}}
    # A lambda: Playwright refuses methods of built-in types.
    page.on("download", lambda download: downloads.append(download))  # noqa: PLW0108
    await page.route(
        "**/configurations:export*", lambda route: route.fulfill(body=line_of("web/a") + json.dumps(error) + "\n")
    )
    await console.open("/transfer")
    await page.get_by_role("button", name="Export", exact=True).click()
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("The role is gone")
    assert downloads == []


async def test_an_operation_shows_its_progress_and_can_be_cancelled_and_deleted(
    http: Service, console: Console, slow: asyncio.Event
) -> None:
    page = console.page
    await create_schema(http)
    running = await begin(http, item("good"), item("bad", {"replicas": -1}, schema="web"), mode=PER_ITEM)
    other = await begin(http, item("other"))
    await console.open("/operations?state=STATE_RUNNING")
    row = page.get_by_role("row", name=running.name.removeprefix("operations/"))
    await expect(row).to_contain_text("0 of 2 items")
    await page.get_by_role("row", name=other.name.removeprefix("operations/")).get_by_role("link").click()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("status").filter(has_text="ending, as somebody cancelled it")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancelling …")).to_be_disabled()
    await console.open(f"/{running.name}")
    await expect(page.get_by_role("status").filter(has_text="running")).to_contain_text("0 of 2 items")
    slow.set()
    # It is followed to its end without a reload.
    await expect(page.get_by_role("status").filter(has_text="succeeded")).to_contain_text("2 of 2 items, 1 failed")
    await page.get_by_role("checkbox", name="Failed ones only").check()
    await expect(page.get_by_role("row", name="shop/bad")).to_contain_text("/replicas")
    await expect(page.get_by_role("row", name="shop/good")).to_be_hidden()
    await expect(page).to_have_url(f"{console.origin}/#/{running.name}?failed=true")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("row", name=other.name.removeprefix("operations/"))).to_be_visible()
    await expect(row).to_be_hidden()


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    page = console.page
    await create_schema(http)
    operation = await imported(http, item("good"), item("bad", {"replicas": -1}, schema="web"), mode=PER_ITEM)
    for address, awaited in (
        ("/operations", "import"),
        (f"/{operation.name}", "/replicas"),
        ("/transfer", "Export"),
    ):
        await console.open(address)
        await expect(page.get_by_role("main").get_by_text(awaited).first).to_be_visible()
        if address == "/transfer":
            await drop(page, a_json="{}", bad_json="{", b_jsonl=line_of("b"))
            await expect(page.get_by_text("It is not JSON").first).to_be_visible()
        assert await console.axe() == [], address
