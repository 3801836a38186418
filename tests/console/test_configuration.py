"""A configuration in the console: shown, edited as a form and as text, published, merged, deleted and restored."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog, Locator, Page, expect

from configapi.v1.access_service_pb2 import ROLE_VIEWER, CreateRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest, DeleteConfigurationRequest
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import content, create, delete, get, key, patch
from tests.console.chromium import AXE, Console, console_of
from tests.console.signing_in import sign_in
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, application

pytestmark = pytest.mark.timeout(120)
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer", "minimum": 1, "default": 7},
        "name": {"type": "string"},
        "tls": {"type": "object", "properties": {"port": {"type": "integer"}}},
    },
    "required": ["replicas"],
}


async def limits(http: Service, **config: object) -> None:
    """Create the schema limits, and shop/web with it."""
    await http.schemas.CreateSchema(CreateSchemaRequest(name="limits", document=struct(SCHEMA)))
    pin = SchemaVersionRef(schema="limits")
    await create(http, "web", dict(config) or {"replicas": 3}, schema=pin, reason="first steps")  # pyright: ignore[reportArgumentType]


def text_of(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Content as JSON")


async def type_text(page: Page, text: str) -> None:
    """Replace the text of the editor."""
    await text_of(page).click()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.insert_text(text)


async def publish(page: Page, reason: str) -> None:
    await page.get_by_role("button", name="Publish …").click()
    await page.get_by_label("Reason").fill(reason)
    await page.get_by_role("button", name="Publish", exact=True).click()


async def test_a_change_in_the_form_is_shown_before_it_is_published_with_its_reason(
    http: Service, console: Console
) -> None:
    await limits(http)
    page = console.page
    await console.open("/configurations/shop/web")
    await expect(page.get_by_text("first steps")).to_be_visible()
    await expect(page.get_by_text("limits, version 1")).to_be_visible()
    await page.keyboard.press("e")
    await page.get_by_label("replicas").fill("5")
    await expect(text_of(page)).to_contain_text('"replicas": 5')
    await expect(page.get_by_text("The service accepts this content")).to_be_visible()
    await page.get_by_role("button", name="Publish …").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("version 1", exact=True)).to_be_visible()
    await expect(dialog.locator(".cm-changedLine").first).to_contain_text("3")
    await page.get_by_label("Reason").fill("more load")
    await page.get_by_label("Change request").fill("OPS-7")
    await page.get_by_role("button", name="Publish", exact=True).click()
    await expect(page.get_by_text("more load (OPS-7)")).to_be_visible()
    # The form has added no default, and no member that nobody filled in.
    assert content((await get(http, "web")).config) == {"replicas": 5}


async def test_faults_are_shown_at_the_field_and_at_the_line_and_cannot_be_published(
    http: Service, console: Console
) -> None:
    await limits(http)
    page = console.page
    await console.open("/configurations/shop/web/edit")
    await type_text(page, json.dumps({"replicas": 0, "tls": {"port": "x"}}, indent=2))
    alert = page.get_by_role("main").get_by_role("alert")
    await expect(alert).to_contain_text("2 faults")
    await expect(alert).to_contain_text("/tls/port")
    await expect(page.locator(".schema-form .text-danger")).to_have_count(2)
    await expect(page.locator(".cm-lintRange-error")).to_have_text(['"replicas": 0', '"port": "x"'])
    await expect(page.get_by_role("button", name="Publish …")).to_be_disabled()
    # The text is checked as it was typed, not as a browser reads it.
    await type_text(page, '{"replicas": 1, "replicas": 2, "n": 12345678901234567890, "m": 0.1000000000000000055}')
    await expect(alert).to_contain_text("3 faults")
    await expect(alert).to_contain_text("/replicas: is there more than once")
    await expect(alert).to_contain_text("/n: is 12345678901234567890")
    await expect(alert).to_contain_text("/m: is the number 0.1000000000000000055")
    await type_text(page, '{"replicas": }')
    await expect(alert).to_contain_text("This is not JSON")
    await expect(page.locator(".cm-lintRange-error")).to_have_text("}")
    await expect(page.get_by_text("The form shows the content again")).to_be_visible()


async def test_two_browsers_that_change_one_configuration_end_with_both_changes(
    http: Service, browser: Browser, console: Console
) -> None:
    await limits(http, replicas=3, name="old")
    async with console_of(browser, console.origin) as other:
        for tab in (console, other):
            await tab.open("/configurations/shop/web/edit")
            await expect(text_of(tab.page)).to_contain_text('"replicas": 3')
        page = console.page
        await type_text(page, json.dumps({"replicas": 3, "name": "mine", "tls": {"port": 443}}))
        await type_text(other.page, json.dumps({"replicas": 4, "name": "theirs"}))
        await publish(other.page, "theirs")
        await expect(other.page.get_by_text("theirs").first).to_be_visible()
        await expect(page.get_by_text("Version 2 was published since you began")).to_be_visible()
        await publish(page, "both of us")
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Somebody changed it meanwhile")
        await page.get_by_role("dialog").get_by_role("button", name="Merge both changes").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("because: theirs")
        await expect(dialog.get_by_role("group", name="/name")).to_contain_text('It was "old"')
        await dialog.get_by_label('mine: "mine"').check()
        await page.get_by_role("button", name="Go on with the merged content").click()
        await page.get_by_role("button", name="Publish …").click()
        # What was typed before the conflict is still there.
        await expect(page.get_by_label("Reason")).to_have_value("both of us")
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text("both of us").first).to_be_visible()
    merged = content((await get(http, "web")).config)
    assert merged == {"replicas": 4, "name": "mine", "tls": {"port": 443}}


async def test_a_draft_outlives_its_screen_and_holds_the_page_and_says_when_somebody_else_publishes(
    http: Service, console: Console
) -> None:
    await create(http, "web", {"n": 1})
    page = console.page
    await console.open("/configurations/shop/web/edit")
    await expect(page.get_by_text("because it has no schema")).to_be_visible()
    await type_text(page, '{"n": 2}')
    await page.get_by_role("link", name="shop/web").click()
    await expect(page.get_by_role("link", name="Go on with your draft from version 1")).to_be_visible()
    asked = asyncio.Event()

    async def stay(dialog: Dialog) -> None:
        assert dialog.type == "beforeunload"
        await dialog.dismiss()
        asked.set()

    page.once("dialog", stay)
    await page.evaluate("() => { setTimeout(() => location.reload()); }")
    await asyncio.wait_for(asked.wait(), 20)
    await patch(http, "web", {"m": 1}, reason="meanwhile")
    await expect(page.get_by_text("meanwhile")).to_be_visible()
    await page.get_by_role("link", name="Go on with your draft").click()
    await expect(text_of(page)).to_contain_text('{"n": 2}')
    await expect(page.get_by_text("Version 2 was published since you began")).to_be_visible()
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("link", name="Edit", exact=True)).to_be_visible()


async def test_a_configuration_is_created_copied_renamed_deleted_and_restored(http: Service, console: Console) -> None:
    page = console.page
    await console.open("/new-configuration?application=shop")
    await page.get_by_label("Name", exact=True).fill("team/web")
    await type_text(page, '{"n": 1}')
    await page.get_by_label("Reason").fill("new")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="shop/team/web")).to_be_visible()
    await page.get_by_role("link", name="Copy").click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("team/web-copy")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="shop/team/web-copy")).to_be_visible()
    await page.get_by_role("button", name="Rename, comment, pin").click()
    await page.get_by_label("Name", exact=True).fill("copy")
    await page.get_by_role("button", name="Change", exact=True).click()
    await expect(page.get_by_role("heading", name="shop/copy")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("It was deleted")).to_be_visible()
    await page.get_by_role("button", name="Undelete …").click()
    await page.get_by_role("button", name="Undelete", exact=True).click()
    await expect(page.get_by_role("link", name="Edit", exact=True)).to_be_visible()
    assert content((await get(http, "copy")).config) == {"n": 1}


async def test_a_form_changes_what_is_typed_in_it_alone(http: Service, console: Console) -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "day": {"type": "string", "format": "date"},
            "when": {"type": "string", "format": "date-time"},
            "empty": {"type": "string"},
            "nothing": {"type": "null"},
            "mode": {"enum": ["b", "a"], "default": "c"},
            "tags": {"type": "array", "uniqueItems": True, "items": {"enum": ["x", "y"]}},
            "server": {
                "type": "object",
                "properties": {"deep": {"type": "object", "properties": {"host": {"type": "string"}}}},
            },
        },
        "additionalProperties": True,
        "if": {"properties": {"mode": {"const": "a"}}},
        "then": {"properties": {"only-a": {"type": "string"}}},
    }
    given: JsonObject = {
        "text": "one\ntwo",
        "day": "2026-12-01",
        "when": "2026-12-01T10:00:00.123456+02:00",
        "empty": "",
        "mode": "a",
        "only-a": "k",
        "tags": ["y", "x"],
    }
    await http.schemas.CreateSchema(CreateSchemaRequest(name="harmless", document=struct(schema)))
    await create(http, "web", given, schema=SchemaVersionRef(schema="harmless"))
    page = console.page
    await console.open("/configurations/shop/web/edit")
    for label in ("text", "day", "when", "empty", "host"):
        await page.get_by_label(label, exact=True).press("End")
        await page.keyboard.type("!")
        await expect(page.get_by_role("button", name="Discard")).to_be_visible()
        await page.keyboard.press("Backspace")
        await expect(page.get_by_role("button", name="Back"), label).to_be_visible()
    await page.get_by_label("mode", exact=True).select_option(label="b")
    await expect(text_of(page)).to_contain_text('"mode": "b"')
    await page.get_by_label("text", exact=True).press("ControlOrMeta+End")
    await page.keyboard.type("!")
    await expect(page.get_by_text("The service accepts this content")).to_be_visible()
    await publish(page, "typed")
    await expect(page.get_by_text("typed")).to_be_visible()
    assert content((await get(http, "web")).config) == {**given, "mode": "b", "text": "one\ntwo!"}


async def test_a_configuration_says_who_changed_it_while_it_was_read(http: Service, console: Console) -> None:
    await create(http, "web", {"n": 1})
    page = console.page
    await console.open("/configurations/shop/web")
    await expect(page.get_by_text("live at revision")).to_be_visible()
    await patch(http, "web", {"n": 2})
    await expect(page.get_by_text("anonymous made version 2 while you read version 1")).to_be_visible()
    await expect(page.get_by_label("Content", exact=True)).to_contain_text('"n": 2')
    # What a dialog was opened for is what it changes, whatever somebody else makes of it meanwhile.
    await page.get_by_role("button", name="Delete").click()
    await patch(http, "web", {"n": 3})
    await expect(page.get_by_text("made version 3 while you read")).to_be_attached()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Somebody changed it meanwhile")
    assert content((await get(http, "web")).config) == {"n": 3}


async def test_a_viewer_sees_no_button_that_changes_a_configuration(
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
        for name in ("web", "gone"):
            await service.configurations.CreateConfiguration(
                CreateConfigurationRequest(application=shop, name=name, config=struct({"n": 1})),
                metadata=bearing("root"),
            )
        await service.configurations.DeleteConfiguration(
            DeleteConfigurationRequest(key=key("gone")), metadata=bearing("root")
        )
        await sign_in(console, "vi", "/configurations/shop/web")
        main = console.page.get_by_role("main")
        for address, shown in (
            ("/configurations/shop/web", "live at revision"),
            ("/configurations/shop/gone", "It was deleted"),
            ("/configurations/shop/web/edit", "The role editor of shop is needed"),
            ("/new-configuration?application=shop", "The role editor of shop is needed"),
        ):
            await console.page.evaluate("address => { location.hash = address; }", address)
            await expect(main.get_by_text(shown).first).to_be_visible()
            assert await main.get_by_role("button").all_inner_texts() == [], address
            assert await main.get_by_role("link", name=re.compile("Edit|Copy")).count() == 0, address


# Each sets `document.title` to PWNED where it is taken for markup or for a script.
HOSTILE = (
    "<img src=x onerror=document.title='PWNED'>",
    "</script><script>document.title='PWNED'</script>",
    "[x](javascript:document.title='PWNED')",
    "{{constructor.constructor('document.title=`PWNED`')()}}",
)


async def test_no_text_of_a_configuration_or_its_schema_becomes_markup(http: Service, console: Console) -> None:
    page = console.page
    every = " ".join(HOSTILE)
    schema: JsonObject = {
        "type": "object",
        "title": every,
        "description": every,
        "properties": {
            **{text: {"type": "string", "description": text, "default": text, "maxLength": 99} for text in HOSTILE},
            "choice": {"enum": [*HOSTILE], "title": every},
            "odd": {"description": every},
        },
    }
    await http.schemas.CreateSchema(CreateSchemaRequest(name="hostile", document=struct(schema)))
    given: JsonObject = {text: text for text in HOSTILE}
    pin = SchemaVersionRef(schema="hostile")
    await create(http, "web", given, schema=pin, comments=every, reason=every, change_request=HOSTILE[0])
    await console.open("/configurations/shop/web")
    await expect(page.get_by_role("definition").get_by_text(every).first).to_be_visible()
    await page.get_by_role("link", name="Edit", exact=True).click()
    for text in HOSTILE:
        await page.get_by_role("textbox", name=text, exact=True).fill(text + "x" * 100)
    await expect(page.locator(".schema-form .text-danger")).to_have_count(len(HOSTILE))
    for text in HOSTILE:
        await page.get_by_role("textbox", name=text, exact=True).fill(text + "x")
    await publish(page, every)
    await expect(page.get_by_role("link", name="Edit", exact=True)).to_be_visible()
    await delete(http, "web", reason=every)
    await expect(page.get_by_text("It was deleted")).to_be_visible()
    await expect(page).not_to_have_title(re.compile("PWNED"))
    assert await page.locator("main img, main script, main a[href^=javascript]").count() == 0


@pytest.mark.skipif(not AXE.exists(), reason="needs the packages of the console: make console")
async def test_axe_finds_nothing(http: Service, console: Console) -> None:
    await limits(http, replicas=3, tls={"port": 1})
    for address in ("/configurations/shop/web", "/configurations/shop/web/edit", "/new-configuration"):
        await console.open(address)
        await expect(console.page.locator(".cm-content")).to_be_visible()
        assert await console.axe() == [], address
    await console.open("/configurations/shop/web/edit")
    await console.page.get_by_label("replicas").fill("4")
    await console.page.get_by_role("button", name="Publish …").click()
    await expect(console.page.locator(".cm-changedLine").first).to_be_visible()
    assert await console.axe() == []
    await console.page.keyboard.press("Escape")
    await console.page.get_by_role("button", name="Discard").click()
