"""Exports and imports as JSON lines."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest
from configsvc.domain.access import Role
from configsvc.web import streams
from tests.access.people import Person, as_, make, unbind, until_known
from tests.app.scraping import measured_service
from tests.client.clients import address_of, client_of
from tests.identity.tokens import oidc_settings
from tests.service import POLL_SECONDS, Door, Service, running_service
from tests.storage.reading import Session, application
from tests.watch.changing import create, fill
from tests.web.event_streams import answer, connection, head, requested
from tests.web.test_events import violations
from tests.web.watching import LIMIT_SECONDS, end_of

EXPORT = "/api/v1/configurations:export"
IMPORT = "/api/v1/configurations:import"
LINES = {"content-type": "application/x-ndjson"}
OWNER = Person(name="owner", role=Role.EDITOR, application="shop")


def item(name: str, **config: Any) -> dict[str, Any]:
    return {"application": {"name": "shop"}, "name": name, "config": config}


def line_of(*items: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"items": items, **fields}).encode() + b"\n"


async def imported(service: Service, *lines: bytes, query: str = "", **headers: str) -> tuple[int, Any]:
    """Send an import at once; return the status and the answer."""
    async with requested(
        service.http_address, IMPORT + query, method="POST", headers=LINES | headers, body=b"".join(lines)
    ) as found:
        return found.status, await found.json()


async def until_names(service: Service, *names: str) -> None:
    """Wait until the application has exactly these configurations."""
    async with asyncio.timeout(LIMIT_SECONDS), client_of(address_of(service)) as configs:
        changes = configs.changes()
        while set(configs.snapshot()) != set(names):
            await anext(changes)


async def names_of(service: Service) -> list[str]:
    response = await service.configurations.ListConfigurations(ListConfigurationsRequest())
    return sorted(one.name for one in response.configurations)


@asynccontextmanager
async def sending(service: Service, **headers: str) -> AsyncGenerator[tuple[Any, asyncio.StreamReader]]:
    """Begin an import of chunks; yield a function that sends one, and the reader of the answer."""
    async with connection(service.http_address) as (reader, writer):
        writer.write(head("POST", IMPORT, LINES | {"transfer-encoding": "chunked"} | headers))

        def send(data: bytes) -> None:
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))

        yield (send, writer), reader


async def test_an_export_is_one_message_a_line(http: Service, psql: Session) -> None:
    await create(http, "web", {"b": 3, "a": 1.5})
    await fill(psql, 20, size=100_000)
    async with requested(http.http_address, EXPORT) as export:
        assert export.status == 200
        assert export.headers["content-type"] == "application/x-ndjson"
        lines = await export.lines()
    assert len(lines) > 1
    items = [one for line in lines for one in line["items"]]
    assert len(items) == 21
    assert items[-1]["config"] == {"b": 3, "a": 1.5}
    assert all(line["epoch"] for line in lines)


async def test_an_error_before_an_export_begins_is_an_answer(http: Service) -> None:
    async with requested(http.http_address, EXPORT + "?application=bank") as export:
        assert export.status == 404
        assert end_of(await export.json())[1] == "RESOURCE_NOT_FOUND"


async def test_an_error_in_the_middle_of_an_export_is_its_last_line(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    settings = oidc_settings(tmp_path, http_listen="127.0.0.1:0")
    async with running_service(database_url, **settings) as service:
        await make(service, psql, "shop", OWNER)
        await until_known(service, psql)
        await fill(psql, 80, size=250_000)
        path = EXPORT + "?application=shop"
        async with requested(service.http_address, path, headers=dict(as_(OWNER)), receive_bytes=1024) as export:
            first = await anext(export.chunks())
            await unbind(psql, OWNER)
            # The rest is small enough to arrive before the service knows.
            await until_known(service, psql)
            lines = (first + await export.body()).splitlines()
    assert all("items" in json.loads(line) for line in lines[:-1])
    assert end_of(json.loads(lines[-1])["error"])[0] is StatusCode.PERMISSION_DENIED


async def test_an_export_whose_client_leaves_ends(psql: Session, database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0") as (service, metrics):
        await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
        await fill(psql, 80, size=250_000)
        async with requested(service.http_address, EXPORT, receive_bytes=1024) as export:
            await anext(export.chunks())
            await metrics.until("configsvc_calls_in_flight", 1)
            export.leave()
            await metrics.until("configsvc_calls_in_flight", 0)
        name = "ConfigurationService/ExportConfigurations"
        await metrics.until("configsvc_calls_total", 1, method=name, code="CANCELLED")


async def test_an_import_takes_lines_of_any_kind_of_ending(http: Service) -> None:
    lines = (
        b"\n\r\n  \n",
        line_of(item("a")).replace(b"\n", b"\r\n"),
        b"\n",
        line_of(item("b")),
        line_of(item("c"))[:-1],
    )
    status, operation = await imported(http, *lines)
    assert status == 200, operation
    assert operation["name"].startswith("operations/")
    await until_names(http, "a", "b", "c")


async def test_parameters_and_headers_are_the_settings_of_an_import(http: Service) -> None:
    await create(http, "a", {"old": 1})
    key = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    answers = [
        await imported(
            http, line_of(item("a", new=2)), line_of(item("b")), query="?upsert=true", **{"idempotency-key": key}
        )
        for _ in range(2)
    ]
    assert [status for status, _ in answers] == [200, 200], answers
    assert len({one["name"] for _, one in answers}) == 1
    await until_names(http, "a", "b")
    status, refused = await imported(http, line_of(item("a")), query="?nonsense=1")
    assert status == 400
    assert end_of(refused)[1] == "UNSUPPORTED_FIELD"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b"{", "line 3: body"),
        (b"[]", "line 3: body"),
        (b"\xff", "line 3: body"),
        (b'{"nonsense": 1}', "line 3: nonsense"),
        (b'{"items": [{"name": 1}]}', "line 3: items[0].name"),
    ],
)
async def test_a_fault_in_a_line_is_told_with_its_number_and_nothing_is_imported(
    http: Service, bad: bytes, field: str
) -> None:
    status, refused = await imported(http, line_of(item("a")), b"\n", bad + b"\n", line_of(item("b")))
    assert status == 400
    assert [violation["field"] for violation in violations(refused)] == [field]
    assert await names_of(http) == []


@pytest.mark.parametrize("ends", [True, False], ids=["with an end", "without an end"])
async def test_a_line_that_is_too_long_is_refused(http: Service, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 100_000)
    async with sending(http) as ((send, writer), reader):
        send(line_of(item("a")))
        send(b" " * 50_000)
        send(b" " * 50_000 + (b"{}\n" if ends else b" "))
        refused = await answer(reader, writer)
        assert refused.status == 400
        (violation,) = violations(await refused.json())
    assert violation["field"] == "line 2"


async def test_a_line_that_does_not_arrive_in_time_ends_the_import(
    http: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "UPLOAD_LINE_SECONDS", 0.2)
    async with sending(http) as ((send, writer), reader):
        send(line_of(item("a")))
        send(b'{"items":')
        refused = await answer(reader, writer)
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert end_of(await refused.json())[1] == "RATE_LIMITED"
    assert await names_of(http) == []


async def test_an_import_whose_client_leaves_imports_nothing(psql: Session, database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0") as (service, metrics):
        await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
        async with sending(service) as ((send, writer), _):
            send(line_of(item("a")))
            async with asyncio.timeout(LIMIT_SECONDS):
                while not await psql.fetchval("SELECT count(*) FROM operation_items"):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
            writer.transport.abort()
            await metrics.until("configsvc_calls_in_flight", 0)
        name = "ConfigurationService/ImportConfigurations"
        await metrics.until("configsvc_calls_total", 1, method=name, code="CANCELLED")
        assert await names_of(service) == []
        assert not await psql.fetchval("SELECT count(*) FROM operations WHERE state <> 'STAGING'")


async def test_a_role_that_is_lost_ends_an_import(database_url: str, psql: Session, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path, http_listen="127.0.0.1:0")
    async with running_service(database_url, **settings) as service:
        await make(service, psql, "shop", OWNER)
        await until_known(service, psql)
        async with sending(service, **dict(as_(OWNER))) as ((send, writer), reader):
            send(line_of(item("a")))
            async with asyncio.timeout(LIMIT_SECONDS):
                while not await psql.fetchval("SELECT count(*) FROM operation_items"):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
            await unbind(psql, OWNER)
            refused = await answer(reader, writer)
            assert refused.status == 403


async def test_an_import_without_lines_is_refused(http: Service) -> None:
    status, _ = await imported(http, b"\n")
    assert status == 400


async def test_an_export_over_http_1_0_that_is_cut_off_ends_with_a_broken_connection(
    database_url: str, psql: Session
) -> None:
    await application(psql)
    await fill(psql, 80, size=200_000)
    async with AsyncExitStack() as stack:
        async with running_service(database_url, door=Door.HTTP, grace_seconds=0.1) as service:
            reader, writer = await stack.enter_async_context(connection(service.http_address, receive_bytes=1024))
            writer.write(head("GET", EXPORT, {}).replace(b"HTTP/1.1", b"HTTP/1.0"))
            assert (await reader.readline()).split()[1] == b"200"
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
