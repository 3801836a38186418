import asyncio
import struct

import pytest

from bench.loads.http2 import ACK, DATA, END_STREAM, HEADERS, PING, RESET, CallFailedError, Connection, enveloped


class Transport(asyncio.Transport):
    """A transport that keeps everything written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload


def connected() -> tuple[Connection, Transport, list[int], list[tuple[int, bool]]]:
    received: list[int] = []
    ended: list[tuple[int, bool]] = []
    connection = Connection(
        "127.0.0.1:1", "/path", lambda stream, *_: received.append(stream), lambda *end: ended.append(end)
    )
    transport = Transport()
    connection.connection_made(transport)
    return connection, transport, received, ended


@pytest.mark.parametrize("size", range(1, 40))
def test_messages_are_counted_however_their_bytes_are_cut(size: int) -> None:
    connection, _, received, ended = connected()
    first, second = connection.call(b"a"), connection.call(b"b")
    data = enveloped(b"one") + enveloped(b"two")
    sent = b"".join(
        (
            frame(DATA, 0, first, data[:7]),
            frame(DATA, 0, second, enveloped(b"")),
            frame(DATA, 0, first, data[7:]),
            frame(HEADERS, END_STREAM, first, b"trailers"),
            frame(RESET, 0, second, b"\0\0\0\0"),
        )
    )
    for place in range(0, len(sent), size):
        connection.data_received(sent[place : place + size])
    assert received == [second, first, first]
    assert ended == [(first, True), (second, True)]


def test_an_error_is_an_end_without_a_message() -> None:
    connection, _, received, ended = connected()
    stream = connection.call(b"")
    connection.data_received(frame(HEADERS, END_STREAM, stream, b"status"))
    assert (received, ended) == ([], [(stream, False)])


def test_a_lost_connection_ends_its_calls() -> None:
    connection, _, _, ended = connected()
    stream = connection.call(b"")
    connection.connection_lost(None)
    assert ended == [(stream, False)]


def test_a_ping_is_answered() -> None:
    connection, transport, _, _ = connected()
    connection.data_received(frame(PING, 0, 0, b"12345678"))
    assert transport.written.endswith(frame(PING, ACK, 0, b"12345678"))


def test_more_than_the_server_takes_is_an_error() -> None:
    connection, _, _, _ = connected()
    with pytest.raises(CallFailedError):
        connection.call(bytes(100_000))
