"""A client that sends any bytes, and reads what comes back as HTTP/2 and gRPC."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder

from tests.rpc.raw_http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
)
from tests.service import LIMIT_SECONDS

PRIORITY, PUSH_PROMISE, WINDOW_UPDATE, CONTINUATION = 2, 5, 8, 9
PADDED, WITH_PRIORITY = 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    1,
    2,
    3,
    4,
    5,
    6,
)
(
    NO_ERROR,
    PROTOCOL_ERROR,
    INTERNAL_ERROR,
    FLOW_CONTROL_ERROR,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
    INADEQUATE_SECURITY,
    HTTP_1_1_REQUIRED,
) = range(14)
LARGEST_WINDOW = 2**31 - 1

Fields = Iterable[tuple[str | bytes, str | bytes]]


def setting(name: int, value: int) -> bytes:
    """Return one entry of a SETTINGS frame."""
    return name.to_bytes(2) + value.to_bytes(4)


def settings(*entries: bytes) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(entries))


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def block(fields: Fields) -> bytes:
    """Return headers as HPACK literals that enter no table, so that they mean the same on every connection."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return integer(len(data), 7) + data


def integer(number: int, bits: int, first: int = 0) -> bytes:
    """Return a number as HPACK writes it, in so many bits of its first byte, whose other bits are given."""
    most = 2**bits - 1
    if number < most:
        return bytes((first | number,))
    rest, found = number - most, bytearray((first | most,))
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*found, rest))


def request_fields(path: str, *more: tuple[str | bytes, str | bytes], **changes: str | None) -> list[tuple]:
    """Return the headers of a gRPC request. A change names a header with `_` for `-` and for `:` at its beginning; None
    leaves it out.
    """
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    for name, value in changes.items():
        changed = name.replace("_", ":" if name.startswith("_") else "-", 1).replace("_", "-")
        assert changed in fields, changed
        fields[changed] = value
    return [(name, value) for name, value in fields.items() if value is not None] + list(more)


def headers(stream: int, fields: Fields, *, end: bool = False) -> bytes:
    """Return a HEADERS frame with a whole block."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def begin(stream: int, path: str, *more: tuple[str | bytes, str | bytes], **changes: str | None) -> bytes:
    """Return the headers of a gRPC request, as a frame."""
    return headers(stream, request_fields(path, *more, **changes))


def prefixed(message: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """Return a message with gRPC's prefix, which may lie about its length."""
    return bytes((flag,)) + (len(message) if length is None else length).to_bytes(4) + message


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    """Return DATA frames of the largest size that every server takes."""
    pieces = [payload[at : at + 16_384] for at in range(0, len(payload), 16_384)] or [b""]
    last = len(pieces) - 1
    return b"".join(frame(DATA, END_STREAM if end and at == last else 0, stream, one) for at, one in enumerate(pieces))


def call(stream: int, path: str, message: bytes, *more: tuple[str | bytes, str | bytes]) -> bytes:
    """Return a whole call with one message."""
    return begin(stream, path, *more) + data(stream, prefixed(message), end=True)


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came on one stream so far."""

    blocks: list[list[tuple[str, str]]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    reset: int | None = None
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def last(self) -> dict[str, str]:
        """The last headers: the trailers, once it has ended."""
        return dict(self.blocks[-1]) if self.blocks else {}

    @property
    def outcome(self) -> str:
        """The end in two words: the status of gRPC or of HTTP, or the error code of a reset."""
        if not self.over:
            return "open"
        http = dict(self.blocks[0]).get(":status") if self.blocks else None
        if http not in {None, "200"}:
            return f"http {http}"
        if self.ended and "grpc-status" in self.last:
            return f"status {self.last['grpc-status']}"
        return f"reset {self.reset}" if self.reset is not None else "no status"

    @property
    def flagged(self) -> list[tuple[int, bytes]]:
        """The messages that are there in full, with their flags."""
        found: list[tuple[int, bytes]] = []
        rest = bytes(self.data)
        while len(rest) >= 5 and len(rest) >= (end := 5 + int.from_bytes(rest[1:5])):
            found.append((rest[0], rest[5:end]))
            rest = rest[end:]
        return found


class Raw:
    """A connection. It answers SETTINGS and PING and keeps what came; it opens windows only when told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.settings: dict[int, int] = {}
        self.windows: dict[int, int] = {}
        self.pongs: list[bytes] = []
        # Last stream, code and text of each GOAWAY.
        self.goaways: list[tuple[int, int, bytes]] = []
        self.received = 0
        self.closed = False
        self.silent = False
        # Whether to forget the data of answers.
        self.discards = False
        self._answers: dict[int, Answer] = {}
        self._decoder = Decoder(max_header_list_size=2**20)
        self._fragment = b""
        self._held_back = b""
        self._reader = reader
        self._writer = writer
        self._changed = asyncio.Condition()
        self.reading = asyncio.create_task(self._read())

    def answer(self, stream: int) -> Answer:
        return self._answers.setdefault(stream, Answer())

    @property
    def socket(self) -> Any:
        """The socket of the connection, to set its options."""
        return self._writer.get_extra_info("socket")

    def send(self, *frames: bytes) -> None:
        """Send bytes, whatever they are."""
        self._writer.write(b"".join(frames))

    async def pour(self, frames: Iterable[bytes]) -> None:
        """Send many frames, no faster than they are taken, until the connection is closed."""
        for one in frames:
            if self.closed:
                return
            self.send(one)
            with suppress(ConnectionError):
                await self._writer.drain()

    def speak(self) -> None:
        """Answer what came while the connection was silent."""
        self.silent = False
        self.send(self._held_back)

    def half_close(self) -> None:
        """Send no more, as a client that has shut down its side."""
        self.silent = True
        self._writer.write_eof()

    def stop_reading(self) -> None:
        """Take nothing from the connection any more, so that what the server sends fills its buffers."""
        self.reading.cancel()

    def abort(self) -> None:
        """Close the connection with a TCP reset."""
        self._writer.transport.abort()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, or until nothing more can come."""
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition() or self.closed)

    async def end_of(self, stream: int) -> Answer:
        """Return the answer of a stream once it is over."""
        await self.until(lambda: self.answer(stream).over)
        return self.answer(stream)

    async def until_closed(self) -> None:
        """Wait until the server closes the connection."""
        await self.until(lambda: False)

    async def echoed(self, text: bytes = b"12345678") -> bool:
        """Return whether the server answers a PING, which it does after everything that was sent before."""
        count = len(self.pongs)
        self.send(frame(PING, 0, 0, text))
        await self.until(lambda: len(self.pongs) > count)
        return len(self.pongs) > count

    @property
    def end(self) -> str:
        """The end of the connection in two words."""
        codes = [code for _, code, _ in self.goaways]
        if codes:
            return f"goaway {codes[-1]}"
        return "closed" if self.closed else "open"

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                self.received += 9 + len(payload)
                self._take(head[3], head[4], int.from_bytes(head[5:]) & LARGEST_WINDOW, payload)
                await self._tell()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.closed = True
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        take = {
            DATA: self._take_data,
            HEADERS: self._take_headers,
            CONTINUATION: self._take_headers,
            RST_STREAM: self._take_reset,
            SETTINGS: self._take_settings,
            PING: self._take_ping,
            GOAWAY: self._take_goaway,
            WINDOW_UPDATE: self._take_window_update,
        }.get(kind)
        if take:
            take(flags, stream, payload)
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            self.answer(stream).ended = True

    def _take_data(self, _: int, stream: int, payload: bytes) -> None:
        if not self.discards:
            self.answer(stream).data += payload

    def _take_reset(self, _: int, stream: int, payload: bytes) -> None:
        self.answer(stream).reset = int.from_bytes(payload)

    def _take_settings(self, flags: int, _: int, payload: bytes) -> None:
        if not flags & ACK:
            entries = (payload[at : at + 6] for at in range(0, len(payload), 6))
            self.settings |= {int.from_bytes(entry[:2]): int.from_bytes(entry[2:]) for entry in entries}
            self._answer_with(frame(SETTINGS, ACK, 0, b""))

    def _take_ping(self, flags: int, _: int, payload: bytes) -> None:
        if flags & ACK:
            self.pongs.append(payload)
        else:
            self._answer_with(frame(PING, ACK, 0, payload))

    def _take_goaway(self, _flags: int, _stream: int, payload: bytes) -> None:
        last = int.from_bytes(payload[:4]) & LARGEST_WINDOW
        self.goaways.append((last, int.from_bytes(payload[4:8]), payload[8:]))

    def _take_window_update(self, _: int, stream: int, payload: bytes) -> None:
        self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload)

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        self._fragment += payload
        if flags & END_HEADERS:
            decoded = self._decoder.decode(self._fragment, raw=True)
            self._fragment = b""
            self.answer(stream).blocks.append([(_ascii(name), _ascii(value)) for name, value in decoded])

    def _answer_with(self, answer: bytes) -> None:
        if self.silent:
            self._held_back += answer
        else:
            self.send(answer)


def _ascii(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


@asynccontextmanager
async def tcp(address: str, context: ssl.SSLContext | None = None) -> AsyncGenerator[Raw]:
    """Connect, and send nothing."""
    host, _, port = address.rpartition(":")
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    raw = Raw(reader, writer)
    try:
        yield raw
    finally:
        writer.transport.abort()
        raw.reading.cancel()
        await asyncio.wait((raw.reading,))


@asynccontextmanager
async def raw_connection(
    address: str, *entries: bytes, window: int = 65_535, context: ssl.SSLContext | None = None
) -> AsyncGenerator[Raw]:
    """Connect as HTTP/2 begins, with these settings and window for each stream, and wait for the server's settings."""
    async with tcp(address, context) as raw:
        raw.send(PREFACE, settings(setting(INITIAL_WINDOW_SIZE, window), *entries))
        await raw.until(lambda: bool(raw.settings))
        assert raw.settings, "the connection was closed"
        yield raw
