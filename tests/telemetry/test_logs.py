"""Logs: JSON in a pipe, one line for each call, and never contents."""

import asyncio
import json
import re
import signal
import uuid
from pathlib import Path

import asyncpg
import grpc
import pytest

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest, WatchConfigurationsRequest
from configsvc.domain.content import JsonObject, JsonValue
from configsvc.telemetry.logs import escaped
from tests.api.calls import (
    create,
    create_application,
    get,
    list_request,
    patch,
    update,
)
from tests.process.running import Program, program, serving
from tests.service import connected, struct

MARKER = "xyzzyMARKER"


async def end(running: Program) -> None:
    running.signal(signal.SIGTERM)
    assert await running.exit_code() == 0


async def test_every_call_is_one_line_of_json(tmp_path: Path, database_url: str) -> None:
    request_id = str(uuid.uuid4())
    async with serving(tmp_path, database_url) as (running, service):
        await create_application(service, "shop", request_id=request_id)
        with pytest.raises(grpc.aio.AioRpcError):
            await get(service, "web")
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        await watch.read()
        watch.cancel()
        # Shutdown cancels watches too, but not as their clients do.
        await running.wait_for("call", times=3)
        await end(running)
    calls = running.events("call")
    assert [(call["method"], call["code"], call["request_id"]) for call in calls] == [
        ("ApplicationService/CreateApplication", "OK", request_id),
        ("ConfigurationService/GetConfiguration", "NOT_FOUND", ""),
        ("ConfigurationService/WatchConfigurations", "CANCELLED", ""),
    ]
    assert {call["caller"] for call in calls} == {"anonymous"}
    assert all(call["duration_ms"] > 0 for call in calls)
    assert len({call["call_id"] for call in calls}) == 3
    for line in running.lines:
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_a_read_that_succeeds_is_a_line_at_debug_only(tmp_path: Path, database_url: str, level: str) -> None:
    async with serving(tmp_path, database_url, "--log-level", level) as (running, service):
        await create_application(service, "shop")
        await create(service, "web")
        await get(service, "web")
        with pytest.raises(grpc.aio.AioRpcError):
            await get(service, "api")
        await end(running)
    reads = [call["code"] for call in running.events("call") if call["method"].endswith("/GetConfiguration")]
    assert reads == (["OK", "NOT_FOUND"] if level == "debug" else ["NOT_FOUND"])


async def test_contents_are_never_in_the_logs(tmp_path: Path, database_url: str) -> None:
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    secret: JsonObject = {MARKER: [MARKER, {"a": f"{MARKER}\0"}]}
    good: JsonObject = {MARKER: MARKER}
    async with serving(tmp_path, database_url) as (running, service):
        await create_application(service, "shop", comments=MARKER, reason=MARKER)
        await create(service, "web", good, comments=MARKER, reason=MARKER)
        await patch(service, "web", {"a": MARKER}, reason=MARKER)
        listed = service.configurations.ListConfigurations
        await listed(list_request(contains=struct(good), json_path=f'$.a == "{MARKER}"'))
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        await watch.read()
        await database.execute("ALTER TABLE configurations ADD CONSTRAINT refuses CHECK (name <> 'never')")
        too_large: JsonObject = {f"{MARKER}{number}": list[JsonValue]([1e-300] * 30) for number in range(150)}
        for call in (
            create(service, "web", good),
            create(service, "bad", secret, comments=f"{MARKER}\0", reason=f"{MARKER}\0"),
            create(service, "large", too_large),
            create(service, "never", good, comments=MARKER),
            update(service, "web", configuration=Configuration(name=f"{MARKER} {MARKER}")),
            listed(list_request(json_path=f'$.a = "{MARKER}"')),
            listed(ListConfigurationsRequest(page_token=MARKER)),
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        # A rename locks one table only, so that no read of the feed can deadlock with it.
        await database.execute("ALTER TABLE change_records RENAME COLUMN comments TO remarks")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await create(service, "api", good, comments=MARKER)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        assert MARKER not in str(caught.value)
        watch.cancel()
        await end(running)
    await database.close(timeout=10)
    internal = running.events("internal error")
    assert internal[-1]["call_id"] in str(caught.value.details())
    assert MARKER not in running.text


@pytest.mark.parametrize("form", ["user", "query"])
async def test_the_password_of_the_database_is_never_in_the_logs(tmp_path: Path, database_url: str, form: str) -> None:
    with_password = {
        "user": database_url.replace("@/", ":hunter2@/"),
        "query": f"{database_url}&password=hunter2",
    }
    assert "hunter2" in with_password[form]
    async with serving(tmp_path, with_password[form]) as (running, service):
        await create_application(service, "shop")
        await end(running)
    assert "***" in (await running.wait_for("ready"))["database"]
    assert "hunter2" not in running.text


def test_escapes_show_what_cannot_be_seen_and_nothing_else() -> None:
    assert escaped("Jörg иван 管理者 \\n") == "Jörg иван 管理者 \\n"
    assert escaped("a\u202eb\x1b[31m\n\U000e0041") == "a\\u202eb\\x1b[31m\\n\\U000e0041"


async def test_a_terminal_shows_no_invisible_character_of_a_request(tmp_path: Path, database_url: str) -> None:
    async with program(tmp_path, "serve", listen="127.0.0.1:0", database_url=database_url, log_format="console") as run:
        await run.wait_for_text("127.0.0.1:")
        address = re.search(r"127\.0\.0\.1:[1-9]\d+", run.text)
        assert address, run.text
        async with connected(address[0], asyncio.Event()) as service:
            with pytest.raises(grpc.aio.AioRpcError):
                await create_application(service, "shop", request_id="a\u202eb\x1b[31m\u200b")
        await run.wait_for_text("a\\u202eb\\x1b[31m\\u200b")
    assert "\u202e" not in run.text
