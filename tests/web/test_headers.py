"""Headers of requests that stand for fields, and headers of answers."""

import gzip
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.api.calls import create_application
from tests.app.scraping import measured_service
from tests.postgres import cloned_database
from tests.service import running_service
from tests.web.faults import JSON, fields_in, reason_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEW = "/api/v1/applications/shop/configurations"
ALL = "/api/v1/configurations"
MISSES, HITS = "configsvc_cache_misses_total", "configsvc_cache_hits_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(postgres_server: str, template_database: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the HTTP door, for tests that each have names of their own."""
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, http_listen="127.0.0.1:0") as service,
    ):
        await create_application(service, "shop")
        assert service.http
        yield service.http.http


async def put(web: httpx.AsyncClient, name: str, text: str = "{}", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await web.put(f"{NEW}/{name}?allow_missing=true", content=text, headers=named)


# ETag and conditions


async def test_a_resource_has_an_etag_that_changes_with_its_version(web: httpx.AsyncClient) -> None:
    first = await put(web, "etag", '{"a":1}')
    assert first.headers["etag"] == f'"{first.json()["etag"]}"'
    assert (await web.get(f"{NEW}/etag")).headers["etag"] == first.headers["etag"]
    assert (await put(web, "etag", '{"a":2}')).headers["etag"] != first.headers["etag"]
    assert (await web.get("/api/v1/applications/shop")).headers["etag"]


@pytest.mark.parametrize("written", ["{}", "W/{}", '{} , "x"', '"x", W/{}', "*"])
async def test_a_client_that_has_the_version_gets_304_without_a_body(web: httpx.AsyncClient, written: str) -> None:
    etag = (await put(web, "known", '{"a":1}')).headers["etag"]
    for verb, path in (
        ("GET", f"{NEW}/known"),
        ("HEAD", f"{NEW}/known"),
        ("GET", f"{NEW}/known?version=1"),
        ("GET", f"{ALL}:byName?application=shop&name=known"),
    ):
        response = await web.request(verb, path, headers={"if-none-match": written.format(etag)})
        assert (response.status_code, response.content) == (304, b""), path
        assert response.headers["etag"] == etag
        assert "content-length" not in response.headers
        assert "content-type" not in response.headers


@pytest.mark.parametrize("written", ['"x"', "x", "", 'W/"x", "y"'])
async def test_a_client_that_has_another_version_gets_the_resource(web: httpx.AsyncClient, written: str) -> None:
    await put(web, "unknown", '{"a":1}')
    response = await web.get(f"{NEW}/unknown", headers={"if-none-match": written})
    assert (response.status_code, response.json()["config"]) == (200, {"a": 1})


async def test_304_of_a_missing_resource_is_404(web: httpx.AsyncClient) -> None:
    response = await web.get(f"{NEW}/missing", headers={"if-none-match": "*"})
    assert (response.status_code, reason_in(response)) == (404, "RESOURCE_NOT_FOUND")


async def test_a_head_has_the_headers_of_a_get_and_no_body(web: httpx.AsyncClient) -> None:
    await put(web, "head")
    get, head = await web.get(f"{NEW}/head"), await web.head(f"{NEW}/head")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
    assert (await web.head(f"{NEW}/none")).status_code == 404


@pytest.mark.parametrize("written", ["{}", "W/{}"])
async def test_if_match_lets_a_write_through_only_at_its_version(web: httpx.AsyncClient, written: str) -> None:
    etag = (await put(web, "match", json.dumps({"a": str(uuid4())}))).headers["etag"]
    headers = {"if-match": written.format(etag)}
    second = await web.put(f"{NEW}/match", content=json.dumps({"a": str(uuid4())}), headers=headers)
    assert second.status_code == 200
    for verb, path, body in (
        ("PUT", f"{NEW}/match", "{}"),
        ("PATCH", f"{NEW}/match", '{"b":1}'),
        ("DELETE", f"{NEW}/match", None),
        ("POST", f"{NEW}/match:rollback?version=1", None),
    ):
        response = await web.request(verb, path, content=body, headers=headers)
        assert (response.status_code, reason_in(response)) == (409, "VERSION_MISMATCH"), path
    response = await web.delete(f"{NEW}/match", headers={"if-match": second.headers["etag"]})
    assert response.status_code == 200


async def test_if_match_of_applications_and_schemas(web: httpx.AsyncClient) -> None:
    made = await web.post("/api/v1/applications", json={"name": "matched"})
    headers = {"if-match": made.headers["etag"]}
    path = "/api/v1/applications/matched"
    assert (await web.patch(path, json={"comments": "a"}, headers=headers)).status_code == 200
    assert (await web.patch(path, json={"comments": "b"}, headers=headers)).status_code == 409
    assert (await web.delete(path, headers=headers)).status_code == 409
    await web.post("/api/v1/schemas", json={"name": "matched", "document": {"type": "object"}})
    schema = await web.get("/api/v1/schemas/matched")
    wrong = {"if-match": '"x"'}
    assert (await web.delete("/api/v1/schemas/matched", headers=wrong)).status_code == 409
    right = {"if-match": schema.headers["etag"]}
    assert (await web.delete("/api/v1/schemas/matched", headers=right)).status_code == 200


async def test_if_match_any_means_that_it_exists(web: httpx.AsyncClient) -> None:
    any_ = {"if-match": "*"}
    assert (await web.put(f"{NEW}/any", content="{}", headers=any_)).status_code == 404
    assert fields_in(await web.put(f"{NEW}/any?allow_missing=true", content="{}", headers=any_)) == ["if-match"]
    await put(web, "any")
    assert (await web.put(f"{NEW}/any", content='{"a":1}', headers=any_)).status_code == 200


async def test_if_none_match_any_means_that_it_must_not_exist(web: httpx.AsyncClient) -> None:
    none = {"if-none-match": "*"}
    made = await web.put(f"{NEW}/first", content='{"a":1}', headers=none)
    assert (made.status_code, made.json()["version"]) == (200, "1")
    again = await web.put(f"{NEW}/first", content='{"a":2}', headers=none)
    assert (again.status_code, reason_in(again)) == (409, "VERSION_MISMATCH")


@pytest.mark.parametrize(
    ("verb", "path", "headers", "fields"),
    [
        ("PUT", f"{NEW}/c", {"if-match": "x"}, ["if-match"]),
        ("PUT", f"{NEW}/c", {"if-match": '"x", "y"'}, ["if-match"]),
        ("PUT", f"{NEW}/c", {"if-match": '""'}, ["if-match"]),
        ("PUT", f"{NEW}/c", {"if-match": ""}, ["if-match"]),
        ("PUT", f"{NEW}/c?configuration.etag=y", {"if-match": '"x"'}, ["if-match"]),
        ("DELETE", f"{NEW}/c?expected_etag=y", {"if-match": '"x"'}, ["if-match"]),
        ("PUT", f"{NEW}/c", {"if-none-match": '"x"'}, ["if-none-match"]),
        ("PUT", f"{NEW}/c?expected_version=3", {"if-none-match": "*"}, ["if-none-match"]),
        ("PATCH", f"{NEW}/c", {"if-none-match": "*"}, ["if-none-match"]),
        ("DELETE", f"{NEW}/c", {"if-none-match": "*"}, ["if-none-match"]),
        ("POST", NEW, {"if-match": '"x"'}, ["if-match"]),
        ("GET", f"{NEW}/c", {"if-match": '"x"'}, ["if-match"]),
        ("GET", f"{NEW}?page_size=1", {"if-match": "*"}, ["if-match"]),
    ],
)
async def test_a_condition_that_cannot_be_checked_is_refused_and_never_dropped(
    web: httpx.AsyncClient, verb: str, path: str, headers: dict[str, str], fields: list[str]
) -> None:
    body = '{"name":"c","config":{}}' if verb in ("PUT", "PATCH", "POST") else None
    response = await web.request(verb, path, content=body, headers={**JSON, **headers})
    assert (fields_in(response), reason_in(response)) == (fields, "INVALID_REQUEST")


# Idempotency, change requests, tenants


@pytest.mark.parametrize("written", ["{}", '"{}"'])
async def test_a_repeated_request_with_an_idempotency_key_runs_once(web: httpx.AsyncClient, written: str) -> None:
    headers = {**JSON, "idempotency-key": written.format(uuid4())}
    name = f"once{written.count(chr(34))}"
    body = f'{{"name":"{name}","config":{{}}}}'
    first = await web.post(NEW, content=body, headers=headers)
    second = await web.post(NEW, content=body, headers=headers)
    assert (first.status_code, second.json()) == (200, first.json())
    other = await web.post(NEW, content=body.replace("{}", '{"a":1}'), headers=headers)
    assert (other.status_code, reason_in(other)) == (400, "REQUEST_ID_REUSED")


async def test_an_idempotency_key_must_be_the_request_id_and_of_a_method_that_has_one(web: httpx.AsyncClient) -> None:
    one, other = str(uuid4()), str(uuid4())
    path = f"{NEW}/key?allow_missing=true&request_id={one}"
    assert (await web.put(path, content="{}", headers={"idempotency-key": f'"{one}"'})).status_code == 200
    for path_, key in ((path, other), (f"{NEW}/key", ""), (f"{NEW}/key", '""')):
        response = await web.put(path_, content="{}", headers={"idempotency-key": key})
        assert fields_in(response) == ["idempotency-key"]
    response = await web.put(f"{NEW}/key", content="{}", headers={"idempotency-key": "nonsense"})
    assert fields_in(response) == ["request_id"]
    response = await web.post("/api/v1/operations/x:cancel", headers={"idempotency-key": one})
    assert fields_in(response) == ["idempotency-key"]
    assert (await web.get(f"{NEW}/key", headers={"idempotency-key": one})).status_code == 200


async def test_a_change_request_is_kept_with_the_change(web: httpx.AsyncClient) -> None:
    await put(web, "ticket", '{"a":1}', x_change_request="CHG-1")
    versions = (await web.get(f"{NEW}/ticket:versions")).json()["versions"]
    assert versions[0]["origin"]["change_request"] == "CHG-1"


async def test_headers_that_occur_twice_or_name_a_tenant_are_refused(web: httpx.AsyncClient) -> None:
    for header in ("if-match", "idempotency-key", "content-type", "x-change-request"):
        twice: Any = [(header, '"a"'), (header, '"b"')]
        response = await web.put(f"{NEW}/twice", content="{}", headers=twice)
        assert fields_in(response) == [header]
    for verb, path in (("GET", f"{NEW}/x"), ("POST", NEW), ("GET", "/api/v1/status")):
        response = await web.request(verb, path, headers={"x-configsvc-tenant": "a"})
        assert fields_in(response) == ["x-configsvc-tenant"]


# Types and encodings


@pytest.mark.parametrize(
    ("verb", "path", "content_type"),
    [
        ("POST", NEW, "text/plain"),
        ("POST", NEW, "application/x-www-form-urlencoded"),
        ("POST", NEW, "multipart/form-data"),
        ("POST", NEW, "application/merge-patch+json"),
        ("POST", NEW, ""),
        ("POST", NEW, "application/json; charset=latin-1"),
        ("POST", NEW, "application/jsonx"),
        ("PUT", f"{NEW}/type", "text/yaml"),
        ("PUT", f"{NEW}/type", "application/merge-patch+json"),
        ("PUT", f"{NEW}/type", "application/json; charset=utf-16"),
        ("PATCH", f"{NEW}/type", "application/xml"),
        ("PATCH", "/api/v1/applications/shop", "application/json-patch+json"),
        ("PATCH", "/api/v1/applications/shop", "application/merge-patch+json"),
    ],
)
async def test_a_body_of_another_type_is_refused(
    web: httpx.AsyncClient, verb: str, path: str, content_type: str
) -> None:
    response = await web.request(verb, path, content="{}", headers={"content-type": content_type})
    assert fields_in(response) == ["content-type"]


@pytest.mark.parametrize(
    ("verb", "content_type"),
    [
        ("POST", "application/json"),
        ("POST", 'Application/JSON; Charset="UTF-8"'),
        ("POST", None),
        ("PUT", "application/json;charset=utf-8"),
        ("PUT", "application/x-www-form-urlencoded"),
        ("PUT", None),
        ("PATCH", "application/merge-patch+json; charset=UTF-8"),
        ("PATCH", "application/x-www-form-urlencoded"),
        ("PATCH", None),
    ],
)
async def test_a_body_of_json_may_say_so_or_nothing(
    web: httpx.AsyncClient, verb: str, content_type: str | None
) -> None:
    await put(web, "typed")
    headers = {"content-type": content_type} if content_type else {}
    path = f"{NEW}?validate_only=true" if verb == "POST" else f"{NEW}/typed"
    body = json.dumps({"name": "typed-new", "config": {}} if verb == "POST" else {"a": 1})
    response = await web.request(verb, path, content=body, headers=headers)
    assert response.status_code == 200, response.text


async def test_a_compressed_body_is_refused(web: httpx.AsyncClient) -> None:
    for coding in ("gzip", "br", "gzip, identity"):
        response = await web.put(f"{NEW}/coded", content=gzip.compress(b"{}"), headers={"content-encoding": coding})
        assert fields_in(response) == ["content-encoding"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=1, */*;q=0", "nonsense"])
async def test_answers_are_json_whatever_the_client_accepts(web: httpx.AsyncClient, accept: str) -> None:
    response = await web.get("/api/v1/status", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("offer", "is_compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("GZIP;Q=1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("gzip; q=nonsense", False),
        ("*;q=0", False),
        ("identity", False),
        ("", False),
    ],
)
async def test_answers_of_16_to_256_kib_are_compressed_for_clients_that_offer_gzip(
    web: httpx.AsyncClient, offer: str, is_compressed: bool
) -> None:
    for name, size, may_be in (("gz-s", 8_000, False), ("gz-m", 30_000, True), ("gz-l", 262_130, False)):
        await put(web, name, json.dumps({"a": "x" * size}))
        response = await web.get(f"{NEW}/{name}", headers={"accept-encoding": offer})
        assert response.json()["config"] == {"a": "x" * size}
        assert ("content-encoding" in response.headers) == (may_be and is_compressed)
        assert response.headers.get("vary", "") == ("accept-encoding" if may_be else "")


# The cache


async def test_a_client_that_polls_with_its_etag_reads_nothing_from_the_database(database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0") as (service, metrics):
        assert service.http
        web = service.http.http
        await create_application(service, "shop")
        etag = (await put(web, "polled", '{"a":1}')).headers["etag"]
        await web.get(f"{NEW}/polled")
        misses, hits = await metrics.value(MISSES), await metrics.value(HITS)
        for verb in ("GET", "HEAD"):
            for _ in range(10):
                response = await web.request(verb, f"{NEW}/polled", headers={"if-none-match": etag})
                assert response.status_code == 304
        assert (await metrics.value(MISSES), await metrics.value(HITS)) == (misses, hits + 20)
