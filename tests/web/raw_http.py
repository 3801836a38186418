"""A client of HTTP/1.1 that sends any bytes, and reads answers as the specification has them."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(b"".join(data))

    async def reply(self, *, head: bool = False) -> Reply:
        """Return the next answer. Raises IncompleteReadError or ConnectionError if the connection ends before."""
        async with asyncio.timeout(LIMIT_SECONDS):
            status, headers = await self.start()
            if status == 100:
                status, headers = await self.start()
            if head or status in (204, 304):
                body = b""
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self.chunks()])
            else:
                body = await self.reader.read()
            return Reply(status=status, headers=headers, body=body)

    async def start(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next answer."""
        line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        return int(status), {name.lower(): value for name, _, value in (entry.partition(": ") for entry in lines)}

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the chunks of the body."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def ended(self) -> bytes:
        """Wait until the server has ended the connection, and return what it has sent before."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.reader.read()


@asynccontextmanager
async def connection(address: str, tls: ssl.SSLContext | None = None, limit: int = 2**26) -> AsyncGenerator[Raw]:
    """Open a connection to an address."""
    host, _, port = address.rpartition(":")
    names: Any = {"server_hostname": "localhost"} if tls else {}
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls, limit=limit, **names)
    try:
        yield Raw(reader=reader, writer=writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def request(method: str, path: str, body: bytes | None = None, **headers: Any) -> bytes:
    """Return the bytes of a request. Underscores in the names of headers stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {headers.pop('Host', 'localhost')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


async def ask(
    address: str, method: str, path: str, body: bytes | None = None, tls: ssl.SSLContext | None = None, **headers: Any
) -> Reply:
    """Send one request on a connection of its own, and return the answer."""
    async with connection(address, tls) as raw:
        raw.send(request(method, path, body, **headers))
        return await raw.reply(head=method == "HEAD")
