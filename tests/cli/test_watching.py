"""`config watch` as a process, across an end of the service."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    ConfigurationEvent,
    WatchConfigurationsResponse,
)
from configapi.v1.server_service_pb2 import ListWatchesRequest, Watch
from configsvc.cli.watching import View
from tests.cli.running import Cli, running_command
from tests.cli.test_exec import put
from tests.process.running import CONFIGSVC, LIMIT_SECONDS
from tests.service import POLL_SECONDS, Service, running_service


async def next_event(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_SECONDS):
        return json.loads(await process.stdout.readline())


async def test_watch_shows_what_exists_and_every_change_across_a_restart_of_the_service(
    database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(database_url))
        cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
        await cli.ok("app", "create", "shop")
        await cli.ok("config", "create", "shop/web", "-f", "-", stdin='{"n": 1}')
        process = await stack.enter_async_context(cli.running("config", "watch", "shop", "-o", "json"))
        existing = await next_event(process)
        assert (existing["configuration"]["name"], existing["configuration"]["config"]) == ("web", {"n": 1})
        await cli.ok("config", "set", "shop/web", "/n", "2", "--reason", "more")
        changed = await next_event(process)
        assert (changed["change"], changed["origin"]["reason"]) == ("CHANGE_TYPE_UPDATED", "more")
        await _restart_with_changes(service, database_url, stack, cli)
        created, deleted = await next_event(process), await next_event(process)
        assert (created["change"], created["configuration"]["name"]) == ("CHANGE_TYPE_CREATED", "api")
        assert (deleted["effect"], deleted["configuration"]["name"]) == ("EFFECT_REMOVE", "web")
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            assert b"trying again" in await process.stderr.readline()


async def _restart_with_changes(service: Service, database_url: str, stack: AsyncExitStack, cli: Cli) -> None:
    """End the service, change something with another one, and start it again at its address."""
    service.stop.set()
    async with running_service(database_url) as other:
        address = {"CONFIGSVC_SERVER": other.address}
        await cli.ok("config", "create", "shop/api", "-f", "-", stdin="{}", **address)
        await cli.ok("config", "delete", "shop/web", **address)
    await stack.enter_async_context(running_service(database_url, listen=service.address))


async def test_watch_prints_a_line_for_people_and_begins_where_it_is_told(service: Service, tmp_path: Path) -> None:
    cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
    await cli.ok("app", "create", "shop")
    await cli.ok("config", "create", "shop/web", "-f", "-", "--reason", "first", stdin="{}")
    await cli.ok("config", "set", "shop/web", "/n", "2")
    async with cli.running("config", "watch", "--since", "1") as process:
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            head, created, updated = [(await process.stdout.readline()).decode().split() for _ in range(3)]
    assert head[:2] == ["TIME", "CHANGE"]
    assert created[1:] == ["created", "shop/web", "1", "anonymous", "first"]
    assert updated[1:4] == ["updated", "shop/web", "2"]
    unknown = await cli("config", "watch", "--since", "99")
    assert (unknown.code, unknown.err.count("trying again")) == (3, 0)


async def test_every_command_that_watches_says_which_instance_it_is(service: Service, tmp_path: Path) -> None:
    await put(service, "shop/web", "{}")
    (tmp_path / "t.j2").write_text('{{ configs["shop/web"] }}')
    words = {
        "config watch": ("shop",),
        "exec": ("--config", "shop/web", "--", "sleep", "600"),
        "render": ("--watch", "t.j2", "-o", "t.out"),
    }
    async with AsyncExitStack() as stack:
        for command, arguments in words.items():
            # As in a pod that is given its name.
            variables = {"CONFIGSVC_SERVER": service.address, "POD_NAME": f"{command}-7f9c", "HOSTNAME": "other"}
            running = running_command(Cli(tmp_path, variables), *CONFIGSVC, *command.split(), *arguments)
            await stack.enter_async_context(running)
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(watches := await watches_of(service)) < len(words):  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
    assert {(one.instance.id, one.instance.program, one.instance.version) for one in watches} == {
        (f"{command}-7f9c", f"configsvc {command}", version("configsvc")) for command in words
    }


async def watches_of(service: Service) -> Sequence[Watch]:
    return (await service.server.ListWatches(ListWatchesRequest())).watches


def message(*events: ConfigurationEvent, token: str = "") -> WatchConfigurationsResponse:
    return WatchConfigurationsResponse(events=events, resume_token=token)


def event(identifier: str, version: int = 1, *, removes: bool = False) -> ConfigurationEvent:
    found = ConfigurationEvent(effect=EFFECT_REMOVE if removes else EFFECT_SET)
    found.configuration.id, found.configuration.version = identifier, version
    found.configuration.etag = f"{identifier}@{version}"
    return found


def test_events_count_when_a_token_closes_them() -> None:
    view = View()
    assert view.take(message(event("a"))) == []
    assert [one.configuration.id for one in view.take(message(event("b"), token="e:1"))] == ["a", "b"]
    assert view.token == "e:1"
    assert view.take(message(event("c"))) == []
    view.lose_half()
    assert [one.configuration.id for one in view.take(message(event("c", 2), token="e:2"))] == ["c"]


def test_a_new_snapshot_shows_what_it_changes_and_nothing_twice() -> None:
    view = View()
    view.take(message(event("a"), event("b"), event("c"), token="e:1"))
    view.start_over()
    shown = view.take(message(event("a"), event("c", 2), event("d"), token="f:9"))
    assert [(one.configuration.id, one.effect) for one in shown] == [
        ("b", EFFECT_REMOVE),
        ("c", EFFECT_SET),
        ("d", EFFECT_SET),
    ]
