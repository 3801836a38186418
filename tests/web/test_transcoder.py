"""Envoy's gRPC-JSON transcoder as the oracle: the same requests to it and to the HTTP door have equal answers."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlencode

import httpx
import pytest
import pytest_asyncio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from configsvc.api.services import SERVICES
from configsvc.web.routes import Route, Routes
from tests.api.calls import create_application
from tests.domain.jsonschema.corpus import configurations, documents, needs_corpus
from tests.postgres import cloned_database
from tests.service import Service, running_service
from tests.web.faults import JSON, reason_in, status_in
from tests.web.transcoding import transcoder

in_module = pytest.mark.asyncio(loop_scope="module")
ROUTES = Routes(SERVICES)
NEW = "/api/v1/applications/shop/configurations"
ALL = "/api/v1/configurations"

# Routes that the transcoder does not have, or answers in another form, each with the reason.
OTHERWISE = {
    "ListOperations": "google.longrunning annotates other paths",
    "GetOperation": "google.longrunning annotates other paths",
    "DeleteOperation": "google.longrunning annotates other paths",
    "CancelOperation": "google.longrunning annotates other paths",
    "WaitOperation": "google.longrunning annotates other paths",
    "ImportConfigurations": "a stream of requests is a JSON array there, and JSON lines here",
    "WatchConfigurations": "a stream is a JSON array there that ends with the stream, and server-sent events here",
}


class Request(NamedTuple):
    """One request; `other_body` is what the transcoder gets instead of the body, where the rules differ."""

    verb: str
    target: str
    body: Any = None
    other_body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The HTTP door and the transcoder, in front of the same service."""

    service: Service
    ours: httpx.AsyncClient
    theirs: httpx.AsyncClient
    known: dict[str, str]

    async def both(self, request: Request) -> tuple[httpx.Response, httpx.Response]:
        body = request.body if request.other_body is None else request.other_body
        return await _sent(self.ours, request, request.body), await _sent(self.theirs, request, body)


async def _sent(client: httpx.AsyncClient, request: Request, body: Any) -> httpx.Response:
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    url = httpx.URL(str(client.base_url)).copy_with(raw_path=request.target.encode())
    return await client.request(request.verb, url, content=content, headers=JSON if body is not None else {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Doors]:
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, http_listen="127.0.0.1:0") as service,
        transcoder(tmp_path_factory.mktemp("envoy"), service.address) as address,
        httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as theirs,
    ):
        assert service.http
        ours = service.http.http
        known = await _filled(service, ours)
        yield Doors(service=service, ours=ours, theirs=theirs, known=known)


async def _filled(service: Service, web: httpx.AsyncClient) -> dict[str, str]:
    """Make one of everything. Return the ids."""
    application = await create_application(service, "shop", comments="Käse")
    document = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    schema = await web.post("/api/v1/schemas", json={"name": "s", "document": document})
    await web.post("/api/v1/schemas/s/versions", json={"document": {**document, "title": "2"}})
    for n in (1, 2):
        made = await web.put(f"{NEW}/team/web", params={"allow_missing": "true"}, json={"n": n, "l": [1.5, None, {}]})
    pinned = await web.post(NEW, json={"name": "pinned", "config": {"n": 1}, "schema": {"schema": "s", "version": 1}})
    await web.put(f"{NEW}/gone", params={"allow_missing": "true"}, json={})
    await web.delete(f"{NEW}/gone")
    binding = await web.post(
        "/api/v1/role-bindings",
        json={"principal": "user:a", "role": "ROLE_VIEWER", "application": {"name": "shop"}},
    )
    migration = await web.post(
        "/api/v1/schemas/s:migrate",
        json={"to_version": 2, "all_configurations": {}, "validate_only": True},
    )
    responses = {"schema": schema, "web": made, "pinned": pinned, "binding": binding, "operation": migration}
    assert all(one.status_code == 200 for one in responses.values()), [one.text for one in responses.values()]
    ids = {name: one.json().get("id", "") for name, one in responses.items()}
    return {**ids, "application": application.id, "operation": migration.json()["name"].partition("/")[2]}


# Requests of every route. What they would change is not kept, so that both see the same state.
REQUESTS: list[Callable[[dict[str, str]], Request]] = [
    lambda _: Request("POST", "/api/v1/applications", {"name": "new", "validate_only": True, "comments": "c"}),
    lambda _: Request("POST", "/api/v1/applications", {"name": "shop"}),
    lambda _: Request("POST", "/api/v1/applications", {"name": "a b", "comments": "x" * 2000}),
    lambda _: Request("GET", "/api/v1/applications/shop"),
    lambda _: Request("GET", "/api/v1/applications/none"),
    lambda _: Request("GET", "/api/v1/applications/a%2Fb"),
    lambda known: Request("GET", f"/api/v1/applications:byId?id={known['application']}"),
    lambda _: Request("GET", "/api/v1/applications:byId?id=x"),
    lambda _: Request("GET", "/api/v1/applications?page_size=1"),
    lambda _: Request("PATCH", "/api/v1/applications/shop?validate_only=true", {"comments": "new"}),
    lambda _: Request(
        "PATCH", "/api/v1/applications/shop?validate_only=true&update_mask=comments", {"comments": "new", "name": "x"}
    ),
    lambda _: Request(
        "POST", "/api/v1/applications:update", {"name": "shop", "application": {"comments": "x"}, "validateOnly": True}
    ),
    lambda _: Request("DELETE", "/api/v1/applications/shop"),
    lambda _: Request("DELETE", "/api/v1/applications/shop?force=true&validate_only=true"),
    lambda _: Request("POST", "/api/v1/applications:delete", {"name": "none", "allow_missing": True}),
    lambda _: Request(
        "POST", NEW, {"name": "new/a", "config": {"a": [1, 2.5, "x", None, True]}, "validate_only": True}
    ),
    lambda _: Request("POST", NEW, {"name": "pinned", "config": {}}),
    lambda _: Request("POST", NEW, {"name": "new", "config": {}, "schema": {"schema": "s"}, "validate_only": True}),
    lambda known: Request(
        "POST", ALL, {"application": {"id": known["application"]}, "name": "b", "config": {}, "validate_only": True}
    ),
    lambda _: Request("GET", f"{NEW}/team/web"),
    lambda _: Request("GET", f"{NEW}/team%2Fweb"),
    lambda _: Request("GET", f"{NEW}/team%2Fweb/"),
    lambda _: Request("GET", f"{NEW}/team/web?version=1"),
    lambda _: Request("GET", f"{NEW}/team/web?version=9"),
    lambda _: Request("GET", f"{NEW}/team/web?as_of_revision=1"),
    lambda _: Request("GET", f"{NEW}/team/web?as_of_time=2100-01-01T00:00:00Z"),
    lambda _: Request("GET", f"{NEW}/gone"),
    lambda _: Request("GET", f"{NEW}/a:b"),
    lambda _: Request("GET", f"{NEW}/a%3Aversions"),
    lambda _: Request("GET", f"{NEW}/K%C3%A4se"),
    lambda _: Request("GET", f"{NEW}/a+b"),
    lambda _: Request("GET", f"{ALL}:byName?key.application=shop&key.name=team/web"),
    lambda _: Request("GET", f"{ALL}:byName?key.application=shop&key.name=team%2Fweb"),
    lambda _: Request("GET", f"{ALL}:byName"),
    lambda known: Request("GET", f"{ALL}/{known['web']}"),
    lambda _: Request("GET", f"{ALL}/{'0' * 26}"),
    lambda known: Request(
        "POST",
        f"{ALL}:batchGet",
        {"refs": [{"id": known["web"]}, {"key": {"application": "shop", "name": "none"}}], "view": 1},
    ),
    lambda _: Request("POST", f"{ALL}:batchGet", {}),
    lambda _: Request("GET", ALL),
    lambda _: Request("GET", f"{ALL}?view=CONFIGURATION_VIEW_BASIC&selector.name_prefix=team%2F&show_deleted=true"),
    lambda _: Request("GET", f"{NEW}?selector.names=pinned&selector.names=gone&selector.json_path=$.n%20%3D%3D%201"),
    lambda _: Request("GET", f"{NEW}?page_size=-1&page_token=x"),
    lambda _: Request("POST", f"{ALL}:list", {"selector": {"contains": {"n": 1}}, "page_size": 10}),
    lambda _: Request("PATCH", f"{NEW}/team/web?validate_only=true", {"n": 7, "l": None}),
    lambda _: Request("PATCH", f"{NEW}/none", {"n": 7}),
    lambda known: Request("PATCH", f"{ALL}/{known['pinned']}?validate_only=true", {"n": "text"}),
    lambda _: Request("PATCH", f"{ALL}:byName?key.application=shop&key.name=pinned&expected_version=7", {"n": 2}),
    lambda _: Request("PUT", f"{NEW}/team/web?validate_only=true", {"n": 8}, {"config": {"n": 8}}),
    lambda known: Request("PUT", f"{ALL}/{known['web']}?validate_only=true", {"n": 8}, {"config": {"n": 8}}),
    lambda _: Request("PUT", f"{ALL}:byName?key.application=shop&key.name=new&validate_only=true", {}, {"config": {}}),
    lambda _: Request(
        "PUT",
        f"{ALL}:byName?key.application=shop&key.name=new&validate_only=true&allow_missing=true",
        {},
        {"config": {}},
    ),
    lambda known: Request(
        "POST",
        f"{ALL}:update",
        {"id": known["web"], "configuration": {"comments": "c"}, "update_mask": "comments", "validate_only": True},
    ),
    lambda known: Request(
        "POST", f"{ALL}:update", {"id": known["web"], "json_patch": [{"op": "test", "path": "/n", "value": 3}]}
    ),
    lambda _: Request("DELETE", f"{NEW}/team/web?validate_only=true"),
    lambda _: Request("DELETE", f"{NEW}/none?allow_missing=true"),
    lambda known: Request("DELETE", f"{ALL}/{known['web']}?expected_etag=x"),
    lambda _: Request("DELETE", f"{ALL}:byName?key.application=shop&key.name=none"),
    lambda _: Request(
        "POST",
        f"{ALL}:batchWrite",
        {
            "validate_only": True,
            "writes": [
                {"create": {"application": {"name": "shop"}, "name": "batch", "config": {"a": 1}}},
                {"deletion": {"key": {"application": "shop", "name": "pinned"}}},
            ],
        },
    ),
    lambda _: Request(
        "POST",
        f"{ALL}:batchWrite",
        {"writes": [{"create": {"application": {"name": "shop"}, "name": "pinned", "config": {}}}, {}]},
    ),
    lambda _: Request("GET", f"{NEW}/team/web:versions"),
    lambda known: Request("GET", f"{ALL}/{known['web']}:versions?page_size=1&view=1"),
    lambda _: Request("GET", f"{ALL}:versions?key.application=shop&key.name=team/web"),
    lambda _: Request("GET", f"{NEW}/team/web:diff"),
    lambda known: Request("GET", f"{ALL}/{known['web']}:diff?from_version=1&to_version=2"),
    lambda _: Request("GET", f"{ALL}:diff?key.application=shop&key.name=none"),
    lambda _: Request("POST", f"{NEW}/team/web:rollback", {"version": 1, "validate_only": True}),
    lambda known: Request("POST", f"{ALL}/{known['web']}:rollback", {"version": "9"}),
    lambda known: Request("POST", f"{ALL}:rollback", {"id": known["web"], "version": 1.0, "validate_only": True}),
    lambda _: Request("POST", f"{NEW}/gone:undelete", {"validate_only": True}),
    lambda known: Request("POST", f"{ALL}/{known['web']}:undelete", {}),
    lambda _: Request("POST", f"{ALL}:undelete", {"key": {"application": "shop", "name": "none"}}),
    lambda known: Request("GET", f"/api/v1/operations/{known['operation']}/items"),
    lambda _: Request("GET", "/api/v1/operations/x/items"),
    lambda _: Request("POST", "/api/v1/schemas", {"name": "t", "document": {"type": "object"}, "validate_only": True}),
    lambda _: Request("POST", "/api/v1/schemas", {"name": "t", "document": {"type": "nothing"}}),
    lambda _: Request("GET", "/api/v1/schemas/s"),
    lambda known: Request("GET", f"/api/v1/schemas:byId?id={known['schema']}"),
    lambda _: Request("GET", "/api/v1/schemas/s/versions/1"),
    lambda _: Request("GET", "/api/v1/schemas/s/versions/7"),
    lambda _: Request("GET", "/api/v1/schemas/s:latest"),
    lambda _: Request("GET", "/api/v1/schemas?page_size=2"),
    lambda _: Request("POST", "/api/v1/schemas/s/versions", {"document": {"type": "object"}, "validate_only": True}),
    lambda _: Request("GET", "/api/v1/schemas/s/versions"),
    lambda _: Request("POST", "/api/v1/schemas/s:check", {"document": {"type": "object", "required": ["x"]}}),
    lambda _: Request("DELETE", "/api/v1/schemas/s"),
    lambda _: Request("DELETE", "/api/v1/schemas/none?allow_missing=true"),
    lambda _: Request(
        "POST", "/api/v1/schemas:import", {"schemas": [{"name": "u", "document": {}}], "validate_only": True}
    ),
    lambda _: Request("POST", "/api/v1/schemas/none:migrate", {"to_version": 1, "all_configurations": {}}),
    lambda _: Request("POST", "/api/v1/schemas/s:migrate", {}),
    lambda _: Request("GET", "/api/v1/changes?page_size=3"),
    lambda _: Request("GET", "/api/v1/changes?application.name=shop&kind=RESOURCE_KIND_CONFIGURATION&page_size=2"),
    lambda _: Request(
        "POST", "/api/v1/role-bindings", {"principal": "user:a", "role": "ROLE_VIEWER", "application": {"name": "shop"}}
    ),
    lambda _: Request("POST", "/api/v1/role-bindings", {"principal": "a", "role": 9}),
    lambda _: Request("GET", "/api/v1/role-bindings"),
    lambda known: Request("DELETE", f"/api/v1/role-bindings/{known['binding']}?validate_only=true"),
    lambda _: Request("DELETE", "/api/v1/role-bindings/x"),
    lambda known: Request(
        "POST", f"{ALL}:delete", {"id": known["web"], "validate_only": True, "expected_version": "2"}
    ),
    lambda _: Request("POST", "/api/v1/schemas:delete", {"name": "s"}),
    lambda known: Request("POST", "/api/v1/role-bindings:delete", {"id": known["binding"], "validate_only": True}),
    lambda _: Request("GET", "/api/v1/caller"),
    lambda _: Request("GET", "/api/v1/status"),
    lambda _: Request("GET", "/api/v1/watches"),
    lambda _: Request(
        "POST",
        "/api/v1/sources:apply",
        {
            "application": {"name": "shop"},
            "source": {"repository": "r", "path": "p", "commit": "c"},
            "adopt": True,
            "writes": [{"upsert": {"application": {"name": "shop"}, "name": "applied", "config": {}}}],
            "validate_only": True,
        },
    ),
    lambda _: Request("POST", "/api/v1/sources:apply", {"source": {"repository": "https://a:b@c/d"}}),
    lambda _: Request("GET", "/api/v1/sources?repository=r&path="),
    lambda _: Request("GET", "/api/v1/applications/shop/applied-configurations"),
    lambda known: Request("GET", f"/api/v1/applied-configurations?application.id={known['application']}"),
    lambda _: Request("POST", "/api/v1/sources:release", {"application": {"name": "shop"}, "allow_missing": True}),
    lambda _: Request("POST", "/api/v1/sources:release", {"application": {"name": "shop"}}),
    lambda _: Request("POST", "/api/v1/source-leases:acquire", {"repository": "r", "holder": "h", "duration": "10.5s"}),
    lambda _: Request("POST", "/api/v1/source-leases:release", {"repository": "r", "holder": "nobody"}),
]
# What each commit or moment makes anew.
ANEW = {"id", "create_time", "update_time", "server_time", "feed_lag", "commit_time", "next_page_token"} | {
    "apply_time",
    "expire_time",
    "remaining",
}


def test_every_route_is_compared_or_has_its_reason() -> None:
    names = ["application", "web", "pinned", "schema", "operation", "binding"]
    known = dict.fromkeys(names, "x")
    compared: set[Route] = set()
    for make in REQUESTS:
        request = make(known)
        match = ROUTES.match(request.verb, request.target.partition("?")[0])
        assert match, request
        compared.add(match.route)
    exports = {route for route in ROUTES.all if route.method.name == "ExportConfigurations"}
    others = {route for route in ROUTES.all if route.method.name in OTHERWISE}
    assert compared | exports | others == set(ROUTES.all)


@in_module
@pytest.mark.parametrize("index", range(len(REQUESTS)))
async def test_an_answer_is_that_of_the_transcoder(doors: Doors, index: int) -> None:
    request = REQUESTS[index](doors.known)
    ours, theirs = await doors.both(request)
    assert comparable(ours, request) == comparable(theirs, request), request


def comparable(response: httpx.Response, request: Request) -> tuple[int, Any]:
    """Return the status and the body of an answer, as the whole response."""
    if response.headers.get("content-type") != "application/json":
        return response.status_code, response.text
    body = response.json()
    match = ROUTES.match(request.verb, request.target.partition("?")[0])
    if match and match.route.response_body and response.status_code == 200 and "x-configsvc-epoch" in response.headers:
        # What the resource does not say is in headers here.
        named = {name: response.headers[f"x-configsvc-{name}"] for name in ("revision", "epoch")}
        named = {name: value for name, value in named.items() if value != "0"}
        changed = {"changed": True} if response.headers.get("x-configsvc-changed") == "true" else {}
        body = {match.route.response_body: body, **named, **changed}
    return response.status_code, _steady(body)


def _steady(value: Any) -> Any:
    """Return a JSON value without what is made anew for each answer."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if "additions" in members:
            # Members of a Struct have no order.
            members = {**members, "additions": sorted(members["additions"], key=json.dumps)}
        return {name: "" if name in ANEW else _steady(member) for name, member in members.items()}
    if isinstance(value, list):
        return [_steady(item) for item in cast("list[Any]", value)]
    return value


NEW_X = b'{"name":"x","validate_only":true,"config":%s}'
OWN_TEXT = "it refuses this too, with a text of its own instead of a google.rpc.Status"
WE_REFUSE = "we refuse what a client may have meant otherwise"
SHORT = "our parameters have short names besides those of the contract"
# Requests with different answers: our status, the transcoder's, and the reason.
DIFFERENCES = [
    (Request("GET", f"{NEW}?nonsense=1"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?page_size=x"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?view=BLUE"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?view=9"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?as_of_time=now"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?min_revision=1&latest=true"), 400, 400, OWN_TEXT),
    (Request("GET", f"{NEW}?name_prefix=%ff"), 400, 400, OWN_TEXT),
    (Request("POST", NEW, {"name": 1, "config": {}}), 400, 400, OWN_TEXT),
    (Request("POST", NEW, b"[]"), 400, 400, OWN_TEXT),
    (Request("POST", NEW, b'{"name":"x"'), 400, 400, OWN_TEXT),
    (Request("POST", NEW, b'{"name":"\xff"}'), 400, 400, OWN_TEXT),
    (Request("POST", NEW, NEW_X % b'{"a":1,"a":2}'), 400, 400, OWN_TEXT),
    (Request("POST", NEW, NEW_X % b'{"a":NaN}'), 400, 400, OWN_TEXT),
    (Request("POST", NEW, NEW_X % b'{"a":"\\ud800"}'), 400, 400, OWN_TEXT),
    (Request("POST", NEW, NEW_X % (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")), 400, 400, OWN_TEXT),
    (Request("POST", NEW, {"name": "x", "config": {}, "validate_only": True, "nonsense": 1}), 400, 200, WE_REFUSE),
    (Request("POST", NEW, b'{"name":"x","name":"y","config":{},"validate_only":true}'), 400, 200, WE_REFUSE),
    (Request("POST", NEW, b'{"name":"x","config":{},"validate_only":true,}'), 400, 200, WE_REFUSE),
    (Request("POST", NEW, b'{name:"x","config":{},"validate_only":true}'), 400, 200, WE_REFUSE),
    (Request("GET", f"{NEW}?page_size=1&page_size=2"), 400, 200, WE_REFUSE),
    (Request("GET", f"{NEW}?latest=yes"), 400, 200, WE_REFUSE),
    (Request("GET", f"{NEW}/team/web", {}), 400, 200, WE_REFUSE),
    (Request("GET", f"{NEW}?name_prefix=%"), 400, 400, "it keeps a percent sign that encodes nothing"),
    (Request("GET", f"{NEW}/%zz"), 400, 400, "it keeps a percent sign that encodes nothing"),
    (
        Request("POST", NEW, {"name": "x", "config": {}, "application": {"name": "y"}}),
        400,
        404,
        "what both the path and the body say is refused by us, and taken from the body there",
    ),
    (
        Request("POST", NEW, NEW_X % b'{"a":1.00000000000000000001}'),
        400,
        200,
        "our contents are text and are never rounded; there, they are Structs",
    ),
    (
        Request("POST", NEW, NEW_X % b'{"a":9007199254740993}'),
        400,
        400,
        "our contents are text, and a fault quotes them as they are; there, they are Structs",
    ),
    (Request("GET", f"{NEW}?contains=%7B%22n%22:1%7D"), 200, 400, SHORT),
    (Request("GET", f"{ALL}?application=shop"), 200, 400, SHORT),
    (Request("GET", f"{ALL}:byName?application=shop&name=team/web"), 200, 400, SHORT),
    (Request("GET", f"{ALL}:export?application=shop"), 200, 400, SHORT),
    (Request("POST", f"{NEW}/team/web:nonsense"), 405, 404, "we name the verbs that a path has"),
    (Request("GET", f"{NEW}/team/web:rollback"), 405, 404, "we name the verbs that a path has"),
    (Request("HEAD", f"{NEW}/team/web"), 200, 404, "we answer HEAD like GET"),
    (Request("GET", "/api/v1/nothing"), 404, 404, OWN_TEXT),
]


@in_module
@pytest.mark.parametrize("index", range(len(DIFFERENCES)))
async def test_an_answer_that_differs_has_a_reason(doors: Doors, index: int) -> None:
    request, our_status, their_status, reason = DIFFERENCES[index]
    ours, theirs = await doors.both(request)
    assert (ours.status_code, theirs.status_code) == (our_status, their_status), (request, reason)
    if our_status >= 400:
        assert status_in(ours).message
        assert ours.text != theirs.text


@in_module
async def test_a_put_takes_the_bare_content_and_a_patch_may_be_a_list_of_operations(doors: Doors) -> None:
    """Compare what annotations cannot say with the same request in the envelope."""
    path, query = f"{NEW}/team/web", "validate_only=true"
    for verb, body, content_type, envelope in (
        ("PUT", {"n": 9}, "application/x-www-form-urlencoded", {"configuration": {"config": {"n": 9}}}),
        (
            "PATCH",
            [{"op": "add", "path": "/a", "value": 1}],
            "application/json-patch+json",
            {"json_patch": [{"op": "add", "path": "/a", "value": 1}]},
        ),
    ):
        ours = await doors.ours.request(
            verb, f"{path}?{query}", content=json.dumps(body), headers={"content-type": content_type}
        )
        key = {"key": {"application": "shop", "name": "team/web"}, "validate_only": True}
        request = Request("POST", f"{ALL}:update", {**key, **envelope})
        theirs = await _sent(doors.theirs, request, request.body)
        assert comparable(ours, request) == comparable(theirs, request)


@in_module
async def test_an_export_has_the_same_items(doors: Doors) -> None:
    for target in (f"{NEW}:export", f"{ALL}:export?selector.name_prefix=team/", f"{ALL}:export?selector.names=none"):
        ours, theirs = await doors.both(Request("GET", target))
        assert [json.loads(line) for line in ours.text.splitlines()] == theirs.json()


# Requests that nobody thought of


NAMES = st.text(st.sampled_from("aZ0._-/:%+ ?#&=äé日\0"), min_size=1, max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
CONTENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "page_size": st.integers(-(2**31), 2**31 - 1),
        "page_token": TEXTS,
        "epoch": TEXTS,
        "selector.name_prefix": NAMES,
        "selector.names": st.lists(NAMES, max_size=3),
        "selector.json_path": TEXTS,
        "selector.schema.schema": NAMES,
        "selector.schema.version": st.integers(-(2**63), 2**63 - 1),
        "view": st.sampled_from(["CONFIGURATION_VIEW_BASIC", "CONFIGURATION_VIEW_FULL", 1]),
        "show_deleted": st.sampled_from(["true", "false"]),
        "as_of_revision": st.integers(-(2**63), 2**63 - 1),
    },
)
REQUESTED = st.one_of(
    st.builds(lambda name: Request("GET", f"{NEW}/{quote(name, safe='')}"), NAMES),
    st.builds(lambda query: Request("GET", f"{ALL}?{urlencode(query, doseq=True)}"), PARAMETERS),
    st.builds(
        lambda name, config, comments: Request(
            "POST", NEW, {"name": name, "config": config, "comments": comments, "validate_only": True}
        ),
        NAMES,
        CONTENTS,
        TEXTS,
    ),
    st.builds(
        lambda config: Request("PUT", f"{NEW}/team/web?validate_only=true", config, {"config": config}), CONTENTS
    ),
    st.builds(lambda config: Request("PATCH", f"{NEW}/team/web?validate_only=true", config), CONTENTS),
    st.builds(
        lambda fields: Request("POST", f"{ALL}:batchGet", {"refs": [{"id": one} for one in fields]}),
        st.lists(TEXTS, max_size=3),
    ),
)


@in_module
# A failure is found again soon enough, and shrinking it would take minutes.
@settings(max_examples=60, phases=(Phase.explicit, Phase.generate))
@given(requests=st.lists(REQUESTED, min_size=1, max_size=4))
async def test_any_valid_json_has_the_same_answer(doors: Doors, requests: list[Request]) -> None:
    for request in requests:
        ours, theirs = await doors.both(request)
        assert comparable(ours, request) == comparable(theirs, request), request


@in_module
@needs_corpus
async def test_real_schemas_and_configurations_have_the_same_answers(doors: Doors) -> None:
    for schema, document in list(documents().items())[:40]:
        made = Request("POST", "/api/v1/schemas", {"name": schema, "document": document, "validate_only": True})
        ours, theirs = await doors.both(made)
        assert comparable(ours, made) == comparable(theirs, made), schema
        response = await doors.ours.post("/api/v1/schemas", json={**made.body, "validate_only": False})
        if response.status_code != 200:
            continue
        for kind in ("valid", "invalid"):
            for name, config in list(configurations(schema, kind))[:3]:
                body = {"name": "real", "config": config, "schema": {"schema": schema}, "validate_only": True}
                creation = Request("POST", NEW, body)
                ours, theirs = await doors.both(creation)
                if ours.status_code != 200:
                    # Members of a Struct have no order, hence its faults have none, of which as many are listed as fit.
                    assert (ours.status_code, reason_in(ours)) == (theirs.status_code, reason_in(theirs))
                else:
                    assert comparable(ours, creation) == comparable(theirs, creation), (schema, name)
