"""Forms that do no harm: real configurations with real schemas."""

import json
import re
from collections import Counter

import pytest
from playwright.async_api import Locator, Page, expect

from demo.files import CORPUS
from tests.console.chromium import Console
from tests.domain.jsonschema.corpus import documents, needs_corpus
from tests.operations.operating import imported, result_of
from tests.operations.test_imports_exported import real_items
from tests.schemas.calls import calls_of
from tests.service import Service

# Of a schema that makes a form: twice as many, as white space counts here.
MOST_CHARACTERS = 100_000
UNION = re.compile(r'"(oneOf|anyOf)": \[|"type": \[')
# One page opens all of them.
pytestmark = [pytest.mark.timeout(600), needs_corpus]


async def look_at(page: Page, name: str) -> str:
    """Open a configuration for editing; type in its form, if it has one; return form, or text.

    Fail if that changed its content.
    """
    address = f"/configurations/shop/{name.replace('/', '%2F')}/edit"
    await page.evaluate("address => { location.hash = address; }", address)
    await page.get_by_role("heading", name=f"Edit shop/{name}", exact=True).wait_for()
    form = page.locator(".schema-form")
    await form.or_(page.get_by_text("It is edited as text")).first.wait_for()
    if not await form.count():
        return "text"
    await unchanged(page, name, "opening it")
    await type_and_undo(page, form)
    await unchanged(page, name, "a letter that was typed and deleted")
    return "form"


def schema_texts() -> dict[str, str]:
    return {name: json.dumps(document) for name, document in documents().items()}


async def type_and_undo(page: Page, form: Locator) -> None:
    """Type a letter and delete it again: what the form adds or drops on its own would show."""
    field = form.locator("input[type=text]:enabled:not([readonly], [id$='-key'])").first
    if not await field.count():
        return
    await field.press("End")
    await page.keyboard.type("x")
    await page.get_by_role("button", name="Discard").wait_for()
    await page.keyboard.press("Backspace")


async def unchanged(page: Page, name: str, cause: str) -> None:
    await expect(page.get_by_role("button", name="Back"), f"{cause} has changed {name}").to_be_visible()


async def test_opening_a_form_and_leaving_it_changes_no_real_configuration(http: Service, console: Console) -> None:
    for request in calls_of(CORPUS):
        await http.schemas.ImportSchemas(request)
    # Unions and large schemas are edited as text: the unit tests of formable.ts show it without a page of each.
    without_form = {name for name, text in schema_texts().items() if UNION.search(text) or len(text) > MOST_CHARACTERS}
    items = [one for one in real_items("valid") if one.schema.schema not in without_form]
    assert result_of(await imported(http, *items, size=200)).created_count == len(items)
    await console.open("/status")
    found = Counter[str]()
    for item in items:
        # A schema without a form makes none for any of its configurations.
        schema = item.schema.schema
        seen = "text" if schema in without_form else await look_at(console.page, item.name)
        if seen == "text":
            without_form.add(schema)
        found[seen] += 1
    print(found, len(without_form))
    assert found["form"] > 90
