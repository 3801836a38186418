"""The client for programs without a loop, in programs of their own."""

import asyncio
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from configsvc.client import Change, ConfigError, NotReadyError
from configsvc.client.blocking import ConfigClient
from tests.client.clients import LIMIT_SECONDS, proxied, put, run_program, until, wait_until
from tests.process.running import serving
from tests.service import Service
from tests.storage.reading import Session

READS = """
import sys
from configsvc.client.blocking import ConfigClient
with ConfigClient(sys.argv[1], application="shop") as configs:
    limits = configs["limits"]
    print(limits["n"], sorted(configs.snapshot()), configs.get("other"), configs.status.source)
"""

FOLLOWS = """
import sys
from dataclasses import dataclass
from configsvc.client.blocking import ConfigClient

@dataclass
class Limits:
    n: int

with ConfigClient(sys.argv[1], application="shop") as configs:
    limits = configs.bind("limits", Limits)
    changes = configs.changes("limits")
    print("ready", flush=True)
    for change in changes:
        bound = limits.value.n
        print(change.after.content["n"], bound, configs["limits"]["n"], flush=True)
        if bound >= 3:
            break
"""

OUTLIVES_NOTHING = """
import gc, os, sys, threading, time
from configsvc.client.blocking import ConfigClient
from configsvc.client import NotReadyError
for address in (sys.argv[1], sys.argv[1], sys.argv[2]):
    ended = threading.Event()
    def follow(changes):
        for change in changes: pass
        ended.set()
    configs = ConfigClient(address, application="shop", start_timeout=5 if address == sys.argv[1] else 0.2)
    configs.on_change(lambda change: None)
    threading.Thread(target=follow, args=(configs.changes(),)).start()
    try:
        configs.start()
    except NotReadyError:
        assert address == sys.argv[2]
    configs.close()
    assert ended.wait(10)
    for _ in range(500):
        gc.collect()
        if threading.active_count() == 1: break
        time.sleep(0.01)
    assert threading.active_count() == 1, threading.enumerate()
"""

FORGETS_TO_CLOSE = """
import sys
from configsvc.client.blocking import ConfigClient
configs = ConfigClient(sys.argv[1], application="shop")
configs.start()
configs.on_change(print)
print(configs["limits"]["n"])
"""

IS_INTERRUPTED = """
import os, signal, sys, threading
from configsvc.client.blocking import ConfigClient
configs = ConfigClient(sys.argv[1], application="shop", start_timeout=60)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    configs.start()
except KeyboardInterrupt:
    print(sorted(thread.name for thread in threading.enumerate() if "configsvc" in thread.name))
"""


async def test_a_program_without_a_loop_reads_from_memory(address: str, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    assert await run_program(READS, address) == "1 ['limits'] None service\n"


async def test_a_program_without_a_loop_waits_for_changes(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    running = asyncio.create_task(run_program(FOLLOWS, service.address))
    for number in (2, 3):
        # It may begin at any time: what it then sees last is what there is.
        await asyncio.sleep(0)
        await put(psql, "limits", f'{{"n": {number}}}')
    for number in count(4):
        if running.done():
            break
        await psql.execute("UPDATE configurations SET config = jsonb_build_object('n', $1::bigint)", number)
        await asyncio.wait((running,), timeout=0.1)
    _, *lines = (await running).splitlines()
    seen = [[int(part) for part in line.split()] for line in lines]
    # What was read later is never older.
    assert all(numbers == sorted(numbers) for numbers in seen)
    assert seen[-1][1] >= 3


async def test_nothing_outlives_the_close(address: str, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    await run_program(OUTLIVES_NOTHING, address, "http://127.0.0.1:9" if address.startswith("http") else "127.0.0.1:9")


async def test_a_program_that_forgets_to_close_ends(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    assert await run_program(FORGETS_TO_CLOSE, service.address) == "1\n"


async def test_an_interrupt_ends_the_start_and_its_thread() -> None:
    assert await run_program(IS_INTERRUPTED, "127.0.0.1:9") == "[]\n"


def test_the_start_is_bounded_and_says_what_is_wrong() -> None:
    with pytest.raises(NotReadyError, match="UNAVAILABLE"):
        ConfigClient("127.0.0.1:9", application="shop", start_timeout=0.5).start()


async def test_it_works_beside_another_loop_of_the_same_process(
    tmp_path: Path, database_url: str, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"n": 1}')
    async with serving(tmp_path, database_url) as (_, service):
        seen: list[int] = []

        def follow() -> None:
            with ConfigClient(service.address, application="shop") as configs:
                for number in range(2, 10):
                    changes = configs.changes()
                    asyncio.run_coroutine_threadsafe(put(psql, "limits", f'{{"n": {number}}}'), loop).result()
                    change = next(changes)
                    seen.append(change.after.content["n"] if change.after else 0)

        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.to_thread(follow)
        assert seen == list(range(2, 10))
    assert "Exception" not in caplog.text


class Readers:
    """Threads that compare two configurations that every commit makes equal."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.torn: list[object] = []
        self.reads = 0

    def follow(self, address: str) -> None:
        """Read until a commit says that it is the last one."""
        with ConfigClient(address, application="shop") as configs:
            threads = [threading.Thread(target=self._read, args=(configs,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: configs["a"]["n"] == 20)
            self.over.set()
            for thread in threads:
                thread.join()

    def _read(self, configs: ConfigClient) -> None:
        while not self.over.is_set():
            snapshot = configs.snapshot()
            self.reads += 1
            if snapshot["a"] != snapshot["b"]:
                self.torn.append(snapshot)


async def test_threads_read_whole_views_while_they_change(service: Service, psql: Session) -> None:
    await put(psql, "a", '{"n": 0}')
    await put(psql, "b", '{"n": 0}')
    readers = Readers()
    following = asyncio.create_task(asyncio.to_thread(readers.follow, service.address))
    while not following.done():
        for number in range(21):
            await psql.execute("UPDATE configurations SET config = jsonb_build_object('n', $1::int)", number)
        await asyncio.wait((following,), timeout=0.1)
    await following
    assert readers.reads
    assert readers.torn == []


@dataclass
class Limits:
    n: int


class Calling:
    """A client whose callbacks use it: each does what can wait for the others, or for the feed."""

    def __init__(self, address: str) -> None:
        self.configs = ConfigClient(address, application="shop")
        self.configs.start()
        self.bound, self.waited, self.seen = list[int](), list[int](), list[int]()
        self.closed = threading.Event()
        for callback in (self._bind, self._wait, self._see, self._close):
            self.configs.on_change(callback, "limits")

    def _bind(self, _: Change) -> None:
        self.bound.append(self.configs.bind("limits", Limits).value.n)

    def _wait(self, _: Change) -> None:
        change = next(self.configs.changes("limits"), None)
        if change and change.after:
            self.waited.append(change.after.content["n"])

    def _see(self, change: Change) -> None:
        self.seen.append(change.after.content["n"] if change.after else 0)

    def _close(self, change: Change) -> None:
        if change.after and change.after.content["n"] == 4:
            self.configs.close()
            self.closed.set()


async def test_callbacks_that_bind_wait_for_changes_and_close_neither_stop_nor_deadlock_the_feed(
    service: Service, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"n": 1}')
    calling = await asyncio.to_thread(Calling, service.address)
    await put(psql, "limits", '{"n": 2}')
    await until(lambda: calling.seen == [2] and calling.bound == [2])
    # The callback that waits for it now is called for the one before.
    while not calling.waited:
        await psql.execute("""UPDATE configurations SET config = '{"n": 3}', comments = comments || 'x'""")
        await asyncio.sleep(0.01)
    await put(psql, "limits", '{"n": 4}')
    assert await asyncio.to_thread(calling.closed.wait, LIMIT_SECONDS)
    await asyncio.to_thread(calling.configs.close)
    assert calling.configs["limits"] == {"n": 4}
    await until(lambda: not [one for one in threading.enumerate() if one.name.startswith("configsvc")])
    assert calling.waited[0] == 3
    assert "a callback failed" not in caplog.text
    assert "still running" not in caplog.text


async def test_a_client_that_is_ready_is_closed_while_the_network_is_frozen(
    address: str, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"n": 1}')
    async with proxied(address) as (network, behind):
        configs = ConfigClient(behind, application="shop")
        await asyncio.to_thread(configs.start)
        network.freeze()
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.to_thread(configs.close)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("configsvc")]
        assert configs["limits"] == {"n": 1}
        network.restore()
    assert "still running" not in caplog.text


def test_a_close_ends_a_start_that_waits() -> None:
    configs = ConfigClient("127.0.0.1:9", application="shop", start_timeout=60.0)
    threading.Timer(0.3, configs.close).start()
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="closed while starting"):
        configs.start()
    assert time.monotonic() - begun < LIMIT_SECONDS
    with pytest.raises(ConfigError, match="once"):
        configs.start()


def test_a_loop_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("too many open files")

    monkeypatch.setattr("asyncio.events.new_event_loop", fail)
    with pytest.raises(OSError, match="too many open files"):
        ConfigClient("127.0.0.1:9", application="shop", start_timeout=60.0).start()
