"""A proxy in front of PostgreSQL or the service, whose network a test can break in every way."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.service import Service, running_service

CHUNK = 65_536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Way:
    """The treatment of one direction's bytes."""

    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    # Seconds, at least and at most: each chunk waits for a random time between.
    delay: tuple[float, float] = (0.0, 0.0)
    # Read and thrown away, as by a network that drops packets.
    drops: bool = False
    # Neither side hears that the other has closed the connection.
    hides_ends: bool = False

    def __post_init__(self) -> None:
        self.flowing.set()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the bytes on until one side closes the connection, which is raised as EndedError."""
        try:
            await self._copy(reader, writer)
        except OSError:
            if not self.hides_ends:
                raise
        if self.hides_ends:
            await asyncio.Event().wait()
        raise EndedError

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self.flowing.wait()
            if self.drops:
                continue
            if self.delay[1]:
                await asyncio.sleep(random.uniform(*self.delay))
            writer.write(data)
            await writer.drain()


class Proxy:
    """A proxy that passes bytes on to a server, from a port of this machine."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._connections: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.to_server = Way()
        self.to_client = Way()

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self._connections)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._is_cut:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        to_server, to_client = self.to_server, self.to_client
        try:
            upstream_reader, upstream_writer = await self._connect()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(to_server.copy(reader, upstream_writer))
                    tasks.create_task(to_client.copy(upstream_reader, writer))
            finally:
                upstream_writer.transport.abort()
        except* (OSError, EndedError):
            pass
        except* asyncio.CancelledError:
            # The connection is cut, so nobody can be told.
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def cut(self) -> None:
        """Drop every connection, and every new one."""
        self._is_cut = True
        await self.drop()

    async def drop(self) -> None:
        """Drop the present connections."""
        dropped = list(self._connections)
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)

    def freeze(self) -> None:
        """Pass nothing on; connections stay open."""
        for way in (self.to_server, self.to_client):
            way.flowing.clear()

    def strand(self) -> None:
        """Pass nothing on for the present connections, ever, without closing them; new ones work."""
        self.freeze()
        self.to_server, self.to_client = Way(), Way()

    def lose(self) -> None:
        """Drop what the present connections send, as if both ends had vanished; new ones work."""
        for way in (self.to_server, self.to_client):
            way.drops = True
        self.to_server, self.to_client = Way(), Way()

    def swallow(self) -> None:
        """Drop what the present connections send, their ends as well; new ones work."""
        for way in (self.to_server, self.to_client):
            way.drops = way.hides_ends = True
        self.to_server, self.to_client = Way(), Way()

    def restore(self) -> None:
        """Pass everything on again."""
        self._is_cut = False
        for way in (self.to_server, self.to_client):
            way.flowing.set()
            way.delay = (0.0, 0.0)
            way.drops = False


class EndedError(Exception):
    """One side closed the connection."""


@asynccontextmanager
async def _listening(proxy: Proxy) -> AsyncGenerator[int]:
    """Yield the port of the proxy."""
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        proxy.restore()
        server.close()
        await proxy.drop()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """Run a proxy in front of the URL's database; yield it and the URL through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
    proxy = Proxy(lambda: asyncio.open_unix_connection(socket))
    async with _listening(proxy) as port:
        yield proxy, f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"


@asynccontextmanager
async def proxied_address(address: str, *, own_host: str = "127.0.0.1") -> AsyncGenerator[tuple[Proxy, str]]:
    """Run a proxy in front of a server; yield it and the address through it. The server sees it as `own_host`."""
    host, _, port = address.rpartition(":")
    proxy = Proxy(lambda: asyncio.open_connection(host, int(port), local_addr=(own_host, 0)))
    async with _listening(proxy) as own_port:
        yield proxy, f"127.0.0.1:{own_port}"


@asynccontextmanager
async def far_service(database_url: str, **settings: Any) -> AsyncGenerator[tuple[Service, Proxy]]:
    """Run a service that reaches its database through a proxy."""
    async with proxied(database_url) as (proxy, url), running_service(url, **settings) as service:
        try:
            yield service, proxy
        finally:
            # Behind a broken network, the service could not shut down in order.
            proxy.restore()
