"""The pages of the HTTP door: the OpenAPI document and Swagger UI."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.identity.tokens import oidc_settings
from tests.service import Service, running_service

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "generated" / "configapi" / "openapi.json"
DOCS = ROOT / "configsvc" / "web" / "docs"
OPENAPI = "/api/v1/openapi.json"
PAGES = [
    "/",
    "/console.json",
    "/docs",
    "/docs/",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/docs/start.js",
    OPENAPI,
]


@pytest.fixture
async def client(http: Service) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{http.http_address}", trust_env=False) as opened:
        yield opened


async def test_the_document_is_the_one_that_was_generated(client: httpx.AsyncClient) -> None:
    answer = await client.get(OPENAPI)
    assert answer.content == GENERATED.read_bytes()
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_compressed_for_those_who_take_it_and_sent_once(client: httpx.AsyncClient, path: str) -> None:
    plain = await client.get(path, headers={"accept-encoding": "identity"})
    compressed = await client.get(path, headers={"accept-encoding": "gzip"})
    assert (plain.status_code, plain.headers.get("content-encoding")) == (200, None)
    assert (compressed.content, compressed.headers["content-encoding"]) == (plain.content, "gzip")
    known = await client.get(path, headers={"if-none-match": plain.headers["etag"]})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", plain.headers["etag"])
    other = await client.get(path, headers={"if-none-match": '"another"'})
    assert other.status_code == 200
    head = await client.head(path, headers={"accept-encoding": "identity"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(plain.content)))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_takes_no_other_verb(client: httpx.AsyncClient, path: str) -> None:
    refused = await client.post(path, json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/docs/LICENSE", "/docs/index.html/x", "/docs/../pages.py", "/docs/%2e%2e/pages.py", "/docs/swagger-ui"]
)
async def test_nothing_else_is_served_from_the_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_root_is_the_console_and_its_files_are_kept_for_ever(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert (page.headers["content-type"], page.headers["cache-control"]) == ("text/html; charset=utf-8", "no-cache")
    names = re.findall(r'(?:src|href)="(assets/[^"]*)"', page.text)
    assert len(names) == 3
    for name in names:
        file = await client.get(f"/{name}")
        kept = "no-cache" if name.endswith("icon.svg") else "public, max-age=31536000, immutable"
        assert (file.status_code, file.headers["cache-control"]) == (200, kept)


async def test_the_console_runs_no_foreign_script_and_calls_nobody_but_the_service(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'" in policy
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page.text) == [""]
    assert "style=" not in page.text


async def test_the_console_is_told_how_to_sign_in_and_may_call_the_provider(database_url: str, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path, console_client_id="console", console_origins="https://tokens.example")
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **settings) as service,
        httpx.AsyncClient(base_url=f"http://{service.http_address}", trust_env=False) as client,
    ):
        given = (await client.get("/console.json")).json()
        assert (given["authentication"], given["client_id"], given["scope"]) == (["oidc"], "console", "openid")
        policy = (await client.get("/")).headers["content-security-policy"]
        issuer = given["issuer"].rstrip("/")
        assert f"connect-src 'self' {issuer} https://tokens.example;" in policy


async def test_pages_run_no_script_but_those_of_the_service_and_the_api_none(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert (await client.get(OPENAPI)).headers.get_list("content-security-policy") == [
        "default-src 'none'; frame-ancestors 'none'"
    ]
    page = (DOCS / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == ["", ""]
    assert "style=" not in page
    # Every address is one of this service.
    assert all(address.startswith("/") for address in re.findall(r'(?:src|href)="([^"]*)"', page))


async def test_pages_need_no_token_where_the_api_needs_one(database_url: str, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path)
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", **settings) as service,
        httpx.AsyncClient(base_url=f"http://{service.http_address}", trust_env=False) as client,
    ):
        assert [(await client.get(path)).status_code for path in PAGES] == [200] * len(PAGES)
        assert (await client.get("/api/v1/applications")).status_code == 401


async def test_a_page_of_another_site_cannot_read_the_document(client: httpx.AsyncClient) -> None:
    assert (await client.get(OPENAPI, headers={"origin": "https://evil.example"})).status_code == 403


def test_what_is_vendored_has_its_licence() -> None:
    folder = DOCS / "swagger-ui"
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert {path.name for path in folder.iterdir()} == {
        *("LICENSE", "NOTICE", "favicon-32x32.png"),
        *("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt"),
    }
