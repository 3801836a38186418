"""Pages that never change while the service runs: the OpenAPI document, and Swagger UI, which shows it."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from configsvc.web.exchange import Exchange, Headers
from configsvc.web.security_headers import PAGE_HEADERS

OPENAPI = "/api/v1/openapi.json"
DOCS = "/docs"
VERBS = ("GET", "HEAD")

_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The bytes of a page, plain and compressed."""

    content_type: bytes
    body: bytes
    compressed: bytes
    etag: bytes


class Pages:
    """All pages, by path, with or without a last slash."""

    def __init__(self) -> None:
        self._pages = _pages()

    def has(self, path: str) -> bool:
        """Return whether a page is at the path."""
        return path == "/" or path.rstrip("/") in self._pages

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Answer a request for a page. Raises InvalidRequestError."""
        if path == "/":
            await exchange.answer(302, b"", [(b"location", DOCS.encode()), (b"cache-control", b"no-cache")])
            return
        page = self._pages[path.rstrip("/")]
        if path.startswith(DOCS):
            exchange.security = PAGE_HEADERS
        known = exchange.header(b"if-none-match") or ""
        if page.etag.decode() in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            await exchange.start(304, _headers(page))
            await exchange.write(b"", more=False)
            return
        compressed = exchange.takes_gzip()
        body = page.compressed if compressed else page.body
        await exchange.start(200, [*_headers(page), *_body_headers(page, body, compressed=compressed)])
        await exchange.write(b"" if exchange.scope["method"] == "HEAD" else body, more=False)


def _headers(page: Page) -> Headers:
    # Clients ask each time, and mostly get 304: a new version of the service shows at once.
    return [(b"cache-control", b"no-cache"), (b"vary", b"accept-encoding"), (b"etag", page.etag)]


def _body_headers(page: Page, body: bytes, *, compressed: bool) -> Headers:
    coding: Headers = [(b"content-encoding", b"gzip")] if compressed else []
    return [(b"content-type", page.content_type), (b"content-length", str(len(body)).encode()), *coding]


@cache
def _pages() -> Mapping[str, Page]:
    folder = Path(str(files("configsvc.web"))) / "docs"
    vendored = folder / "swagger-ui"
    shown = [path for path in (*folder.iterdir(), *vendored.iterdir()) if path.suffix in _TYPES]
    return {
        OPENAPI: _page(Path(str(files("configapi"))) / "openapi.json"),
        DOCS: _page(folder / "index.html"),
        **{f"{DOCS}/{path.name}": _page(path) for path in shown},
    }


def _page(path: Path) -> Page:
    body = path.read_bytes()
    return Page(
        content_type=_TYPES[path.suffix],
        body=body,
        compressed=gzip.compress(body, compresslevel=1, mtime=0),
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode(),
    )
