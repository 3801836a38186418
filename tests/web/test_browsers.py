"""Browsers: pages of other sites cannot use a service that their visitors reach."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configsvc.web.browsers import BrowserRules
from configsvc.web.exchange import Exchange
from tests.identity.tokens import oidc_settings
from tests.service import Service, running_service
from tests.web.raw_http import Reply, ask, connection

APPLICATIONS = "/api/v1/applications"
CREATE = b'{"name":"forged"}'
EVIL = "https://evil.example"
ALLOWED = "https://console.example"


async def names(service: Service) -> list[str]:
    listed = await service.applications.ListApplications(ListApplicationsRequest())
    return [application.name for application in listed.applications]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:50080", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:50080", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("evil.example", 403),
        ("evil.example:50080", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example@localhost", 403),
        ("localhost@evil.example", 403),
        ("localhost:80:80", 403),
        ("localhost/", 403),
        ("[::1", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("insecure", [False, True])
async def test_without_authentication_this_machine_is_reached_under_its_own_names_only(
    database_url: str, host: str, status: int, *, insecure: bool
) -> None:
    listen: dict[str, Any] = (
        {"http_listen": "0.0.0.0:0", "insecure": True} if insecure else {"http_listen": "127.0.0.1:0"}
    )
    async with running_service(database_url, **listen) as service:
        assert (await ask(service.http_address, "POST", APPLICATIONS, CREATE, Host=host)).status == status
        assert await names(service) == ["forged"] * (status == 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("10.1.2.3:50080", 200),
        ("[2001:db8::1]", 200),
        ("configsvc:50080", 200),
        ("configsvc.prod.svc.cluster.local", 200),
        ("console.example", 200),
        ("evil.example", 403),
        ("local.evil.example", 403),
        ("1.2.3.4.evil.example", 403),
        ("console.example.evil.example", 403),
    ],
)
async def test_without_authentication_no_address_has_a_name_that_others_could_own(host: str, status: int) -> None:
    rules = BrowserRules(origins=frozenset((ALLOWED,)), trusts_everybody=True)
    scope = {"server": ("10.1.2.3", 50080), "scheme": "http", "method": "GET", "headers": [(b"host", host.encode())]}
    exchange = Exchange(scope, lambda: asyncio.sleep(0, {}), lambda _: asyncio.sleep(0))
    assert (rules.refusal(exchange) is None) == (status == 200)


async def test_with_authentication_the_service_has_any_name(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, http_listen="127.0.0.1:0", **oidc_settings(tmp_path)) as service:
        assert (await ask(service.http_address, "GET", APPLICATIONS, Host="configsvc.example.com")).status == 401


async def test_the_host_of_a_target_counts_instead_of_the_header(http: Service) -> None:
    for target, host, status in (
        ("http://evil.example", "localhost", 403),
        ("http://localhost:1", "evil.example", 200),
    ):
        assert (await ask(http.http_address, "GET", target + APPLICATIONS, Host=host)).status == status


async def test_http_1_0_without_a_host_is_refused(http: Service) -> None:
    async with connection(http.http_address) as raw:
        raw.send(f"GET {APPLICATIONS} HTTP/1.0\r\nOrigin: null\r\n\r\n".encode())
        assert (await raw.reply()).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL, "Content_Type": "text/plain"},
        {"Origin": EVIL, "Content_Type": "application/x-www-form-urlencoded"},
        {"Origin": EVIL, "Content_Type": "multipart/form-data; boundary=x"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
async def test_requests_of_foreign_pages_change_nothing(http: Service, headers: dict[str, Any]) -> None:
    for verb, path in (("POST", APPLICATIONS), ("PUT", f"{APPLICATIONS}/shop/configurations/x")):
        reply = await ask(http.http_address, verb, path, CREATE, **headers)
        assert (reply.status, "access-control-allow-origin" in reply.headers) == (403, False)
    assert await names(http) == ["shop"]


async def test_two_origins_are_none(http: Service) -> None:
    async with connection(http.http_address) as raw:
        own = f"Origin: http://localhost\r\nOrigin: {EVIL}"
        raw.send(f"POST {APPLICATIONS} HTTP/1.1\r\nHost: localhost\r\n{own}\r\nContent-Length: 0\r\n\r\n".encode())
        assert (await raw.reply()).status == 400


async def test_own_pages_and_links_from_elsewhere_work(http: Service) -> None:
    own: dict[str, Any] = {
        "Host": "localhost:50080",
        "Origin": "http://localhost:50080",
        "Sec_Fetch_Site": "same-origin",
    }
    assert (await ask(http.http_address, "POST", APPLICATIONS, CREATE, **own)).status == 200
    link: dict[str, Any] = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert (await ask(http.http_address, "GET", APPLICATIONS, **link)).status == 200


def allowed(reply: Reply) -> str | None:
    return reply.headers.get("access-control-allow-origin")


async def test_pages_of_other_origins_are_not_allowed_unless_the_settings_say_so(http: Service) -> None:
    preflight: dict[str, Any] = {"Origin": ALLOWED, "Access_Control_Request_Method": "PUT"}
    reply = await ask(http.http_address, "OPTIONS", APPLICATIONS, **preflight)
    assert reply.status == 403
    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_pages_of_allowed_origins_may_use_the_service_and_read_its_errors(database_url: str) -> None:
    settings: dict[str, Any] = {"http_listen": "127.0.0.1:0", "cors_origins": f"{ALLOWED}, http://localhost:3000"}
    async with running_service(database_url, **settings) as service:
        address = service.http_address
        for origin in (ALLOWED, "http://localhost:3000"):
            asked: dict[str, Any] = {"Origin": origin, "Access_Control_Request_Method": "PUT"}
            reply = await ask(
                address, "OPTIONS", APPLICATIONS, Access_Control_Request_Headers="authorization,if-match", **asked
            )
            assert (reply.status, allowed(reply)) == (204, origin)
            assert reply.headers["access-control-allow-headers"] == "authorization,if-match"
            assert "PUT" in reply.headers["access-control-allow-methods"]
            # No cookies, and so no credentials.
            assert "access-control-allow-credentials" not in reply.headers
            for path, status in ((APPLICATIONS, 200), ("/nothing", 404), (f"{APPLICATIONS}/no", 404)):
                reply = await ask(address, "GET", path, Origin=origin, Sec_Fetch_Site="cross-site")
                assert (reply.status, allowed(reply)) == (status, origin)
                assert "origin" in reply.headers["vary"]
                assert "etag" in reply.headers["access-control-expose-headers"]
        reply = await ask(address, "GET", APPLICATIONS, Origin=EVIL)
        assert (reply.status, allowed(reply), reply.headers["vary"]) == (403, None, "origin")
        reply = await ask(address, "GET", APPLICATIONS)
        assert (reply.status, allowed(reply), reply.headers["vary"]) == (200, None, "origin")


async def test_a_path_names_its_verbs(http: Service) -> None:
    reply = await ask(http.http_address, "OPTIONS", APPLICATIONS)
    assert (reply.status, set(reply.headers["allow"].split(", "))) == (204, {"OPTIONS", "GET", "HEAD", "POST"})
    assert (await ask(http.http_address, "OPTIONS", "/nothing")).status == 404
    assert (await ask(http.http_address, "DELETE", APPLICATIONS)).status == 405


async def test_no_answer_sets_a_cookie(http: Service) -> None:
    for path in (APPLICATIONS, "/health", "/nothing"):
        assert "set-cookie" not in (await ask(http.http_address, "GET", path)).headers
