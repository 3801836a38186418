"""A headless Chromium for all tests of a worker, and the consoles that it shows."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

CHROMIUM = shutil.which("chromium")
LIMIT_MILLISECONDS = 20_000
# The five seconds of Playwright are too few for a machine that does something else.
expect.set_options(timeout=LIMIT_MILLISECONDS)
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--remote-debugging-port=0",
    # No name is looked up: all addresses that pages use are of this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
_RUN_AXE = """
() => axe.run(document, {runOnly: matchMedia("(prefers-color-scheme: dark)").matches
  ? {type: "rule", values: ["color-contrast"]}
  : {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}})
"""
# What a page says itself about a request that failed is wanted: tests provoke errors.
_WANTED = "Failed to load resource"


@contextmanager
def running_chromium() -> Generator[str]:
    """Run a Chromium; yield the address of its debugger."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, *ARGUMENTS, f"--user-data-dir={folder}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stderr is not None
                yield next(found[1] for line in process.stderr if (found := _LISTENING.search(line)))
            finally:
                process.terminate()
                process.wait()


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
        """Return what axe finds against WCAG 2 AA on the page as it is; in the dark, only about contrasts: nothing else
        differs there.
        """
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: Any = await self.page.evaluate(_RUN_AXE)
        return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[Browser]:
    """Yield the browser at the address of its debugger."""
    async with async_playwright() as playwright:
        yield await playwright.chromium.connect_over_cdp(address)


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
