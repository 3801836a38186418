"""Messages within a body, and the trailers that end a call."""

import zlib

import pytest
from google.rpc.code_pb2 import INTERNAL, RESOURCE_EXHAUSTED
from google.rpc.status_pb2 import Status

from configsvc.domain.sizes import MAX_REQUEST_BYTES
from configsvc.http2.framing import MessageReader, framed, framed_gzip
from configsvc.http2.refusals import RefusedError
from configsvc.http2.trailers import percent_encoded, trailers_of


def read(body: bytes, encoding: bytes = b"gzip") -> bytes | None:
    reader = MessageReader(encoding)
    reader.add(body)
    return reader.message()


def compressed(data: bytes) -> bytes:
    return b"\1" + len(data).to_bytes(4) + data


def test_a_message_is_read_in_pieces_of_any_size() -> None:
    reader = MessageReader(b"")
    found: list[bytes] = []
    for one in framed(b"first") + framed(b"") + framed(b"third"):
        reader.add(bytes((one,)))
        while (message := reader.message()) is not None:
            found.append(message)
    assert (found, reader.is_empty) == ([b"first", b"", b"third"], True)


def test_a_compressed_message_is_read_like_another() -> None:
    text = b"text " * 10_000
    body = framed_gzip(text[:7], text[7:])
    assert len(body) < 1000
    assert read(body) == text


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (compressed(b"x"), b"gzip", INTERNAL),
        (framed_gzip(b"cut off")[:1] + b"\0\0\0\x0a" + framed_gzip(b"cut off")[5:15], b"gzip", INTERNAL),
        (framed_gzip(b"x"), b"identity", INTERNAL),
        (framed_gzip(b"x"), b"", INTERNAL),
        (b"\2\0\0\0\0", b"gzip", INTERNAL),
        (b"\0" + (MAX_REQUEST_BYTES + 1).to_bytes(4), b"", RESOURCE_EXHAUSTED),
        (b"\0\xff\xff\xff\xff", b"", RESOURCE_EXHAUSTED),
        (framed_gzip(bytes(MAX_REQUEST_BYTES + 1)), b"gzip", RESOURCE_EXHAUSTED),
        (framed_gzip(bytes(100 * MAX_REQUEST_BYTES)), b"gzip", RESOURCE_EXHAUSTED),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_with_its_code(body: bytes, encoding: bytes, code: int) -> None:
    with pytest.raises(RefusedError) as caught:
        read(body, encoding)
    assert caught.value.code == code


def test_the_largest_message_is_read_compressed_or_not() -> None:
    largest = bytes(MAX_REQUEST_BYTES)
    assert read(framed(largest)) == read(framed_gzip(largest)) == largest


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("plain, with: signs!", b"plain, with: signs!"),
        ("100 %", b"100 %25"),
        ("ä\n", b"%C3%A4%0A"),
        ("🦊", b"%F0%9F%A6%8A"),
        ("\ud800", b"?"),
        ("", b""),
    ],
)
def test_messages_are_percent_encoded(text: str, encoded: bytes) -> None:
    assert percent_encoded(text) == encoded


def test_a_status_without_details_has_no_trailer_for_them() -> None:
    assert trailers_of(Status(code=5, message="unknown")) == [(b"grpc-status", b"5"), (b"grpc-message", b"unknown")]


def test_zlib_itself_agrees_with_what_is_sent() -> None:
    body = framed_gzip(b"text" * 100)
    assert zlib.decompress(body[5:], 31) == b"text" * 100
    assert int.from_bytes(body[1:5]) == len(body) - 5
