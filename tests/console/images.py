"""The pictures of the guide: `make console-images` takes them of a real service."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from configapi.v1.access_service_pb2 import ROLE_EDITOR, ROLE_VIEWER, CreateRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import WatchInstance
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import create, create_application, patch
from tests.console.chromium import Console
from tests.operations.operating import imported, item
from tests.service import Service, struct
from tests.watch.changing import selector, watching
from tests.watch.recording import recorded

pytestmark = pytest.mark.timeout(180)
FOLDER = Path(__file__).parents[2] / "docs" / "guide" / "images"
SIZE = {"width": 1100, "height": 720}
SCHEMA: JsonObject = {
    "type": "object",
    "required": ["replicas"],
    "properties": {
        "replicas": {"type": "integer", "minimum": 1, "description": "How many run at once."},
        "timeout_seconds": {"type": "integer", "minimum": 1},
        "tls": {"type": "object", "properties": {"minimum": {"enum": ["1.2", "1.3"]}}},
    },
}
# The address of each screen, and what shows that it is whole.
SCREENS = {
    "configurations": ("/configurations", "section.virtual td"),
    "configuration": ("/configurations/shop/web", ".cm-content"),
    "edit": ("/configurations/shop/web/edit", ".schema-form input"),
    "history": ("/configurations/shop/web/history?from=2&to=3", ".cm-changedLine"),
    "blame": ("/configurations/shop/web/blame", "td"),
    "application": ("/applications/shop", "dl"),
    "past": ("/applications/shop/past?from=8", ".past-changes"),
    "schema": ("/schemas/service", ".cm-content"),
    "audit": ("/audit", "td"),
    "operations": ("/operations", "td"),
    "transfer": ("/transfer", "input[type=file]"),
    "access": ("/access", "td"),
    "status": ("/status", "td"),
}


async def filled(http: Service) -> None:
    await http.schemas.CreateSchema(CreateSchemaRequest(name="service", document=struct(SCHEMA)))
    pin = SchemaVersionRef(schema="service")
    for name in ("web", "checkout", "search"):
        content: JsonObject = {"replicas": 3, "timeout_seconds": 30, "tls": {"minimum": "1.2"}}
        await create(http, name, content, schema=pin, reason="first release")
    await create_application(http, "payments", comments="Cards and invoices")
    for name in ("limits", "flags", "eu/limits"):
        await create(
            http, name, {"per_day": 5000, "currency": "EUR"}, application="payments", reason="as in the contract"
        )
    await patch(http, "web", {"replicas": 6}, reason="the sale begins", change_request="OPS-118")
    await patch(http, "web", {"replicas": 12, "tls": {"minimum": "1.3"}}, reason="more load than expected")
    await imported(http, item("cache", {"replicas": 2}), item("mail", {"replicas": 1}))
    for principal, role in (("user:ada", ROLE_EDITOR), ("group:support", ROLE_VIEWER)):
        binding = CreateRoleBindingRequest(principal=principal, role=role, application=ApplicationRef(name="shop"))
        await http.access.CreateRoleBinding(binding)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pictures(http: Service, console: Console, scheme: str) -> None:
    await filled(http)
    FOLDER.mkdir(exist_ok=True)
    request = watching(selector("shop"))
    request.instance.CopyFrom(WatchInstance(id="web-7f9c4-x2x8k", program="shop-web", version="4.2.0"))
    page = console.page
    await page.set_viewport_size({"width": SIZE["width"], "height": SIZE["height"]})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    async with recorded(http, request) as watch:
        await watch.until_synced()
        await console.open()
        for name, (address, shown) in SCREENS.items():
            await page.evaluate("address => { location.hash = address; }", address)
            await expect(page.locator("main").locator(shown).first).to_be_visible()
            await expect(page.locator(".busy")).to_have_count(0)
            await page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
