"""A headless Chromium, the one of the system, for all tests of a worker."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from playwright.async_api import Browser, async_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    # Whatever a browser does on its own, or puts off in windows that nobody looks at.
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-hang-monitor",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--remote-debugging-port=0",
    # No name is looked up: all addresses that pages use are of this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


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


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[Browser]:
    """Yield the browser at the address of its debugger."""
    async with async_playwright() as playwright:
        yield await playwright.chromium.connect_over_cdp(address)
