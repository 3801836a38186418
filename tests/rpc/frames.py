"""A client that speaks HTTP/2 frame by frame, so that it can do what no library would: begin and not go on."""

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from tests.service import LIMIT_SECONDS

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
MAX_STREAMS, INITIAL_WINDOW = 3, 4
FRAME_BYTES = 16_384
LARGEST_WINDOW = 2**31 - 1


class Frames:
    """One connection. `window` is what may be sent, `windows` that of each stream; `answered` are the streams that have
    headers, `ended` those that ended.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self.settings: dict[int, int] = {}
        self.window = 65_535
        self.windows: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.answered: set[int] = set()
        self.ended: set[int] = set()
        self.closed = False
        self._reader = reader
        self._writer = writer
        self._changed = asyncio.Condition()
        self._write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _settings(window))
        self.reading = asyncio.create_task(self._read())

    def begin(self, path: str, *metadata: tuple[str, str]) -> int:
        """Send the headers of a call, and return the number of its stream."""
        stream = 2 * len(self.windows) + 1
        self.windows[stream] = self.settings[INITIAL_WINDOW]
        self.sent[stream] = 0
        self._write(_frame(HEADERS, END_HEADERS, stream, _headers(path, metadata)))
        return stream

    async def send(self, stream: int, data: bytes) -> None:
        """Send data as fast as the windows allow, until the stream ends."""
        while data and stream not in self.ended:
            await self.until(lambda: stream in self.ended or min(self.window, self.windows[stream]) > 0)
            size = min(self.window, self.windows[stream], FRAME_BYTES)
            piece, data = data[:size], data[size:]
            self.window -= len(piece)
            self.windows[stream] -= len(piece)
            self.sent[stream] += len(piece)
            self._write(_frame(DATA, 0, stream, piece))
            await self._tell()

    def open_window(self) -> None:
        """Let the server send what it has on all streams."""
        self._write(_settings(LARGEST_WINDOW) + _frame(WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4)))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds. Fail if the connection closes before."""
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.closed or condition())
        assert condition(), "the connection was closed"

    def _write(self, data: bytes) -> None:
        self._writer.write(data)

    async def _read(self) -> None:
        try:
            while True:
                high, low, kind, flags, stream = struct.unpack(">BHBBI", await self._reader.readexactly(9))
                self._take(kind, flags, stream, await self._reader.readexactly((high << 16) + low))
                await self._tell()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self.settings |= dict(struct.iter_unpack(">HI", payload))
            self._write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._write(_frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream:
            self.windows[stream] += int.from_bytes(payload)
        elif kind == WINDOW_UPDATE:
            self.window += int.from_bytes(payload)
        if kind == HEADERS:
            self.answered.add(stream)
        if kind == RESET or (kind == HEADERS and flags & END_STREAM):
            self.ended.add(stream)


@asynccontextmanager
async def frames(address: str, *, window: int = 65_535) -> AsyncGenerator[Frames]:
    """Connect, and wait for the server's settings. `window`: what the server may send on each stream."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Frames(reader, writer, window)
    try:
        await connection.until(lambda: bool(connection.settings))
        yield connection
    finally:
        writer.close()
        connection.reading.cancel()
        await asyncio.wait((connection.reading,))


def incomplete(size: int) -> bytes:
    """Return a message as gRPC sends it, without its last byte."""
    return b"\0" + (size - 5).to_bytes(4) + bytes(size - 6)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _settings(window: int) -> bytes:
    return _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, window))


def _headers(path: str, metadata: tuple[tuple[str, str], ...]) -> bytes:
    """Return the headers of a call in HPACK literals, which do not depend on earlier headers."""
    fields = (("content-type", "application/grpc"), ("te", "trailers"), *metadata)
    named = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)
    return b"\x83\x86\x01" + _text("localhost") + b"\x04" + _text(path) + named


def _text(value: str) -> bytes:
    """Return a text as HPACK writes it: a length of 127 or more continues in further bytes."""
    data = value.encode()
    rest = len(data) - 127
    if rest < 0:
        return bytes([len(data)]) + data
    length = b"\x7f"
    while rest > 127:
        length += bytes([rest & 127 | 128])
        rest >>= 7
    return length + bytes([rest]) + data
