"""Entries in Redis: read in batches within a few milliseconds, or not at all, and written whenever there is time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from itertools import islice

import structlog

from configsvc.redis.connections import Connection, explanation, is_refusal
from configsvc.redis.lane import Lane
from configsvc.redis.url import RedisUrl
from configsvc.telemetry.families import Families, counter, labelled_counter, labelled_gauge

log = structlog.get_logger()

# A read that takes longer is not waited for.
ANSWER_SECONDS = 0.005
# Turns of the event loop before it counts as late: an answer may have arrived while the loop was busy.
LATE_TURNS = 4
# Keys and entries of one exchange.
BATCH = 64
# An entry of more is not stored, so that a batch takes no more than some milliseconds.
ENTRY_BYTES = 256 * 1024
# Entries that wait to be written take no more; the others are left out.
WAITING_BYTES = 4 * 1024 * 1024
# Entries go after a day, whether they are used or not.
ENTRY_SECONDS = 86_400

_PROBE = b"configsvc:probe"


class Lookups:
    """Reads that wait for Redis. While it is away or late, they are refused at once."""

    def __init__(self) -> None:
        self.late = False
        self.outcomes: Counter[tuple[str]] = Counter()
        self._waiting: list[tuple[bytes, asyncio.Future[bytes | None]]] = []
        self._asked: list[tuple[bytes, asyncio.Future[bytes | None]]] = []

    def add(self, key: bytes) -> asyncio.Future[bytes | None]:
        """Return a future of the value of a key; None: there is none, or no answer."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        return future

    async def exchange(self, connection: Connection) -> bool:
        """Read the keys that wait, or try the server if none does. Return whether more wait. Raises anything."""
        self._asked, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._look, self._asked, LATE_TURNS)
        try:
            values = await connection.get([key for key, _ in self._asked] or [_PROBE])
        finally:
            timer.cancel()
        asked, self._asked, self.late = self._asked, [], False
        for (_, future), value in zip(asked, values, strict=False):
            if not future.done():
                if value is None:
                    self.outcomes["missing",] += 1
                future.set_result(value)
        return bool(self._waiting)

    def _look(self, asked: list[tuple[bytes, asyncio.Future[bytes | None]]], turns: int) -> None:
        if asked is not self._asked:
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._look, asked, turns - 1)
        else:
            self.late = True
            self.give_up()

    def give_up(self) -> None:
        """Answer those that wait with None."""
        for _, future in (*self._asked, *self._waiting):
            if not future.done():
                self.outcomes["unanswered",] += 1
                future.set_result(None)
        self._waiting.clear()


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
        self._reads = Lane(url, self._read, self._lookups.give_up, failed=self._reads_failed, works=self._reads_work)
        self._writes = Lane(
            url, self._write, self._entries.give_up, failed=self._writes_failed, works=self._writes_work
        )
        # Each was logged, and not yet that it works again.
        self._is_away = self._is_refusing = False

    @property
    def reachable(self) -> bool:
        """True while Redis answers in time."""
        return self._reads.up and not self._lookups.late

    def collect(self) -> Families:
        """Yield the metrics of this process's use of Redis."""
        up = {("reads",): float(self.reachable), ("writes",): float(self._writes.up)}
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
        if self._writes.up and self._entries.add(key, value):
            self._writes.wake()

    async def run(self) -> None:
        """Exchange with Redis until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reads.run())
            tasks.create_task(self._writes.run())

    async def _read(self, connection: Connection) -> None:
        if await self._lookups.exchange(connection):
            self._reads.wake()

    async def _write(self, connection: Connection) -> None:
        if await self._entries.exchange(connection):
            self._writes.wake()

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
