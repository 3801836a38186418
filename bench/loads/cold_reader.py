"""A new process that reads every configuration once. Run as `bench.loads.cold_reader postgres|redis WHERE`."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import uvloop

from bench.loads import messages
from bench.loads.remote import answer_requests
from bench.report.results import percentile
from configapi.v1.configuration_pb2 import Configuration

# As many as a process of the service has for reads.
CONNECTIONS = 6

# The statement of GetConfiguration by name.
SELECT = """
SELECT
    c.id, c.application_id, c.application, c.name, c.comments, c.config, c.version, commits.revision,
    c.create_time, c.update_time, c.created_by, c.updated_by
FROM configurations AS c
JOIN commits ON commits.id = c.commit_id
WHERE c.application = $1 AND c.name = $2
"""

Read = Callable[[str], Awaitable[bytes]]


class Reader:
    """Callers that share a few connections."""

    def __init__(self, connect: Callable[[], Awaitable[Read]]) -> None:
        self._connect = connect
        self._idle: asyncio.Queue[Read] = asyncio.Queue()
        self._latencies_ms: list[float] = []

    async def handle(self, *, callers: int, rows: int) -> dict[str, float]:
        """Read each row once; return the latency and the processor time of a read, and the seconds of all."""
        for _ in range(min(callers, CONNECTIONS)):
            self._idle.put_nowait(await self._connect())
        names = iter([messages.row_name(row) for row in range(rows)])
        cpu, began = time.process_time(), time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(callers):
                tasks.create_task(self._read_in_turn(names))
        if not rows:
            return {}
        return {
            "p50_ms": percentile(self._latencies_ms, 50),
            "p99_ms": percentile(self._latencies_ms, 99),
            "cpu_us": (time.process_time() - cpu) * 1e6 / rows,
            "seconds": time.monotonic() - began,
        }

    async def _read_in_turn(self, names: Iterator[str]) -> None:
        for name in names:
            began = time.monotonic()
            read = await self._idle.get()
            answer = await read(name)
            self._idle.put_nowait(read)
            self._latencies_ms.append((time.monotonic() - began) * 1000)
            if name.encode() not in answer:
                raise RuntimeError(f"{name} was not found")


async def postgres(url: str) -> Read:
    """Return a function that reads a row and encodes the answer to GetConfiguration."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)

    async def read(name: str) -> bytes:
        found = await connection.fetchrow(SELECT, messages.APPLICATION, name)
        if found is None:
            return b""
        members: dict[str, Any] = dict(found)
        config = json.loads(members.pop("config"))
        message = Configuration(**members)
        message.config.update(config)
        return message.SerializeToString()

    return read


async def redis(address: str) -> Read:
    """Return a function that reads an encoded answer with GET in the Redis protocol."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def read(key: str) -> bytes:
        writer.write(redis_command(b"GET", key.encode()))
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2] if size >= 0 else b""

    return read


def redis_command(*words: bytes) -> bytes:
    """Return a command in the Redis protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def main() -> None:
    kind, where = sys.argv[1:]
    reader = Reader(lambda: postgres(where) if kind == "postgres" else redis(where))
    await answer_requests(reader.handle)


if __name__ == "__main__":
    uvloop.run(main())
