"""Pages in Chromium, with a record of what they ask and complain about, and a site of others."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page

LIMIT_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A page with a record of its requests, and of what it complained about in its console."""

    page: Page
    requests: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])

    @property
    def hosts(self) -> set[str]:
        """The hosts that the page asked for something."""
        return {urlsplit(url).netloc for url in self.requests if not url.startswith(("data:", "blob:"))}


@asynccontextmanager
async def tab(browser: Browser) -> AsyncGenerator[Tab]:
    """Yield an empty page of a profile of its own."""
    context = await browser.new_context()
    try:
        context.set_default_timeout(LIMIT_MILLISECONDS)
        opened = Tab(page=await context.new_page())
        context.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        yield opened
    finally:
        await context.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is that of the library
        pass


@contextmanager
def other_site(folder: Path) -> Generator[str]:
    """Serve an empty page; yield its origin."""
    (folder / "index.html").write_text("<!DOCTYPE html><title>another site</title>", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
