"""Schemas in the console: their documents, the effect of a new version before it is made, deletion and migration."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from configapi.v1.access_service_pb2 import ROLE_VIEWER, CreateRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from tests.api.calls import content, create, get
from tests.console.chromium import AXE, Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.tokens import bearing, oidc_settings
from tests.schemas.calls import REPLICAS, create_schema, create_version, get_version
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, application

pytestmark = pytest.mark.timeout(120)
AT_MOST_5 = {"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0, "maximum": 5}}}
# As generators write it: of a type that calls itself, with a reference to another schema, and with numbers of 64 bits.
RECURSIVE = """{
  "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
  "type": "object",
  "properties": {
    "limits": {"$ref": "configsvc://schemas/web@1"},
    "size": {"type": "integer", "maximum": 9223372036854775807},
    "tree": {"$ref": "#/$defs/node"}
  }
}"""


async def replace_text(page: Page, label: str, text: str) -> None:
    """Replace the text of an editor."""
    await page.get_by_role("textbox", name=label).click()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.insert_text(text)


async def shown(page: Page, label: str) -> str:
    """Return the text of an editor that is short enough to be drawn as a whole."""
    return "\n".join(await page.get_by_role("textbox", name=label).locator(".cm-line").all_inner_texts())


async def test_a_schema_is_created_closed_or_open_as_one_chooses(http: Service, console: Console) -> None:
    page = console.page
    await create_schema(http, "other")
    await console.open("/schemas")
    await expect(page.get_by_role("link", name="other")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("we")
    await expect(page.get_by_text("No schema has such a name")).to_be_visible()
    await page.get_by_role("link", name="New schema").click()
    await page.get_by_label("Name", exact=True).fill("web")
    await replace_text(page, "Document as JSON", '{"type": "objekt"}')
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("/type")
    await expect(page.get_by_role("button", name="Create")).to_be_disabled()
    await replace_text(page, "Document as JSON", json.dumps(REPLICAS))
    await expect(page.get_by_text("Closed: the service adds 1 keyword")).to_be_visible()
    await page.get_by_role("checkbox", name="Closed").uncheck()
    await expect(page.get_by_text("Closed: the service adds 1 keyword")).to_be_hidden()
    await page.get_by_role("checkbox", name="Closed").check()
    await page.get_by_label("Reason").fill("first steps")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="Version 1", exact=True)).to_be_visible()
    await page.get_by_text("Closed: the service added 1 keyword").click()
    await expect(page.get_by_text("the root: additionalProperties: false")).to_be_visible()


async def test_a_schema_is_deleted_unless_somebody_uses_it_and_then_it_says_who(
    http: Service, console: Console
) -> None:
    page = console.page
    for name in ("web", "other"):
        await create_schema(http, name)
    await create(http, "team/limits", {"replicas": 3}, schema=SchemaVersionRef(schema="web"))
    await console.open("/schemas/web")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    user = page.get_by_role("dialog").get_by_role("link", name="shop/team/limits")
    await expect(user).to_have_attribute("href", "#/configurations/shop/team%2Flimits")
    await console.open("/schemas/other")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page).to_have_url(f"{console.origin}/#/schemas")
    await expect(page.get_by_role("link", name="web")).to_be_visible()
    await expect(page.get_by_role("link", name="other")).to_be_hidden()


async def test_a_new_version_shows_what_it_would_break_before_it_is_made(http: Service, console: Console) -> None:
    page = console.page
    await create_schema(http)
    for name, replicas in (("few", 3), ("many", 9)):
        await create(http, name, {"replicas": replicas}, schema=SchemaVersionRef(schema="web"))
    await console.open("/schemas/web")
    await expect(page.get_by_role("link", name="New version")).to_be_visible()
    await page.keyboard.press("e")
    await replace_text(page, "Document as JSON", json.dumps(REPLICAS))
    await expect(page.get_by_text("It says the same as version 1")).to_be_visible()
    await replace_text(page, "Document as JSON", json.dumps(AT_MOST_5))
    await page.get_by_role("button", name="Check its effect …").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("It would break 1 of 2 configurations")).to_be_visible()
    row = dialog.get_by_role("row", name="shop/many")
    await expect(row).to_contain_text("/replicas")
    await expect(row.get_by_role("link")).to_have_attribute("href", "#/configurations/shop/many")
    await expect(dialog.get_by_text("Not proven to be backward compatible: 1 part")).to_be_visible()
    await expect(dialog.get_by_text("/properties/replicas")).to_be_visible()
    await expect(dialog.get_by_text("Closed: the service adds 1 keyword")).to_be_visible()
    await expect(dialog.locator(".cm-changedLine", has_text='"maximum": 5').first).to_be_visible()
    await expect(dialog.get_by_role("button", name="Create the version")).to_be_disabled()
    await dialog.get_by_role("radio", name="Pinned").check()
    await dialog.get_by_label("Reason").fill("less")
    await dialog.get_by_role("button", name="Create the version").click()
    await expect(page.get_by_role("heading", name="Version 2", exact=True)).to_be_visible()
    assert content((await get_version(http)).document)["additionalProperties"] is False
    assert (await get(http, "few")).schema.version == 1
    await page.get_by_role("link", name="with version 2").click()
    await expect(page).to_have_url(f"{console.origin}/#/schemas/web?from=1&version=2")
    await expect(page.get_by_role("heading", name="From version 1 to version 2")).to_be_visible()
    await expect(page.locator(".cm-changedLine").first).to_contain_text("maximum")


async def test_a_document_with_references_and_long_numbers_is_shown_and_changed_exactly(
    http: Service, console: Console
) -> None:
    page = console.page
    await create_schema(http)
    request = CreateSchemaRequest(name="tree", document_json=RECURSIVE, closing=CLOSING_AS_WRITTEN)
    await http.schemas.CreateSchema(request)
    await console.open("/schemas/tree")
    await expect(page.get_by_role("textbox", name="Document")).to_contain_text("configsvc://schemas/web@1")
    text = await shown(page, "Document")
    assert "9223372036854775807" in text
    assert json.loads(text) == json.loads(RECURSIVE)
    await page.get_by_role("link", name="New version").click()
    await replace_text(page, "Document as JSON", text.replace("854775807", "854775806"))
    await page.get_by_role("checkbox", name="Closed").uncheck()
    await page.get_by_role("button", name="Check its effect …").click()
    await expect(page.get_by_text("No configuration has this schema")).to_be_visible()
    # Somebody else is faster.
    await create_version(http, REPLICAS, "tree")
    await page.get_by_role("button", name="Create the version").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Somebody changed it meanwhile")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Keep my text, and compare it with version 2").click()
    await page.get_by_role("button", name="Check its effect …").click()
    await page.get_by_role("button", name="Create the version").click()
    await expect(page.get_by_role("heading", name="Version 3", exact=True)).to_be_visible()
    await expect(page.get_by_role("textbox", name="Document")).to_contain_text("9223372036854775806")


async def test_configurations_migrate_after_a_dry_run_that_showed_each_before_and_after(
    http: Service, console: Console
) -> None:
    page = console.page
    await create_schema(http)
    for name, replicas in (("few", 3), ("many", 9)):
        await create(http, name, {"replicas": replicas}, schema=SchemaVersionRef(schema="web", version=1))
    await console.open("/schemas/web/new-version")
    await replace_text(page, "Document as JSON", json.dumps(AT_MOST_5))
    await page.get_by_role("button", name="Check its effect …").click()
    await page.get_by_role("radio", name="Pinned").check()
    await page.get_by_role("button", name="Create the version").click()
    await page.get_by_role("link", name="Migrate configurations").click()
    await page.get_by_label("Application", exact=True).fill("shop")
    await page.get_by_role("button", name="Try it (dry run)").click()
    tried = page.get_by_role("region", name="Dry run")
    await expect(tried.get_by_role("status").filter(has_text="failed")).to_be_visible()
    await expect(tried.get_by_role("row", name="shop/many")).to_contain_text("/replicas")
    await expect(page.get_by_role("button", name="Migrate", exact=True)).to_be_disabled()
    await page.get_by_label("Change the contents by").select_option("merge_patch")
    await replace_text(page, "Patch as JSON", '{"replicas": 4}')
    await expect(page.get_by_text("You changed something since")).to_be_visible()
    await page.get_by_role("button", name="Try it (dry run)").click()
    await expect(tried.get_by_role("status").filter(has_text="succeeded")).to_be_visible()
    row = tried.get_by_role("row", name="shop/many")
    await expect(row).to_contain_text("would be changed")
    await row.get_by_text("Before and after").click()
    await expect(row.locator(".cm-changedLine").last).to_contain_text('"replicas": 4')
    await page.get_by_label("Reason").fill("less")
    await page.get_by_role("button", name="Migrate", exact=True).click()
    await expect(page.get_by_role("heading", name="Operation: migration")).to_be_visible()
    await expect(page.get_by_text("2 changed")).to_be_visible()
    many = await get(http, "many")
    assert (many.schema.version, content(many.config)) == (2, {"replicas": 4})


async def test_a_viewer_reads_schemas_and_sees_no_button_that_changes_them(
    database_url: str, browser: Browser, psql: Session, tmp_path: Path
) -> None:
    await application(psql)
    settings = oidc_settings(tmp_path, http_listen="127.0.0.1:0")
    async with (
        running_service(database_url, **settings) as service,
        console_of(browser, f"http://{service.http_address}") as console,
    ):
        shop = ApplicationRef(name="shop")
        viewer = CreateRoleBindingRequest(principal="user:vi", role=ROLE_VIEWER, application=shop)
        await service.access.CreateRoleBinding(viewer, metadata=bearing("root"))
        request = CreateSchemaRequest(name="web", document=struct(REPLICAS))
        await service.schemas.CreateSchema(request, metadata=bearing("root"))
        page = console.page
        await sign_in(console, "vi", "/schemas")
        await page.get_by_role("main").get_by_role("link", name="web").click()
        await expect(page.get_by_role("textbox", name="Document")).to_contain_text("replicas")
        for name in ("New schema", "New version", "Migrate configurations", "Delete"):
            await expect(page.get_by_text(name)).to_be_hidden()
        # Who knows the address is told which role it needs.
        await page.evaluate("() => { location.hash = '/schemas/web/new-version'; }")
        await expect(page.get_by_text("The role admin of all applications is needed")).to_be_visible()
        await page.get_by_role("link", name="Import and export").click()
        await expect(page.get_by_role("button", name="Export")).to_be_visible()
        await expect(page.get_by_text("Drag files here")).to_be_hidden()


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    await create_schema(http)
    for address in ("/schemas", "/schemas/web", "/schemas/web/new-version", "/schemas/web/migrate", "/new-schema"):
        await console.open(address)
        await expect(console.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(console.page.get_by_role("progressbar")).to_have_count(0)
        assert await console.axe() == [], address
