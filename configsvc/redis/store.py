"""Entries in Redis: read in batches within a few milliseconds, or not at all, and written whenever there is time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from itertools import islice
from typing import TypeAlias

import structlog

from configsvc.redis.connections import Connection, explanation, is_refusal
from configsvc.redis.lane import Lane, Work
from configsvc.redis.url import RedisUrl
from configsvc.telemetry.families import Families, counter, labelled_counter, labelled_gauge

log = structlog.get_logger()

# Keys and entries of one exchange.
BATCH = 64
# An entry of more is not stored, so that a batch takes no more than some milliseconds.
ENTRY_BYTES = 256 * 1024
# Reads that take longer are not waited for, and no others begin until the answer is there.
READ_SECONDS = 0.005
# As long for writes, for which nobody waits.
WRITE_SECONDS = 0.5
# Before entries are written, others join them: one by one, each costs a round trip.
GATHER_SECONDS = 0.01
# Entries that wait to be written take no more; the others are left out.
WAITING_BYTES = 4 * 1024 * 1024
# Entries go after a day, whether they are used or not.
ENTRY_SECONDS = 86_400

_PROBE = b"configsvc:probe"


Lookup: TypeAlias = tuple[bytes, asyncio.Future[bytes | None]]


class Lookups:
    """Reads that wait for Redis."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str]] = Counter()
        self._waiting: list[Lookup] = []
        self._asked: list[Lookup] = []

    def add(self, key: bytes) -> asyncio.Future[bytes | None]:
        """Return a future of the value of a key; None: there is none, or no answer."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        return future

    async def exchange(self, connection: Connection) -> bool:
        """Read the keys that wait, or try the server if none does. Return whether more wait. Raises anything."""
        self._asked, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        values = await connection.get([key for key, _ in self._asked] or [_PROBE])
        for (_, future), value in zip(self._asked, values, strict=False):
            self._answer(future, value, "missing")
        self._asked = []
        return bool(self._waiting)

    def give_up(self) -> None:
        """Answer those that wait with None."""
        for _, future in (*self._asked, *self._waiting):
            self._answer(future, None, "unanswered")
        self._waiting.clear()

    def _answer(self, future: asyncio.Future[bytes | None], value: bytes | None, outcome: str) -> None:
        # It may have been given up, or its caller may have gone.
        if not future.done():
            future.set_result(value)
            if value is None:
                self.outcomes[outcome,] += 1


class Entries:
    """Entries that wait to be written."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str]] = Counter()
        self._waiting: dict[bytes, bytes] = {}
        self._bytes = 0

    def add(self, key: bytes, value: bytes) -> bool:
        """Add an entry, in place of another of its key. Return whether there was room for it."""
        size = len(key) + len(value)
        if size > ENTRY_BYTES or self._bytes + size > WAITING_BYTES:
            self.outcomes["left_out",] += 1
            return False
        self._forget(key)
        self._waiting[key] = value
        self._bytes += size
        return True

    async def exchange(self, connection: Connection) -> bool:
        """Write a batch, or try the server if there is none. Return whether more wait. Raises anything."""
        batch = dict(islice(self._waiting.items(), BATCH))
        for key in batch:
            self._forget(key)
        await connection.set(batch or {_PROBE: b""}, ENTRY_SECONDS)
        self.outcomes["stored",] += len(batch)
        return bool(self._waiting)

    def give_up(self) -> None:
        """Leave out the entries that wait."""
        self.outcomes["left_out",] += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0

    def _forget(self, key: bytes) -> None:
        value = self._waiting.pop(key, None)
        if value is not None:
            self._bytes -= len(key) + len(value)


class RedisStore:
    """Entries of one Redis, over two connections: reads do not wait for writes. Belongs to one event loop."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._lookups = Lookups()
        self._entries = Entries()
        reading = Work(self._lookups.exchange, self._lookups.give_up, self._reads_failed, self._reads_work)
        writing = Work(self._entries.exchange, self._entries.give_up, self._writes_failed, self._writes_work)
        self._reads = Lane(url, reading, answer_seconds=READ_SECONDS, gather_seconds=0.0)
        self._writes = Lane(url, writing, answer_seconds=WRITE_SECONDS, gather_seconds=GATHER_SECONDS)
        # Each was logged, and not yet that it works again.
        self._is_away = self._is_refusing = False

    @property
    def reachable(self) -> bool:
        """True while Redis answers in time."""
        return self._reads.reachable

    def collect(self) -> Families:
        """Yield the metrics of this process's use of Redis."""
        up = {("reads",): float(self.reachable), ("writes",): float(self._writes.reachable)}
        yield labelled_gauge("redis_up", "1 while Redis answers.", ("use",), up)
        failures = self._reads.failures + self._writes.failures
        yield counter("redis_failures", "Times that a connection to Redis failed.", failures)
        lookups = dict(self._lookups.outcomes)
        yield labelled_counter("redis_lookups", "Lookups of configurations in Redis.", ("outcome",), lookups)
        entries = dict(self._entries.outcomes)
        yield labelled_counter("redis_entries", "Entries for Redis.", ("outcome",), entries)

    def note(self, outcome: str) -> None:
        """Count what became of a value that `get` returned."""
        self._lookups.outcomes[outcome,] += 1

    def get(self, key: bytes) -> Awaitable[bytes | None] | None:
        """Return a future of the value of a key, which ends within some milliseconds; None if Redis is away."""
        if not self.reachable:
            self.note("unanswered")
            return None
        future = self._lookups.add(key)
        self._reads.wake()
        return future

    def put(self, key: bytes, value: bytes) -> None:
        """Write a value when there is time, if Redis takes it."""
        if self._writes.reachable and self._entries.add(key, value):
            self._writes.wake()

    async def run(self) -> None:
        """Exchange with Redis until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reads.run())
            tasks.create_task(self._writes.run())

    def _reads_failed(self, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            reason = explanation(error, self._url)
            log.warning("Redis is away: reads go to the database", redis=self._url.place, error=reason)

    def _reads_work(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("Redis is back", redis=self._url.place)

    def _writes_failed(self, error: Exception) -> None:
        # Of a server that is away, the reads say so.
        if is_refusal(error) and not self._is_away and not self._is_refusing:
            self._is_refusing = True
            log.warning("Redis refuses entries", redis=self._url.place, error=explanation(error, self._url))

    def _writes_work(self) -> None:
        if self._is_refusing:
            self._is_refusing = False
            log.info("Redis takes entries again", redis=self._url.place)
