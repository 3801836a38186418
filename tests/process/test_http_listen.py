"""The address of HTTP: where it is, who shares it, and what is refused."""

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.process.running import program, serving
from tests.web.raw_http import ask


@pytest.mark.parametrize(
    ("listen", "hosts", "workers"),
    [
        ("127.0.0.1:0", ["127.0.0.1"], "1"),
        ("127.0.0.1:0", ["127.0.0.1"], "2"),
        ("[::1]:0", ["[::1]"], "1"),
        ("localhost:0", ["127.0.0.1"], "2"),
    ],
)
async def test_http_is_served_where_the_line_ready_says(
    tmp_path: Path, database_url: str, listen: str, hosts: list[str], workers: str
) -> None:
    async with serving(tmp_path, database_url, "--http-listen", listen, workers=workers) as (_, service):
        host, _, port = service.http_address.rpartition(":")
        assert (host, int(port) > 0) == (listen.rpartition(":")[0], True)
        for one in hosts:
            assert (await ask(f"{one}:{port}", "GET", "/health", Host=f"localhost:{port}")).status == 200


async def test_http_is_off_unless_it_is_set(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url) as (running, _):
        assert "http_listen" not in (await running.wait_for("ready"))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_address_that_is_taken_is_named_in_one_line(tmp_path: Path, database_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings: dict[str, Any] = {"listen": "127.0.0.1:0", "http_listen": address, "workers": workers}
        async with program(tmp_path, "serve", database_url=database_url, **settings) as running:
            assert await running.exit_code() == 1
    wrong = [line for line in running.lines if not line.startswith("{")]
    assert wrong == [f"configsvc: cannot listen on {address}: it is in use, or not an address of this machine"]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_service_on_the_address_is_refused(tmp_path: Path, database_url: str, workers: str) -> None:
    async with serving(tmp_path, database_url, http_listen="127.0.0.1:0", workers=workers) as (_, service):
        settings: dict[str, Any] = {"listen": "127.0.0.1:0", "http_listen": service.http_address, "workers": workers}
        async with program(tmp_path, "serve", database_url=database_url, **settings) as running:
            assert await running.exit_code() == 1
        assert f"cannot listen on {service.http_address}" in running.text


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"http_listen": "unix:/run/http.sock"}, "http_listen: must be like 127.0.0.1:50080"),
        ({"http_listen": "50080"}, "http_listen: must be like"),
        ({"http_listen": "127.0.0.1:0", "cors_origins": "https://a.example/path"}, "without a path"),
        ({"http_listen": "127.0.0.1:0", "cors_origins": "*"}, "must be like https://console.example.com"),
    ],
)
async def test_a_wrong_address_or_origin_is_named_in_one_line(
    tmp_path: Path, settings: dict[str, Any], refusal: str
) -> None:
    async with program(tmp_path, "serve", **settings) as running:
        assert await running.exit_code() == 2
    (line,) = running.lines
    assert refusal in line
