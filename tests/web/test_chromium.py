"""The HTTP door as a browser uses it: fetch, EventSource, other origins, and the documentation."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest
from tests.chromium import connected
from tests.identity.tokens import bearing, oidc_settings, token
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, application
from tests.web.chromium import Tab, other_site, tab

pytestmark = [
    # Seconds. A browser starts from cold files.
    pytest.mark.timeout(150),
]

# Reads an event stream with fetch until an event of the name. Resolves to all events, each with its last id.
READ_EVENTS = """
async ({path, headers, until}) => {
  const abort = new AbortController();
  const answer = await fetch(path, {headers, signal: abort.signal});
  if (!answer.ok) return {status: answer.status};
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = [];
  let text = "", id = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return {status: answer.status, events, id};
    text += value;
    const blocks = text.split("\\n\\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = {name: "message", data: ""};
      for (const line of block.split("\\n")) {
        const [key, ...rest] = line.split(": ");
        if (key === "id") id = rest.join(": ");
        if (key === "event") event.name = rest.join(": ");
        if (key === "data") event.data += rest.join(": ");
      }
      if (!event.data) continue;
      events.push({...event, data: JSON.parse(event.data)});
      if (event.name === until) {
        abort.abort();
        return {status: answer.status, events, id};
      }
    }
  }
}
"""
FETCH = """
async ({path, method, headers, body}) => {
  const answer = await fetch(path, {method, headers, body: body === undefined ? undefined : JSON.stringify(body)});
  const text = await answer.text();
  return {status: answer.status, etag: answer.headers.get("etag"), body: text ? JSON.parse(text) : null};
}
"""
# Resolves to the names of the events up to the first change, and the last id.
EVENT_SOURCE = """
path => new Promise((resolve, reject) => {
  const source = new EventSource(path), names = [];
  const note = event => {
    names.push(event.type);
    if (event.type === "synced") window.noteSynced();
    if (event.type === "change") {
      source.close();
      resolve({names, id: event.lastEventId, data: JSON.parse(event.data)});
    }
  };
  for (const name of ["opened", "snapshot", "synced", "change", "bookmark"]) source.addEventListener(name, note);
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) reject("closed"); });
})
"""
WEB = "/api/v1/applications/shop/configurations/web"
WATCH = "/api/v1/configurations:watch?application=shop"
MERGE_PATCH = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def browser(chromium: str) -> AsyncGenerator[Tab]:
    async with connected(chromium) as running, tab(running) as opened:
        yield opened


@pytest.fixture
async def guarded(database_url: str, psql: Session, tmp_path: Path) -> AsyncGenerator[Service]:
    """Yield a service that asks for tokens, with an application named shop."""
    await application(psql)
    async with running_service(database_url, http_listen="127.0.0.1:0", **oidc_settings(tmp_path)) as running:
        yield running


async def create_web(service: Service, metadata: Any = None) -> None:
    request = CreateConfigurationRequest(application=ApplicationRef(name="shop"), name="web", config=struct({"n": 1}))
    await service.configurations.CreateConfiguration(request, metadata=metadata)


async def fetched(page: Tab, path: str, **options: Any) -> Any:
    return await page.page.evaluate(FETCH, {"path": path, "method": "GET", "headers": {}, **options})


async def test_a_page_reads_and_writes_with_if_match(http: Service, browser: Tab) -> None:
    await create_web(http)
    await browser.page.goto(f"http://{http.http_address}/docs")
    read = await fetched(browser, WEB)
    assert (read["status"], read["body"]["config"]) == (200, {"n": 1})
    headers = {**MERGE_PATCH, "if-match": read["etag"]}
    written = await fetched(browser, WEB, method="PATCH", headers=headers, body={"n": 2})
    assert (written["status"], written["body"]["config"]) == (200, {"n": 2})
    refused = await fetched(browser, WEB, method="PATCH", headers=headers, body={"n": 3})
    assert (refused["status"], refused["body"]["details"][0]["reason"]) == (409, "VERSION_MISMATCH")


async def test_a_page_reads_a_watch_with_a_token_and_resumes_it_with_the_last_id(
    guarded: Service, browser: Tab
) -> None:
    await create_web(guarded, bearing("root"))
    await browser.page.goto(f"http://{guarded.http_address}/docs")
    assert (await browser.page.evaluate(READ_EVENTS, {"path": WATCH, "headers": {}, "until": ""}))["status"] == 401
    bearer = {"authorization": f"Bearer {token('root')}"}
    first = await browser.page.evaluate(READ_EVENTS, {"path": WATCH, "headers": bearer, "until": "synced"})
    assert first["events"][0]["name"] == "opened"
    assert first["events"][-1]["data"]["resume_token"] == first["id"]
    written = await fetched(browser, WEB, method="PATCH", headers={**MERGE_PATCH, **bearer}, body={"n": 2})
    assert written["status"] == 200
    resumed = {**bearer, "last-event-id": first["id"]}
    second = await browser.page.evaluate(READ_EVENTS, {"path": WATCH, "headers": resumed, "until": "change"})
    assert second["events"][-1]["data"]["events"][0]["configuration"]["config"] == {"n": 2}
    assert "snapshot" not in {event["name"] for event in second["events"]}


async def test_an_event_source_watches_a_service_without_authentication(http: Service, browser: Tab) -> None:
    await create_web(http)
    await browser.page.goto(f"http://{http.http_address}/docs")
    # Promises, as the page's Content-Security-Policy forbids the texts that Playwright's waiting evaluates.
    await browser.page.evaluate("() => { window.synced = new Promise(done => { window.noteSynced = done; }); }")
    await browser.page.evaluate(f"path => {{ window.seen = ({EVENT_SOURCE})(path); }}", WATCH)
    await browser.page.evaluate("() => window.synced.then(() => null)")
    await fetched(browser, WEB, method="PATCH", headers=MERGE_PATCH, body={"n": 2})
    seen = await browser.page.evaluate("window.seen")
    assert seen["data"]["events"][0]["configuration"]["config"] == {"n": 2}
    assert seen["data"]["resume_token"] == seen["id"]
    assert {"opened", "synced", "change"} <= set(seen["names"])


async def test_a_page_of_another_origin_is_refused(http: Service, browser: Tab, tmp_path: Path) -> None:
    await create_web(http)
    with other_site(tmp_path) as origin:
        await browser.page.goto(origin)
        refused = await browser.page.evaluate(
            "url => fetch(url).then(answer => answer.status, error => error.name)", f"http://{http.http_address}{WEB}"
        )
        assert refused == "TypeError"
        # The page cannot read such an answer, but a service without this rule would make the change.
        await browser.page.evaluate(
            "url => fetch(url, {method: 'POST', mode: 'no-cors', body: '{\"name\": \"theirs\"}'}).catch(() => null)",
            f"http://{http.http_address}/api/v1/applications",
        )
    await browser.page.goto(f"http://{http.http_address}/docs")
    assert [one["name"] for one in (await fetched(browser, "/api/v1/applications"))["body"]["applications"]] == ["shop"]


async def test_a_page_of_an_allowed_origin_reads_and_writes(
    database_url: str, psql: Session, browser: Tab, tmp_path: Path
) -> None:
    await application(psql)
    with other_site(tmp_path) as origin:
        async with running_service(database_url, http_listen="127.0.0.1:0", cors_origins=origin) as service:
            await create_web(service)
            await browser.page.goto(origin)
            web = f"http://{service.http_address}{WEB}"
            read = await fetched(browser, web)
            assert (read["status"], read["body"]["config"]) == (200, {"n": 1})
            headers = {**MERGE_PATCH, "if-match": read["etag"]}
            written = await fetched(browser, web, method="PATCH", headers=headers, body={"n": 2})
            assert (written["status"], written["body"]["config"]) == (200, {"n": 2})
            path = f"http://{service.http_address}{WATCH}"
            watched = await browser.page.evaluate(READ_EVENTS, {"path": path, "headers": {}, "until": "synced"})
            assert watched["status"] == 200


async def tried(browser: Tab, service: str, operation: str) -> str:
    """Return the status of an operation that is tried in Swagger UI."""
    page, block = browser.page, f"#operations-{service}-{operation}"
    await page.click(f"#operations-tag-{service}")
    await page.click(f"{block} .opblock-summary-control")
    await page.click(f"{block} .try-out__btn")
    await page.click(f"{block} .execute")
    return await page.inner_text(f"{block} .live-responses-table tbody .response-col_status")


async def authorize(browser: Tab, bearer: str) -> None:
    """Give Swagger UI a token."""
    page = browser.page
    await page.click(".scheme-container .authorize")
    await page.fill(".auth-container input", bearer)
    await page.click(".auth-btn-wrapper .authorize")
    await page.click(".auth-btn-wrapper .btn-done")


async def test_the_documentation_shows_every_service_and_its_methods_can_be_tried(http: Service, browser: Tab) -> None:
    await browser.page.goto(f"http://{http.http_address}/docs")
    await browser.page.wait_for_selector(".opblock-tag")
    tags = await browser.page.evaluate("[...document.querySelectorAll('.opblock-tag')].map(tag => tag.dataset.tag)")
    assert {"ApplicationService", "ConfigurationService", "ServerService", "Health"} <= set(tags)
    assert (await tried(browser, "ServerService", "GetServerStatus")).startswith("200")
    # Everything came from the service, and the Content-Security-Policy forbids nothing that the page needs.
    assert (browser.hosts, browser.complaints) == ({http.http_address}, [])


async def test_methods_are_tried_with_a_token(guarded: Service, browser: Tab) -> None:
    await browser.page.goto(f"http://{guarded.http_address}/docs")
    await browser.page.wait_for_selector(".opblock-tag")
    assert (await tried(browser, "AccessService", "GetCaller")).startswith("401")
    await authorize(browser, token("root"))
    block = "#operations-AccessService-GetCaller"
    await browser.page.click(f"{block} .execute")
    body = browser.page.locator(f"{block} .live-responses-table .response-col_description", has_text="user:root")
    await body.first.wait_for()
    assert browser.hosts == {guarded.http_address}
    # A token is not kept longer than the page is open.
    assert await browser.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
