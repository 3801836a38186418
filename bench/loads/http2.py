"""A gRPC client with minimal processor time: HTTP/2 frames by hand, so that the load takes little of the machine.

It supports only the needs of a benchmark: cleartext, no header compression, flow-control windows that a run never
fills. A grpc.aio client takes more processor time per message than the measured servers.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
PADDED = 8
INITIAL_WINDOW_SIZE = 4
LARGEST_WINDOW = 2**31 - 1
# HTTP/2's initial window of a connection and of each stream.
DEFAULT_WINDOW = 2**16 - 1

_HEADER = struct.Struct(">BHBBI")
_PREFIX_BYTES = 5

Received = Callable[[int, int, int], None]
Ended = Callable[[int, bool], None]


class CallFailedError(RuntimeError):
    """A call or connection that the server ended unexpectedly."""


def enveloped(message: bytes) -> bytes:
    """Return a message as gRPC puts it into DATA: uncompressed, after its length."""
    return b"\0" + len(message).to_bytes(4) + message


class Connection(asyncio.Protocol):
    """One connection.

    `received` is called for each message, with the number of its call, time.monotonic_ns of its arrival and its bytes.
    `ended` is called at the end of each call, with True if it got a message: an error brings none.
    """

    def __init__(self, authority: str, path: str, received: Received, ended: Ended) -> None:
        self._headers = _header_block(authority, path)
        self._received = received
        self._ended = ended
        self._next_stream = 1
        self._window = DEFAULT_WINDOW
        self._rest = b""
        self._partial: dict[int, bytes] = {}
        self._answered: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HIHI", 2, 0, INITIAL_WINDOW_SIZE, LARGEST_WINDOW)
        grown = (LARGEST_WINDOW - DEFAULT_WINDOW).to_bytes(4)
        self._transport.write(PREFACE + _frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, grown))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        for stream in tuple(self._partial):
            self._end(stream)

    def call(self, message: bytes, *, end: bool = True) -> int:
        """Start a call with one message and return its number. `end`: no other message follows."""
        stream, data = self._next_stream, enveloped(message)
        self._next_stream += 2
        self._window -= len(data)
        if self._window < 0:
            raise CallFailedError("the flow-control window of the connection is full")
        self._partial[stream] = b""
        headers = _frame(HEADERS, END_HEADERS, stream, self._headers)
        self._transport.write(headers + _frame(DATA, END_STREAM if end else 0, stream, data))
        return stream

    def close(self) -> None:
        """Close the connection and all its calls."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic_ns()
        buffer = self._rest + data
        position = 0
        while len(buffer) - position >= _HEADER.size:
            high, low, kind, flags, stream = _HEADER.unpack_from(buffer, position)
            end = position + _HEADER.size + (high << 16) + low
            if end > len(buffer):
                break
            self._take(kind, flags, stream, buffer[position + _HEADER.size : end], arrived)
            position = end
        self._rest = buffer[position:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, arrived: int) -> None:
        if kind == DATA:
            self._take_data(flags, stream, payload, arrived)
        elif kind == WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload)
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._transport.write(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            self.close()
        if kind == RESET or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self._end(stream)

    def _take_data(self, flags: int, stream: int, payload: bytes, arrived: int) -> None:
        if flags & PADDED:
            raise CallFailedError("the server pads its data, which this client does not support")
        data = self._partial.get(stream, b"") + payload
        while len(data) >= _PREFIX_BYTES and len(data) >= (size := _PREFIX_BYTES + int.from_bytes(data[1:5])):
            self._answered.add(stream)
            self._received(stream, arrived, size - _PREFIX_BYTES)
            data = data[size:]
        self._partial[stream] = data

    def _end(self, stream: int) -> None:
        if self._partial.pop(stream, None) is not None:
            answered = stream in self._answered
            self._answered.discard(stream)
            self._ended(stream, answered)


async def connect(address: str, path: str, received: Received, ended: Ended) -> Connection:
    """Return a connection for calls of one method, such as /configapi.v1.ConfigurationService/GetConfiguration."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(address, path, received, ended), host, int(port))
    return connection


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEADER.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _header_block(authority: str, path: str) -> bytes:
    """Return the headers of a call in HPACK literals, which do not depend on earlier headers."""
    post, http = b"\x83", b"\x86"
    return b"".join(
        (
            *(post, http, b"\x01" + _text(authority), b"\x04" + _text(path)),
            *(
                b"\0" + _text(name) + _text(value)
                for name, value in (("content-type", "application/grpc"), ("te", "trailers"))
            ),
        )
    )


def _text(value: str) -> bytes:
    # HPACK encodes the length of longer ones differently.
    assert len(value) < 127
    return bytes([len(value)]) + value.encode()
