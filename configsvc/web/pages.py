"""Pages that never change while the service runs: the console, the OpenAPI document, and Swagger UI, which shows it."""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from configsvc.web.console import SETTINGS, ConsoleSettings, console_files
from configsvc.web.exchange import Exchange, Headers
from configsvc.web.security_headers import PAGE_HEADERS, SECURITY_HEADERS, SecurityHeaders, console_headers

OPENAPI = "/api/v1/openapi.json"
DOCS = "/docs"
VERBS = ("GET", "HEAD")

_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
}
_CHECKED_EACH_TIME = b"no-cache"
# The names of these files have a digest.
_KEPT = b"public, max-age=31536000, immutable"


@dataclass(slots=True, kw_only=True)
class Page:
    """The bytes of a page, and how long browsers keep it."""

    content_type: bytes
    body: bytes
    etag: bytes
    kept: bytes
    security: SecurityHeaders
    compressed: bytes = b""

    async def gzipped(self) -> bytes:
        """Return the compressed bytes. The first request for them makes them, in a thread: a start need not wait."""
        if not self.compressed:
            self.compressed = await asyncio.to_thread(gzip.compress, self.body, compresslevel=6, mtime=0)
        return self.compressed


class Pages:
    """All pages, by path, with or without a last slash."""

    def __init__(self, console: ConsoleSettings) -> None:
        self._pages = {**_pages(), **_console_pages(console)}

    def has(self, path: str) -> bool:
        """Return whether a page is at the path."""
        return _plain(path) in self._pages

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Answer a request for a page. Raises InvalidRequestError."""
        page = self._pages[_plain(path)]
        exchange.security = page.security
        known = exchange.header(b"if-none-match") or ""
        if page.etag.decode() in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            await exchange.start(304, _headers(page))
            await exchange.write(b"", more=False)
            return
        compressed = exchange.takes_gzip()
        body = await page.gzipped() if compressed else page.body
        await exchange.start(200, [*_headers(page), *_body_headers(page, body, compressed=compressed)])
        await exchange.write(b"" if exchange.scope["method"] == "HEAD" else body, more=False)


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"


def _headers(page: Page) -> Headers:
    return [(b"cache-control", page.kept), (b"vary", b"accept-encoding"), (b"etag", page.etag)]


def _body_headers(page: Page, body: bytes, *, compressed: bool) -> Headers:
    coding: Headers = [(b"content-encoding", b"gzip")] if compressed else []
    return [(b"content-type", page.content_type), (b"content-length", str(len(body)).encode()), *coding]


@cache
def _pages() -> Mapping[str, Page]:
    folder = Path(str(files("configsvc.web"))) / "docs"
    vendored = folder / "swagger-ui"
    shown = [path for path in (*folder.iterdir(), *vendored.iterdir()) if path.suffix in _TYPES]
    return {
        OPENAPI: _file(Path(str(files("configapi"))) / "openapi.json", SECURITY_HEADERS),
        DOCS: _file(folder / "index.html", PAGE_HEADERS),
        **{f"{DOCS}/{path.name}": _file(path, PAGE_HEADERS) for path in shown},
    }


@cache
def _console_pages(console: ConsoleSettings) -> Mapping[str, Page]:
    security = console_headers(console.connections())
    shown = {path: _file(file, security, kept=_kept(path)) for path, file in console_files().items()}
    return {**shown, SETTINGS: _page(_TYPES[".json"], console.document(), SECURITY_HEADERS, _CHECKED_EACH_TIME)}


def _kept(path: str) -> bytes:
    # Clients ask each time for the others, and mostly get 304: a new version of the service shows at once.
    return _KEPT if "-" in path else _CHECKED_EACH_TIME


def _file(path: Path, security: SecurityHeaders, kept: bytes = _CHECKED_EACH_TIME) -> Page:
    return _page(_TYPES[path.suffix], path.read_bytes(), security, kept)


def _page(content_type: bytes, body: bytes, security: SecurityHeaders, kept: bytes) -> Page:
    return Page(
        content_type=content_type,
        body=body,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode(),
        kept=kept,
        security=security,
    )
