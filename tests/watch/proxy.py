"""A proxy between the service and PostgreSQL that a test can cut or freeze."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

CHUNK = 65_536


class Proxy:
    """Passes bytes on: to a server behind a unix socket, from a port of this machine."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._connections: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        if self._is_cut:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._socket)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._copy(reader, upstream_writer))
                    tasks.create_task(self._copy(upstream_reader, writer))
            finally:
                upstream_writer.transport.abort()
        except* (OSError, EndedError):
            pass
        except* asyncio.CancelledError:
            # Cut: there is nobody to tell.
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        raise EndedError

    async def cut(self) -> None:
        """Drops every connection, and every new one."""
        self._is_cut = True
        await self.drop()

    async def drop(self) -> None:
        """Drops the connections that there are."""
        dropped = list(self._connections)
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)

    def freeze(self) -> None:
        """Passes nothing on; connections stay open."""
        self._flowing.clear()

    def restore(self) -> None:
        """Passes everything on again."""
        self._is_cut = False
        self._flowing.set()


class EndedError(Exception):
    """One side closed the connection."""


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before the database of the URL, and the URL that leads through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    proxy = Proxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        proxy.restore()
        server.close()
        await proxy.drop()
