"""The console in a tab of Chromium, and what the browser and axe complain about."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Page, expect

LIMIT_MILLISECONDS = 20_000
# The five seconds of Playwright are too few for a machine that does something else.
expect.set_options(timeout=LIMIT_MILLISECONDS)
AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What a page says itself about a request that failed is wanted: tests provoke errors.
_WANTED = "Failed to load resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A tab with the console of a service, and what the browser complained about."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list[str])

    async def open(self, address: str = "", **options: Any) -> None:
        """Open a screen by its address behind the #."""
        await self.page.goto(f"{self.origin}/{'#' + address if address else ''}", **options)

    async def axe(self) -> list[str]:
        """Return what axe finds against WCAG 2 AA on the page as it is, and about its contrasts in the dark: nothing
        else differs there.
        """
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        in_the_light = await self._run_axe("light", {"type": "tag", "values": WCAG})
        in_the_dark = await self._run_axe("dark", {"type": "rule", "values": ["color-contrast"]})
        return in_the_light + in_the_dark

    async def _run_axe(self, scheme: Literal["dark", "light"], only: dict[str, Any]) -> list[str]:
        await self.page.emulate_media(color_scheme=scheme)
        found: Any = await self.page.evaluate("only => axe.run(document, {runOnly: only})", only)
        return [f"{scheme}: {one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


@asynccontextmanager
async def console_of(browser: Browser, origin: str, **context_options: Any) -> AsyncGenerator[Console]:
    """Yield a console in a profile of its own. Fail if the browser complained about the page."""
    context = await browser.new_context(**context_options)
    context.set_default_timeout(LIMIT_MILLISECONDS)
    try:
        console = Console(page=await context.new_page(), origin=origin)

        def note(message: ConsoleMessage) -> None:
            if message.type == "error" and not message.text.startswith(_WANTED):
                console.complaints.append(message.text)

        console.page.on("console", note)
        console.page.on("pageerror", lambda error: console.complaints.append(str(error)))
        yield console
        assert console.complaints == []
    finally:
        await context.close()
