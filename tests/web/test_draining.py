"""The end of a server with HTTP clients: every call is answered or refused, and what was refused was not done."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from tests.api.calls import create_application
from tests.postgres import plain_connection
from tests.process.running import serving
from tests.service import LIMIT_SECONDS, running_service, wait_for_health
from tests.storage.reading import wait_until_blocked
from tests.web.raw_http import Raw, Reply, connection, request

CONFIGURATIONS = "/api/v1/applications/shop/configurations"
GET = request("GET", "/api/v1/applications")


def creation(name: str) -> bytes:
    return request("POST", CONFIGURATIONS, json.dumps({"name": name, "config": {}}).encode())


class Crowd:
    """Clients that create configurations one after the other until the server can no longer be reached."""

    def __init__(self, address: str) -> None:
        self.created: set[str] = set()
        self.refused: set[str] = set()
        # Requests without any byte of an answer, and answers that broke off.
        self.unanswered: Counter[str] = Counter()
        self.broken: list[str] = []
        self.others: list[Reply] = []
        self.busy = asyncio.Event()
        self._address = address

    async def call(self, client: str) -> None:
        """Call on one connection after the other, each as long as the server keeps it."""
        number = 0
        while not self.others:
            try:
                async with connection(self._address) as raw:
                    while await self._create(raw, f"{client}-{number}"):
                        number += 1
                    number += 1
            except ConnectionRefusedError:
                return
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                partial = getattr(error, "partial", b"")
                if partial:
                    self.broken.append(f"{client}-{number}: {partial[:100]!r}")
                self.unanswered[type(error).__name__] += 1
                number += 1

    async def _create(self, raw: Raw, name: str) -> bool:
        """Create a configuration, and return whether the connection is good for another one."""
        raw.send(creation(name))
        reply = await raw.reply()
        if reply.status == 200:
            self.created.add(name)
        elif reply.status == 503 and b"SHUTTING_DOWN" in reply.body:
            self.refused.add(name)
        else:
            self.others.append(reply)
            self.busy.set()
        if len(self.created) > 300:
            self.busy.set()
        return reply.headers.get("connection") != "close"


@asynccontextmanager
async def crowd(address: str, clients: int) -> AsyncGenerator[Crowd]:
    """Let clients call; at the end, wait until each was refused a connection."""
    made = Crowd(address)
    async with asyncio.timeout(3 * LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(made.call(f"c-{number}"))
        yield made


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stop_under_load_loses_no_call_and_breaks_no_answer(
    tmp_path: Path, database_url: str, workers: str
) -> None:
    async with serving(tmp_path, database_url, http_listen="127.0.0.1:0", workers=workers) as (running, service):
        await create_application(service)
        async with crowd(service.http_address, 150) as clients:
            await clients.busy.wait()
            running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert (clients.broken, clients.others) == ([], [])
    async with plain_connection(database_url) as session:
        stored = {row["name"] for row in await session.fetch("SELECT name FROM configurations")}
    assert stored >= clients.created
    assert not stored & clients.refused
    # Only a connection that the kernel had not yet handed over can end without an answer: nothing was done for it.
    assert stored == clients.created
    assert not running.events("grace period over: calls in flight were cancelled")
    assert "Traceback" not in running.text
    assert not [line for line in running.lines if not line.startswith("{")]


async def test_calls_in_flight_are_answered_and_their_connections_and_idle_ones_end(
    database_url: str,
) -> None:
    async with running_service(database_url, grace_seconds=LIMIT_SECONDS, http_listen="127.0.0.1:0") as service:
        await create_application(service)
        async with (
            plain_connection(database_url) as session,
            connection(service.http_address) as busy,
            connection(service.http_address) as idle,
            connection(service.http_address) as late,
        ):
            for raw in (idle, late):
                raw.send(GET)
                assert "connection" not in (await raw.reply()).headers
            async with session.transaction():
                await session.execute("SELECT FROM commit_order FOR UPDATE")
                busy.send(creation("web"))
                await wait_until_blocked(session)
                service.stop.set()
                await wait_for_health(service, HealthCheckResponse.NOT_SERVING)
                late.send(GET)
                refused = await late.reply()
                assert (refused.status, refused.headers["connection"]) == (503, "close")
                assert json.loads(refused.body)["details"][0]["reason"] == "SHUTTING_DOWN"
                assert await idle.ended() == b""
                with pytest.raises(ConnectionRefusedError):
                    async with connection(service.http_address):
                        pass
            reply = await busy.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await busy.ended() == b""


async def test_a_call_that_lasts_beyond_the_grace_period_is_cut_off(database_url: str) -> None:
    async with (
        plain_connection(database_url) as session,
        session.transaction(),
        running_service(database_url, grace_seconds=0.5, http_listen="127.0.0.1:0") as service,
        connection(service.http_address) as raw,
    ):
        await create_application(service)
        await session.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")
        raw.send(creation("web"))
        await wait_until_blocked(session)
        service.stop.set()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await raw.reply()


async def test_a_second_signal_ends_everything_at_once(tmp_path: Path, database_url: str) -> None:
    arguments = ("--shutdown-grace-seconds", "3600")
    async with serving(tmp_path, database_url, *arguments, http_listen="127.0.0.1:0") as (running, service):
        await create_application(service)
        async with plain_connection(database_url) as session, session.transaction():
            await session.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")
            async with connection(service.http_address) as raw:
                raw.send(creation("web"))
                await wait_until_blocked(session)
                running.signal(signal.SIGTERM)
                await running.wait_for("stopping")
                running.signal(signal.SIGTERM)
                assert await running.exit_code() == 0
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await raw.reply()
        assert "Traceback" not in running.text


async def test_old_connections_are_asked_to_close(database_url: str) -> None:
    async with (
        running_service(database_url, connection_age_seconds=0.5, http_listen="127.0.0.1:0") as service,
        connection(service.http_address) as raw,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        raw.send(GET)
        while (reply := await raw.reply()).headers.get("connection") != "close":
            assert reply.status == 200
            raw.send(GET)
        assert reply.status == 200
        assert await raw.ended() == b""
