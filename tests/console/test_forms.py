"""Forms that do no harm: real configurations with real schemas."""

from collections import Counter

import pytest
from playwright.async_api import Page, expect

from demo.files import CORPUS
from tests.console.chromium import Console
from tests.domain.jsonschema.corpus import needs_corpus
from tests.operations.operating import imported, result_of
from tests.operations.test_imports_exported import real_items
from tests.schemas.calls import calls_of
from tests.service import Service

# One page opens all of them.
pytestmark = [pytest.mark.timeout(600), needs_corpus]


async def look_at(page: Page, address: str) -> str:
    """Open a configuration for editing; return whether it is a form, and what became of its content."""
    await page.evaluate("address => { location.hash = address; }", address)
    await expect(page.get_by_role("heading", name="Edit")).to_contain_text(address.split("/")[3].replace("%2F", "/"))
    await expect(page.get_by_role("textbox", name="Content as JSON")).to_be_visible()
    form = page.locator(".schema-form")
    await expect(form.or_(page.get_by_text("It is edited as text")).first).to_be_visible()
    if not await form.count():
        return "text"
    await expect(page.get_by_text("The service accepts this content")).to_be_visible()
    if await page.get_by_role("button", name="Discard").count():
        return f"changed by opening: {address}"
    fields = form.locator("input[type=text]:enabled:not([readonly], [id$='-key'])")
    for field in await fields.all():
        if not await field.input_value():
            continue
        # One character more, and it is gone again: whatever the form adds on its own would stay.
        await field.press("End")
        await page.keyboard.type("x")
        await expect(page.get_by_role("button", name="Discard")).to_be_visible()
        await page.keyboard.press("Backspace")
        if await page.get_by_role("button", name="Discard").count():
            return f"changed by a key: {address}"
        break
    return "form"


async def test_opening_a_form_and_leaving_it_changes_no_real_configuration(http: Service, console: Console) -> None:
    for request in calls_of(CORPUS):
        await http.schemas.ImportSchemas(request)
    items = list(real_items("valid"))
    assert result_of(await imported(http, *items, size=200)).created_count == len(items)
    await console.open("/status")
    found: Counter[str] = Counter()
    as_text: set[str] = set()
    for item in items:
        # The schema alone decides, so one configuration shows it for all others.
        if item.schema.schema not in as_text:
            kind = await look_at(console.page, f"/configurations/shop/{item.name.replace('/', '%2F')}/edit")
            found[kind] += 1
            if kind == "text":
                as_text.add(item.schema.schema)
    print(found)
    assert found.keys() == {"form", "text"}
    # The form warns of schemas whose defaults are none of their values.
    assert [one for one in console.complaints if not one.startswith("The schema default value")] == []
    console.complaints.clear()
