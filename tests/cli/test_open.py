"""`configsvc open`: screens of the console."""

import asyncio
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cli.running import Cli
from tests.cli.test_exec import put
from tests.service import running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Nothing that could be a browser.
NO_BROWSER = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": "no-such-browser"}


async def test_the_addresses_are_those_of_the_console(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, http_listen="127.0.0.1:0") as service:
        await put(service, "shop/eu/web", '{"rate": 1}')
        cli = Cli(tmp_path)
        http = f"http://{service.http_address}"
        await cli.ok("context", "set", "here", "--server", service.address, "--http", f"{http}/")
        opened = [
            await cli.ok("open", "--print"),
            await cli.ok("open", "app", "shop", "--print"),
            await cli.ok("open", "config", "shop/eu/web", **NO_BROWSER),
        ]
        addresses = [done.out.strip() for done in opened]
        assert addresses == [
            f"{http}/",
            f"{http}/#/applications/shop",
            f"{http}/#/configurations/shop/eu%2Fweb",
        ]
        with await asyncio.to_thread(urlopen, addresses[2], timeout=20) as page:
            assert b'<div id="console">' in page.read()


async def test_a_browser_gets_the_address_and_nothing_is_printed(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    browser = tmp_path / "browser.sh"
    browser.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/opened\n')
    browser.chmod(0o755)
    done = await cli.ok("open", "app", "a b", "--http", "https://config.example.com/base/", BROWSER=str(browser))
    address = "https://config.example.com/base/#/applications/a%20b"
    assert (done.out, done.err) == ("", f"opened {address}\n")
    assert (tmp_path / "opened").read_text() == f"{address}\n"


async def test_a_context_without_an_address_over_http_says_how_to_set_it(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    unknown, invalid, nameless = await asyncio.gather(
        cli("open"),
        cli("context", "set", "here", "--http", "ftp://x"),
        cli("open", "app", "", "--print", "--http", "http://x"),
    )
    assert (unknown.code, invalid.code, nameless.code) == (2, 2, 2)
    assert "`configsvc context set NAME --http URL`" in unknown.err
    assert "'ftp://x' is no address over HTTP" in invalid.err
