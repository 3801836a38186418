"""HTTP/2 by hand, for clients that no library makes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def settings(**values: int) -> bytes:
    """Return a SETTINGS frame with an initial window for each stream."""
    return frame(SETTINGS, 0, 0, b"".join(INITIAL_WINDOW_SIZE.to_bytes(2) + v.to_bytes(4) for v in values.values()))


def call(stream: int, path: str, message: bytes, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a whole gRPC request."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **(metadata or {}),
    }
    # Literals that no table remembers.
    block = b"".join(b"\0" + _string(name) + _string(value) for name, value in headers.items())
    body = b"\0" + len(message).to_bytes(4) + message
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body)


def _string(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


class Connection:
    """A connection that answers SETTINGS and PING, and keeps every other frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frames: list[tuple[int, int, bytes]] = []

    def send(self, *frames: bytes) -> None:
        """Send frames."""
        self._writer.write(b"".join(frames))

    async def until(self, kind: int, stream: int) -> bytes:
        """Return the payload of the first such frame."""
        while True:
            for found, number, payload in self.frames:
                if (found, number) == (kind, stream):
                    return payload
            await self._receive()

    async def until_closed(self) -> None:
        """Wait until the other side closes the connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._receive()

    async def _receive(self) -> None:
        head = await self._reader.readexactly(9)
        kind, flags, payload = head[3], head[4], await self._reader.readexactly(int.from_bytes(head[:3]))
        if kind in {SETTINGS, PING} and not flags & ACK:
            self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        self.frames.append((kind, int.from_bytes(head[5:]), payload))


@asynccontextmanager
async def connection(address: str, *, window: int) -> AsyncGenerator[Connection]:
    """Yield a connection whose streams may send as many bytes as the window has."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        made = Connection(reader, writer)
        made.send(PREFACE, settings(window=window))
        yield made
    finally:
        writer.close()
