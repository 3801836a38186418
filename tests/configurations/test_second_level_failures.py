"""A Redis that dies, stalls, is full, or sends garbage: reads are right, and operators can see it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from configsvc.configurations.entries import decoded_entry, encoded_entry
from configsvc.domain.models import KeyRef
from tests.api.calls import get
from tests.app.scraping import measured_service
from tests.configurations.numbers import number_of, set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.configurations.processes import Process, process, web
from tests.redis import RedisServer, needs_redis, redis_server
from tests.service import LIMIT_SECONDS, POLL_SECONDS
from tests.storage.reading import Session
from tests.web.raw_http import ask

pytestmark = needs_redis

REDIS_EVENTS = ("Redis is away: reads go to the database", "Redis is back")


@pytest.fixture
async def redis() -> AsyncGenerator[RedisServer]:
    async with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes look for Redis more often than an operator would want."""
    monkeypatch.setattr("configsvc.redis.lane.HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("configsvc.redis.lane.RECONNECT_LAST_SECONDS", 0.1)


async def until_used(one: Process, *, used: bool) -> None:
    """Wait until the process can use Redis, or cannot."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while one.uses_redis() != used:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def read_in_turn(one: Process, psql: Session, first: int) -> None:
    """Change the configuration and read it, before and after the feed knows."""
    for number in range(first, first + 5):
        revision = await set_number(psql, number)
        one.forget()
        assert (await one.read(web(), revision)).number == number
        await one.fed(revision)
        one.forget()
        assert (await one.read(web())).number == number


async def until_read_from_redis(one: Process, reads: DatabaseReads) -> None:
    """Read until the database is not asked."""
    async with asyncio.timeout(LIMIT_SECONDS):
        before = -1
        while reads.begun != before:
            before = reads.begun
            one.forget()
            await one.read(web())


async def test_reads_go_on_while_redis_is_killed_and_use_it_again_when_it_is_back(
    psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    with capture_logs() as lines:
        async with process(database_url, redis.url) as one:
            await read_in_turn(one, psql, 0)
            await redis.kill()
            await read_in_turn(one, psql, 10)
            await until_used(one, used=False)
            await read_in_turn(one, psql, 20)
            await redis.start()
            await until_used(one, used=True)
            await read_in_turn(one, psql, 30)
            await until_read_from_redis(one, reads)
            assert (await one.read(web())).number == 34
    assert [line["event"] for line in lines if "Redis" in line["event"]] == list(REDIS_EVENTS)


async def test_reads_go_on_while_redis_stalls(
    psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        await read_in_turn(one, psql, 0)
        redis.stall()
        unanswered = one.count("unanswered")
        await read_in_turn(one, psql, 10)
        assert one.count("unanswered") > unanswered
        # Also once the connections have failed, and new ones get no answer either.
        await until_used(one, used=False)
        await read_in_turn(one, psql, 20)
        redis.go_on()
        await until_used(one, used=True)
        await read_in_turn(one, psql, 30)


async def test_reads_go_on_while_redis_is_flushed_and_evicts(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        for number in range(5):
            await redis.client.flushall()
            await read_in_turn(one, psql, 10 * number)


async def test_data_of_an_older_backup_of_redis_is_not_taken_for_the_present(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        await read_in_turn(one, psql, 0)
        await redis.until_entries(1)
        await redis.save()
        await read_in_turn(one, psql, 10)
        await redis.restore()
        await until_used(one, used=True)
        assert len(await redis.entries()) == 1
        one.forget()
        assert (await one.read(web())).number == 14
    await redis.restore()
    async with process(database_url, redis.url) as two:
        assert (await two.read(web())).number == 14
        assert (two.count("used"), two.count("unusable")) == (0, 1)


class Judge:
    """Readers of two processes, whose reads are compared with the log at the end."""

    def __init__(self, processes: tuple[Process, Process]) -> None:
        self.stopped = False
        self.judged: list[tuple[int, int, int | None]] = []
        self._processes = processes

    async def read(self, which: int, name: str) -> None:
        one, last = self._processes[which], 0
        while not self.stopped:
            one.forget()
            least = one.feed.revision
            read = await one.read(KeyRef(application="shop", name=name), least if which else 0)
            assert read.configuration is not None
            assert read.revision >= least
            assert read.configuration.revision >= last
            last = read.configuration.revision
            self.judged.append((read.revision, last, read.number))
            await asyncio.sleep(0.002)


async def write_and_lose(psql: Session, redis: RedisServer, names: list[str]) -> dict[int, tuple[str, int]]:
    """Write in turn, while Redis is flushed and gets its old data again; return what each revision wrote."""
    written: dict[int, tuple[str, int]] = {}
    saved: dict[bytes, bytes] = {}
    for number in range(1, 121):
        name = names[number % len(names)]
        written[await set_number(psql, number, name)] = (name, number)
        if number % 20 == 5:
            saved = await redis.entries()
        if number % 20 == 10:
            await redis.client.flushall()
        if number % 20 == 15 and saved:
            await redis.client.mset(saved)
        await asyncio.sleep(0.005)
    return written


async def test_every_read_of_two_processes_is_that_of_the_log_while_redis_forgets_and_remembers(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    names = ["c0", "c1", "c2"]
    await shop(psql, *names)
    async with process(database_url, redis.url) as one, process(database_url, redis.url) as two:
        judge = Judge((one, two))
        async with asyncio.TaskGroup() as readers:
            for which, name in ((which, name) for which in (0, 1) for name in names):
                readers.create_task(judge.read(which, name))
            written = await write_and_lose(psql, redis, names)
            judge.stopped = True
        used = one.count("used") + two.count("used")
    assert used > 0
    for revision, changed, number in judge.judged:
        name, expected = written.get(changed, ("", 0))
        assert number == expected
        # Nothing has changed it between that commit and the revision that it was shown for.
        assert not [one for one in written if changed < one <= revision and written[one][0] == name]


@pytest.mark.parametrize(("refusal", "error"), [("OOM", "OutOfMemoryError"), ("READONLY", "ReadOnlyError")])
async def test_a_redis_that_refuses_entries_is_read_and_is_offered_entries_again_later(
    psql: Session, database_url: str, redis: RedisServer, refusal: str, error: str
) -> None:
    await shop(psql, "web")
    with capture_logs() as lines:
        async with process(database_url, redis.url) as one:
            await one.read(web())
            await redis.until_entries(1)
            if refusal == "OOM":
                await redis.client.config_set("maxmemory", "1")
            else:
                await redis.client.replicaof("127.0.0.1", "1")
                await redis.client.config_set("replica-serve-stale-data", "yes")
            await until_used(one, used=False)
            one.forget()
            used = one.count("used")
            assert (await one.read(web())).number == 0
            assert one.count("used") == used + 1
            await read_in_turn(one, psql, 10)
            if refusal == "OOM":
                await redis.client.config_set("maxmemory", "0")
            else:
                await redis.client.replicaof("NO", "ONE")
            await until_used(one, used=True)
            await read_in_turn(one, psql, 20)
    told = [line for line in lines if "Redis" in line["event"]]
    assert [line["event"] for line in told] == ["Redis refuses entries", "Redis takes entries again"]
    assert told[0]["error"].startswith(error)


async def test_an_entry_that_was_damaged_is_not_used(
    psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        await one.read(web())
        ((name, value),) = (await redis.until_entries(1)).items()
        flipped = bytes([value[len(value) // 2] ^ 1])
        damaged = (b"", value[:-1], value + b"\0", value[: len(value) // 2] + flipped + value[len(value) // 2 + 1 :])
        for count, bad in enumerate(damaged, start=1):
            await redis.client.set(name, bad)
            one.forget()
            assert (await one.read(web())).number == 0
            assert one.count("unusable") == count
        await redis.client.delete(name)
        await redis.client.lpush(name, "a list")
        one.forget()
        assert (await one.read(web())).number == 0
        assert reads.begun == len(damaged) + 2


async def test_no_damaged_byte_of_an_entry_goes_unnoticed(psql: Session, database_url: str, redis: RedisServer) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        await one.read(web())
        ((name, value),) = (await redis.until_entries(1)).items()
    entry = decoded_entry(name, web(), value, as_text=False)
    assert entry is not None
    assert encoded_entry(name, entry) == value
    for place in range(len(value)):
        for change in (1, 128, 255):
            bad = value[:place] + bytes([value[place] ^ change]) + value[place + 1 :]
            assert decoded_entry(name, web(), bad, as_text=False) is None
        assert decoded_entry(name, web(), value[:place], as_text=False) is None
    assert decoded_entry(name + b"2", web(), value, as_text=False) is None
    assert decoded_entry(name, KeyRef(application="shop", name="api"), value, as_text=False) is None


GARBAGE = {
    "nothing, and the connection closed": b"",
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another type": b":1\r\n",
    "too few": b"*0\r\n",
    "too many": b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    "a list in it": b"*1\r\n*1\r\n$1\r\na\r\n",
    "a length that is none": b"*1\r\n$x\r\n",
    "a long answer that never ends": b"*1\r\n$999999999\r\n" + b"x" * 100_000,
    "an endless list": b"*999999999\r\n" + b"$-1\r\n" * 10_000,
    "random bytes": bytes(range(256)) * 4,
    "an error": b"-LOADING Redis is loading the dataset in memory\r\n",
}


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Run a server that answers whatever it gets with the same bytes; yield its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer and await reader.read(65_536):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_reads_go_on_whatever_a_server_sends(
    psql: Session, database_url: str, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.redis.lane.EXCHANGE_SECONDS", 0.1)
    monkeypatch.setattr(Process, "ready", lambda _: asyncio.sleep(0))
    await shop(psql, "web")
    async with answering(answer) as url, process(database_url, url) as one:
        await read_in_turn(one, psql, 0)
        async with asyncio.timeout(LIMIT_SECONDS):
            while not one.store._reads.failures and answer != GARBAGE["a list in it"]:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        await read_in_turn(one, psql, 10)
        assert one.count("used") == 0


async def test_a_service_starts_and_is_ready_without_its_redis_and_health_shows_it(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    await shop(psql, "web")
    await redis.kill()
    settings: dict[str, Any] = {"redis_url": redis.url, "http_listen": "127.0.0.1:0"}
    async with measured_service(database_url, **settings) as (service, metrics):

        async def redis_state() -> bool:
            reply = await ask(service.http_address, "GET", "/health")
            assert (reply.status, json.loads(reply.body)["status"]) == (200, "SERVING")
            return json.loads(reply.body)["redis"]["reachable"]

        assert not await redis_state()
        assert number_of(await get(service, "web")) == 0
        assert await metrics.value("configsvc_redis_up", use="reads") == 0
        assert await metrics.value("configsvc_redis_lookups_total", outcome="unanswered") == 1
        assert await metrics.value("configsvc_redis_failures_total") > 0
        await redis.start()
        await metrics.until("configsvc_redis_up", 1, use="reads")
        await metrics.until("configsvc_redis_up", 1, use="writes")
        assert await redis_state()
        await set_number(psql, 1)
        assert number_of(await get(service, "web", min_revision=3)) == 1
        await metrics.until("configsvc_redis_entries_total", 1, outcome="stored")
        await metrics.until("configsvc_redis_known_commits", 3)


async def test_without_redis_health_and_metrics_do_not_mention_it(database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0") as (service, metrics):
        assert "redis" not in json.loads((await ask(service.http_address, "GET", "/health")).body)
        assert not [name for name in await metrics.families() if "redis" in name]
