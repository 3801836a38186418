"""Metrics of calls, reads, watches, feed and database."""

import asyncio
import os
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import grpc
import pytest
from grpc import StatusCode
from prometheus_client import make_wsgi_app
from ruamel.yaml import YAML

from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.app import metrics as endpoint
from configsvc.app.metrics import MAX_CONNECTIONS, BoundedServer
from configsvc.app.run import StartError, run_service
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import RateLimitedError
from tests.api.calls import create, create_application, failing, get, patch
from tests.app.scraping import measured_service
from tests.configurations.numbers import by_id, set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.feed.pausing import fed
from tests.postgres import terminate
from tests.proxy import proxied
from tests.schemas.calls import create_schema
from tests.service import LIMIT_SECONDS, POLL_SECONDS, settings_of
from tests.storage.reading import Session, application
from tests.watch.changing import fill, fill_one_by_one, watching
from tests.watch.recording import recorded, slowly

PROJECT = Path(__file__).parents[2]
DOCUMENT = PROJECT / "docs" / "reference" / "metrics.md"
RULES = PROJECT / "deploy" / "prometheus-rules.yaml"
GET = "ConfigurationService/GetConfiguration"


async def test_the_table_of_metrics_is_complete_and_true(database_url: str) -> None:
    # Nobody listens at that port of Redis.
    everything = {"http_listen": "127.0.0.1:0", "redis_url": "redis://127.0.0.1:1"}
    async with measured_service(database_url, **everything) as (_, metrics):
        families = await metrics.families()
    rows = re.findall(
        r"^\| `(\w+)`\S* \| (\w+) \| \S.* \| \S.* \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert dict(rows) == {
        f"{name}_total" if family.type == "counter" else name: family.type for name, family in families.items()
    }


def test_alerts_and_panels_use_metrics_that_exist_and_every_alert_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    exported = {
        f"{name}_bucket" if kind == "histogram" else name
        for name, kind in re.findall(r"^\| `(\w+)`\S* \| (counter|gauge|histogram) \|", text, re.MULTILINE)
    }
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    panels = text[text.index("## Panels") : text.index("## Alerts")]
    expressions = " ".join(rule["expr"] for rule in rules) + panels
    assert set(re.findall(r"\b(?:configsvc|process)_\w+", expressions)) <= exported
    assert re.findall(r"^\| `(Configsvc\w+)` \|", text, re.MULTILINE) == [rule["alert"] for rule in rules]


def test_prometheus_accepts_the_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_a_watch_that_is_closed_as_a_slow_reader_is_counted(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop(psql, "web")
    monkeypatch.setattr("configsvc.watch.sending.Sending.write", _not_read)
    async with measured_service(database_url) as (service, metrics), slowly(service) as slow:
        with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
            await slow.next()
        await metrics.until("configsvc_slow_readers_closed_total", 1)


async def _not_read(*_: object) -> None:
    raise RateLimitedError("slow reader", retry_seconds=1.0)


async def test_calls_are_counted_by_method_and_code(database_url: str) -> None:
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        await create(service, "web")
        for _ in range(5):
            await get(service, "web")
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await get(service, "api")
        assert await metrics.value("configsvc_calls_total", method=GET, code="OK") == 5
        assert await metrics.value("configsvc_calls_total", method=GET, code="NOT_FOUND") == 1
        assert await metrics.value("configsvc_call_seconds_count", method=GET) == 6
        assert await metrics.value("configsvc_call_seconds_bucket", method=GET, le="+Inf") == 6
        assert await metrics.value("configsvc_call_seconds_sum", method=GET) > 0
        assert await metrics.value("configsvc_write_transactions_total") == 2


async def test_refused_calls_are_counted_by_code_and_reason(database_url: str) -> None:
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        for _ in range(2):
            with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
                await get(service, "web")
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await create(service, "not a name")
        name = "configsvc_refused_calls_total"
        assert await metrics.value(name, code="NOT_FOUND", reason="RESOURCE_NOT_FOUND") == 2
        assert await metrics.value(name, code="INVALID_ARGUMENT", reason="INVALID_REQUEST") == 1


async def test_violations_are_counted_by_schema_and_keyword(database_url: str) -> None:
    document: JsonObject = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        await create_schema(service, "limits", document)
        refused: tuple[JsonObject, ...] = ({"n": 0}, {"n": "one"}, {"n": 0.5, "m": 1}, {})
        for config in refused:
            with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
                await create(service, "web", config, schema=SchemaVersionRef(schema="limits"))
        samples = (await metrics.families())["configsvc_schema_violations"].samples
    counts = {sample.labels["keyword"]: sample.value for sample in samples if sample.name.endswith("_total")}
    assert {sample.labels["schema"] for sample in samples} == {"limits"}
    assert counts == {"minimum": 2, "type": 2, "additionalProperties": 1, "required": 1}


async def test_further_schemas_share_one_name_in_the_metrics(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.validation.checks.COUNTED_PAIRS", 1)
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        for name in ("first", "second", "third"):
            await create_schema(service, name, {"type": "object", "required": ["n"]})
            with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
                await create(service, "web", {}, schema=SchemaVersionRef(schema=name))
        counted = "configsvc_schema_violations_total"
        assert await metrics.value(counted, schema="first", keyword="required") == 1
        assert await metrics.value(counted, schema="(others)", keyword="required") == 2


async def test_reads_of_the_feed_and_events_of_watches_are_counted(psql: Session, database_url: str) -> None:
    await shop(psql, "web", "api")
    async with measured_service(database_url) as (service, metrics), asyncio.timeout(30):
        async with recorded(service) as watch:
            await watch.until_synced()
            await metrics.until("configsvc_watch_events_total", 2)
            before = await metrics.value("configsvc_feed_reads_total")
            await watch.until_revision(await set_number(psql, 1))
            await metrics.until("configsvc_watch_events_total", 3)
            assert await metrics.value("configsvc_feed_reads_total") > before
        await metrics.until("configsvc_watches", 0, state="up_to_date")
        assert await metrics.value("configsvc_watch_events_total") == 3


async def test_hits_and_misses_of_the_cache_are_counted(psql: Session, database_url: str, reads: DatabaseReads) -> None:
    await shop(psql, "web")
    async with measured_service(database_url) as (service, metrics):
        first = await get(service, "web")
        for _ in range(3):
            await by_id(service, first.id)
        assert await metrics.value("configsvc_cache_misses_total") == 1
        assert await metrics.value("configsvc_cache_hits_total") == 3
        assert await metrics.value("configsvc_cache_answers") == 1
        assert await metrics.value("configsvc_cache_bytes") > first.ByteSize()
        await fed(service, await set_number(psql, 1))
        assert await metrics.value("configsvc_cache_answers") == 0
        reads.pause()
        early = asyncio.create_task(get(service, "web"))
        await reads.answered()
        await fed(service, await set_number(psql, 2))
        reads.resume()
        await early
        assert await metrics.value("configsvc_cache_overtaken_total") == 1


async def test_watches_are_counted_by_their_state(psql: Session, database_url: str) -> None:
    await application(psql)
    async with (
        measured_service(database_url) as (service, metrics),
        recorded(service) as quick,
        slowly(service) as slow,
        asyncio.timeout(30),
    ):
        await quick.until_synced()
        while not slow.recording.synced:
            await slow.next()
        await metrics.until("configsvc_watches", 2, state="up_to_date")
        # More than gRPC buffers for a client that does not read.
        await fill_one_by_one(psql, 150)
        await quick.until_revision(151)
        await metrics.until("configsvc_watches", 1, state="blocked")
        await metrics.until("configsvc_watches", 1, state="up_to_date")
        assert await metrics.value("configsvc_watch_lag_revisions") > 0
        assert await metrics.value("configsvc_calls_in_flight") == 2
        while slow.recording.revision < 151:
            await slow.next()
        await metrics.until("configsvc_watch_lag_revisions", 0)
        slow.call.cancel()
        await metrics.until("configsvc_watches", 1, state="up_to_date")
        await metrics.until("configsvc_calls_in_flight", 1)


async def test_a_watch_that_reads_from_the_table_is_behind(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 1)
    await application(psql)
    async with measured_service(database_url) as (service, metrics), asyncio.timeout(30):
        await fed(service, 1)
        await fill(psql, 1, prefix="a")
        await fill(psql, 1, prefix="b")
        await fed(service, 3)
        async with psql.transaction():
            # The feed has read it already; the watch waits for it.
            await psql.execute("LOCK TABLE change_records")
            async with recorded(service, watching(after_revision=0)):
                await metrics.until("configsvc_watches", 1, state="behind")
                assert await metrics.value("configsvc_watch_lag_revisions") == 3


async def test_the_feed_tells_where_it_is_and_what_it_lost(psql: Session, database_url: str) -> None:
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        await create(service, "web", {"n": 1})
        await patch(service, "web", {"n": 2})
        await fed(service, 3)
        assert await metrics.value("configsvc_feed_revision") == 3
        assert await metrics.value("configsvc_feed_live") == 1
        assert await metrics.value("configsvc_ring_parts") == 3
        assert await metrics.value("configsvc_ring_bytes") > 0
        assert await metrics.value("configsvc_database_connections", pool="writes", state="idle") > 0
        await terminate(psql, "configsvc feed")
        await metrics.until("configsvc_feed_connections_lost_total", 1)
        await metrics.until("configsvc_feed_live", 1)


async def test_metrics_are_there_while_the_database_is_away(database_url: str) -> None:
    async with proxied(database_url) as (proxy, url), measured_service(url) as (_, metrics):
        await proxy.cut()
        await metrics.until("configsvc_feed_live", 0)
        assert await metrics.value("configsvc_feed_connections_lost_total") >= 1
        proxy.restore()
        await metrics.until("configsvc_feed_live", 1)


async def test_nothing_is_left_of_the_metrics_when_the_service_ends(database_url: str) -> None:
    before = set(threading.enumerate())
    async with measured_service(database_url) as (_, metrics):
        await metrics.families()
        host, _, port = metrics.address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    assert not [thread for thread in set(threading.enumerate()) - before if "serve_forever" in thread.name]


async def test_a_port_of_metrics_that_is_in_use_keeps_the_service_from_starting(database_url: str) -> None:
    async with measured_service(database_url) as (_, metrics):
        with pytest.raises(StartError, match=metrics.address):
            await run_service(settings_of(metrics_listen=metrics.address), database_url, stop=asyncio.Event())


async def test_a_call_that_fails_inside_is_counted_too(psql: Session, database_url: str) -> None:
    await shop(psql, "web")
    async with measured_service(database_url) as (service, metrics):
        await psql.execute("ALTER TABLE configurations RENAME TO hidden")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(service, "web")
        assert caught.value.code() == StatusCode.INTERNAL
        assert await metrics.value("configsvc_calls_total", method=GET, code="INTERNAL") == 1


async def test_strangers_who_hold_connections_to_the_metrics_take_few_threads_and_keep_nobody_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the kernel has no room for a connection, it is tried again a second later.
    monkeypatch.setattr(BoundedServer, "request_queue_size", 100)
    async with measured_service(database_url) as (_, metrics), AsyncExitStack() as stack:
        before = threading.active_count()
        host, _, port = metrics.address.rpartition(":")
        held: list[asyncio.StreamReader] = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: ")
            held.append(reader)
        assert await metrics.families()
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.gather(*(reader.read() for reader in held[: 100 - MAX_CONNECTIONS]))
            while threading.active_count() > before + MAX_CONNECTIONS:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)


async def test_a_slow_client_of_the_metrics_is_hung_up_on(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with measured_service(database_url) as (_, metrics):
        host, _, port = metrics.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\r\n")
        monkeypatch.setattr(endpoint, "CONNECTION_SECONDS", 0.0)
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await reader.read() == b""
        writer.close()


class CountedServer(BoundedServer):
    """A server that counts its attempts to accept a connection."""

    attempts = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_serving = threading.Event()

    def get_request(self) -> tuple[Any, Any]:
        self.attempts += 1
        return super().get_request()

    def service_actions(self) -> None:
        super().service_actions()
        self.is_serving.set()


def test_a_server_without_a_file_descriptor_pauses_between_its_attempts_to_accept() -> None:
    server = make_server("127.0.0.1", 0, make_wsgi_app(endpoint.new_registry()), CountedServer)
    assert isinstance(server, CountedServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with server, socket.socket() as client:
        assert server.is_serving.wait(LIMIT_SECONDS)
        began = time.monotonic()
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            client.connect(server.server_address)
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while server.attempts < 3 and time.monotonic() - began < LIMIT_SECONDS:
                time.sleep(POLL_SECONDS)
            seconds = time.monotonic() - began
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert server.attempts >= 3
        assert seconds >= 2 * endpoint.PAUSE_SECONDS
        assert client.recv(15) == b"HTTP/1.0 200 OK"
        server.shutdown()
