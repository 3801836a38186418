"""Malformed and unusual calls have the status, the HTTP status or the reset that gRPC and HTTP/2 demand. Whatever one
call is, the next one on its connection is answered.
"""
# One case a line.
# ruff: noqa: E501

import gzip
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from configsvc.domain.sizes import MAX_REQUEST_BYTES
from tests.api.calls import key
from tests.rpc.raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, frame
from tests.service import Service
from tests.transports.paths import GET, IMPORT, LIST, WATCH
from tests.transports.raw import (
    COMPRESSION_ERROR,
    CONTINUATION,
    ENHANCE_YOUR_CALM,
    PADDED,
    PROTOCOL_ERROR,
    Raw,
    begin,
    block,
    call,
    data,
    headers,
    prefixed,
    raw_connection,
    request_fields,
)
from tests.transports.transports import GRPCIO

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_defect")]
REQUEST = GetConfigurationRequest(key=key("web")).SerializeToString()
BODY = data(1, prefixed(REQUEST), end=True)
ZIPPED = gzip.compress(REQUEST)
BOMB = gzip.compress(bytes(20_000_000))
KIB = 1024
OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = (
    f"status {code}" for code in (0, 3, 4, 8, 12, 13)
)
MALFORMED = (f"reset {PROTOCOL_ERROR}", "http 400")
# The connection ended instead of the call alone, which RFC 9113 allows for errors of one stream.
ENDED = f"goaway {PROTOCOL_ERROR}"


class Case(NamedTuple):
    """One call, on stream 1, and the ends that it may have. `grpcio`: what it does instead."""

    name: str
    sent: bytes
    right: Sequence[str]
    grpcio: str = ""


def get(*more: tuple[str | bytes, str | bytes], **changes: str | None) -> bytes:
    """Return a call of GetConfiguration with other headers."""
    return begin(1, GET, *more, **changes) + BODY


def fields(*pairs: tuple[str, str]) -> bytes:
    """Return a call with exactly these headers."""
    return headers(1, pairs) + BODY


def of_body(*payloads: bytes, end: bool = True, path: str = GET, encoding: str = "") -> bytes:
    """Return a call with another body, a frame for each payload."""
    more = (("grpc-encoding", encoding),) if encoding else ()
    frames = [data(1, one) for one in payloads]
    return begin(1, path, *more) + b"".join(frames) + (frame(DATA, END_STREAM, 1, b"") if end else b"")


def in_pieces(fields: bytes, size: int = 16_000) -> bytes:
    """Return headers as one HEADERS frame and CONTINUATION frames."""
    pieces = [fields[at : at + size] for at in range(0, len(fields), size)]
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if at else HEADERS, END_HEADERS if at == last else 0, 1, one)
        for at, one in enumerate(pieces)
    )


def with_metadata(size: int, count: int = 1) -> bytes:
    """Return a call with so many more headers, of this size together."""
    more = [(f"x-{number}", "v" * (size // count)) for number in range(count)]
    return in_pieces(block(request_fields(GET, *more))) + BODY


GOOD = request_fields(GET)
CASES = (
    Case("a call as it should be", get(), (OK,)),
    # --- HTTP
    Case("content-type: application/grpc+proto", get(content_type="application/grpc+proto"), (OK,)),
    Case("content-type: application/grpc; a=b", get(content_type="application/grpc; a=b"), (OK, "http 415")),
    Case("another content-type", get(content_type="text/plain"), ("http 415",), OK),
    Case("the content-type of gRPC-Web", get(content_type="application/grpc-web+proto"), ("http 415",), OK),
    Case("content-type: application/grpcx", get(content_type="application/grpcx"), ("http 415",), OK),
    Case("no content-type", get(content_type=None), ("http 415",), OK),
    Case("no te", get(te=None), (OK, "http 400", INTERNAL), "reset 2"),
    Case("another te", get(te="gzip"), (OK, "http 400", *MALFORMED), INTERNAL),
    Case("GET", get(_method="GET"), ("http 405",), "reset 2"),
    Case("PUT", get(_method="PUT"), ("http 405",), "reset 2"),
    Case("CONNECT", fields((":method", "CONNECT"), (":authority", "localhost:1")), ("http 405", *MALFORMED), INTERNAL),
    Case("https over plain TCP", get(_scheme="https"), (OK, *MALFORMED)),
    Case("a scheme that nobody knows", get(_scheme="gopher"), (OK, *MALFORMED), INTERNAL),
    Case("no :authority", get(_authority=None), (OK, *MALFORMED), "reset 2"),
    Case("host instead of :authority", get(("host", "localhost"), _authority=None), (OK, *MALFORMED)),
    Case("no :method", get(_method=None), MALFORMED, "reset 2"),
    Case("no :scheme", get(_scheme=None), MALFORMED, "reset 2"),
    Case("no :path", get(_path=None), MALFORMED, "reset 2"),
    Case("an empty :path", get(_path=""), (*MALFORMED, UNIMPLEMENTED)),
    Case("two :path", fields(*GOOD[:4], (":path", LIST), *GOOD[4:]), MALFORMED, INVALID_ARGUMENT),
    Case("a pseudo-header that nobody knows", fields((":what", "x"), *GOOD), MALFORMED, INTERNAL),
    Case("a pseudo-header of answers", fields((":status", "200"), *GOOD), MALFORMED, OK),
    Case("a pseudo-header after others", fields(*GOOD[1:], GOOD[0]), MALFORMED, OK),
    Case("an upper-case header", get(("X-Big", "1")), MALFORMED, INTERNAL),
    Case("a header without a name", get(("", "1")), MALFORMED, INTERNAL),
    Case("a header with a space in its name", get(("x y", "1")), MALFORMED, INTERNAL),
    Case("a header with a colon in its name", get(("x:y", "1")), MALFORMED, INTERNAL),
    Case("a header with a line feed", get(("x-a", "1\nx-b: 2")), MALFORMED, OK),
    Case("a header with a zero", get(("x-a", "1\x002")), MALFORMED, OK),
    Case("a header that ends in a space", get(("x-a", "1 ")), (OK, *MALFORMED)),
    Case("a header that begins with a space", get(("x-a", " 1")), (OK, *MALFORMED)),
    Case("a header that is empty", get(("x-a", "")), (OK,)),
    Case("a header that is not ASCII", get(("x-a", "ä")), (OK, *MALFORMED)),
    Case("a header that is not UTF-8", get(("x-a", b"\xff\xfe")), (OK, *MALFORMED)),
    Case("connection", get(("connection", "close")), MALFORMED, OK),
    Case("transfer-encoding", get(("transfer-encoding", "chunked")), MALFORMED, OK),
    Case("upgrade", get(("upgrade", "h2c")), MALFORMED, OK),
    Case("content-length", get(("content-length", str(5 + len(REQUEST)))), (OK,)),
    Case("content-length that is too small", get(("content-length", "3")), MALFORMED, OK),
    Case("content-length that is too large", get(("content-length", "3000")), MALFORMED, OK),
    Case("content-length that is no number", get(("content-length", "x")), MALFORMED, OK),
    Case("trailers", begin(1, GET) + data(1, prefixed(REQUEST)) + headers(1, (("x-a", "1"),), end=True), (OK,)),
    Case("trailers that do not end the call", begin(1, GET) + data(1, prefixed(REQUEST)) + headers(1, (("x-a", "1"),)), (*MALFORMED, ENDED), "closed"),
    Case("trailers with a pseudo-header", begin(1, GET) + data(1, prefixed(REQUEST)) + headers(1, ((":path", "1"),), end=True), (OK, *MALFORMED)),
    # --- paths
    Case("a method that the service does not have", get(_path=f"{GET}x"), (UNIMPLEMENTED,)),
    Case("a service that nobody has", get(_path="/a.b.C/D"), (UNIMPLEMENTED,)),
    Case("a path with a slash too many", get(_path=f"{GET}/"), (UNIMPLEMENTED,)),
    Case("a path with a slash twice", get(_path=f"/{GET}"), (UNIMPLEMENTED,)),
    Case("a path with a query", get(_path=f"{GET}?a=b"), (UNIMPLEMENTED,)),
    Case("a path of one slash", get(_path="/"), (UNIMPLEMENTED,)),
    Case("a path of two slashes", get(_path="//"), (UNIMPLEMENTED,)),
    Case("a path without a slash", get(_path=GET[1:]), (UNIMPLEMENTED, *MALFORMED)),
    Case("a path as a star", get(_path="*"), (UNIMPLEMENTED, *MALFORMED)),
    Case("a path in other letters", get(_path=GET.lower()), (UNIMPLEMENTED,)),
    Case("a path that is escaped", get(_path=GET.replace("G", "%47")), (UNIMPLEMENTED,)),
    Case("a path that is not ASCII", get(_path="/ä/ö"), (UNIMPLEMENTED, *MALFORMED)),
    Case("a path with a line feed", get(_path="/a\n/b"), (*MALFORMED, UNIMPLEMENTED)),
    Case("a path of 20 KiB", in_pieces(block(request_fields("/" + "x" * 20 * KIB + "/y"))) + BODY, (UNIMPLEMENTED,)),
    # --- metadata
    Case("metadata that gRPC reserves", get(("grpc-status", "5"), ("grpc-message", "x"), ("grpc-what", "x")), (OK,)),
    Case("binary metadata", get(("x-a-bin", "AAEC")), (OK,)),
    Case("padded binary metadata", get(("x-a-bin", "AA==")), (OK,)),
    Case("binary metadata in a list", get(("x-a-bin", "AAEC,AAEC")), (OK, INTERNAL, *MALFORMED)),
    Case("empty binary metadata", get(("x-a-bin", "")), (OK,)),
    Case("binary metadata that are not base64", get(("x-a-bin", "!!!!")), (OK, INTERNAL, *MALFORMED)),
    Case("binary metadata that break off", get(("x-a-bin", "AAAAA")), (OK, INTERNAL, *MALFORMED)),
    Case("metadata of 31 KiB", with_metadata(30 * KIB), (OK,)),
    Case("metadata of 40 KiB", with_metadata(40 * KIB), (RESOURCE_EXHAUSTED,)),
    Case("metadata of 100 KiB", with_metadata(100 * KIB), (RESOURCE_EXHAUSTED, f"goaway {COMPRESSION_ERROR}")),
    Case("metadata of 200 KiB, in pieces of 40", with_metadata(200 * KIB, 5), (RESOURCE_EXHAUSTED, f"goaway {ENHANCE_YOUR_CALM}")),
    Case("metadata of 2 MiB", with_metadata(2048 * KIB, 50), (RESOURCE_EXHAUSTED, f"goaway {ENHANCE_YOUR_CALM}")),
    Case("300 metadata of 9 KiB", with_metadata(9 * KIB, 300), (OK,)),
    Case("2000 metadata of 40 KiB", with_metadata(40 * KIB, 2000), (RESOURCE_EXHAUSTED,)),
    # --- time limits
    *(Case(f"grpc-timeout: {text}", get(("grpc-timeout", text)), (OK,)) for text in ("99999999H", "1H", "60S", "1M", "60000m", "99999999u", "00000060S")),
    *(Case(f"grpc-timeout: {text}", begin(1, WATCH, ("grpc-timeout", text)) + data(1, prefixed(b""), end=True), (DEADLINE_EXCEEDED,)) for text in ("1n", "0S", "1u", "50m")),
    *(Case(f"grpc-timeout: {text}", get(("grpc-timeout", text)), (OK, INVALID_ARGUMENT, INTERNAL, "http 400", *MALFORMED)) for text in ("", "S", "1", "1s", "1 S", "-1S", "1.5S", "x", "100000000H", "1SS")),
    Case("a time limit of a call whose body does not come", begin(1, GET, ("grpc-timeout", "50m")), (DEADLINE_EXCEEDED,)),
    Case("a time limit of an upload that does not end", begin(1, IMPORT, ("grpc-timeout", "50m")) + data(1, prefixed(b"")), (DEADLINE_EXCEEDED,)),
    # --- messages
    Case("no message", of_body(), (INVALID_ARGUMENT, INTERNAL)),
    Case("headers that end the call", headers(1, GOOD, end=True), (INVALID_ARGUMENT, INTERNAL)),
    Case("an empty message", of_body(prefixed(b"")), (INVALID_ARGUMENT,)),
    Case("a message that cannot be parsed", of_body(prefixed(b"\xff")), (INVALID_ARGUMENT,)),
    Case("a message byte for byte", of_body(*(bytes((one,)) for one in prefixed(REQUEST))), (OK,)),
    Case("a message between empty frames", of_body(b"", prefixed(REQUEST), b"", b""), (OK,)),
    Case("a padded message", begin(1, GET) + frame(DATA, END_STREAM | PADDED, 1, b"\x09" + prefixed(REQUEST) + bytes(9)), (OK,), INVALID_ARGUMENT),
    Case("a part of a prefix", of_body(prefixed(REQUEST)[:3]), (INTERNAL,), INVALID_ARGUMENT),
    Case("a prefix alone", of_body(prefixed(REQUEST)[:5]), (INTERNAL,), INVALID_ARGUMENT),
    Case("a message that breaks off", of_body(prefixed(REQUEST)[:-1]), (INTERNAL,), INVALID_ARGUMENT),
    Case("bytes after a message", of_body(prefixed(REQUEST) + b"x"), (INTERNAL, OK)),
    Case("a part of a second message", of_body(prefixed(REQUEST) + prefixed(REQUEST)[:-1]), (INTERNAL, OK)),
    Case("two messages", of_body(prefixed(REQUEST) * 2), (INTERNAL, UNIMPLEMENTED, OK)),
    Case("two messages for a watch that never ends", begin(1, WATCH, ("grpc-timeout", "100m")) + data(1, prefixed(b"") * 2, end=True), (DEADLINE_EXCEEDED, INTERNAL, UNIMPLEMENTED)),
    Case("a message as long as may be", of_body(prefixed(b"\x12" * 10 + bytes(MAX_REQUEST_BYTES - 10), length=MAX_REQUEST_BYTES)[:65_000], end=True), (INTERNAL,), INVALID_ARGUMENT),
    Case("a message longer than may be, of which no more comes", of_body(prefixed(b"", length=MAX_REQUEST_BYTES + 1), end=False), (RESOURCE_EXHAUSTED,)),
    Case("a message as long as can be written, of which no more comes", of_body(prefixed(b"", length=2**32 - 1), end=False), (RESOURCE_EXHAUSTED,)),
    Case("a message of an upload that is longer than may be", of_body(prefixed(b"", length=MAX_REQUEST_BYTES + 1), end=False, path=IMPORT), (RESOURCE_EXHAUSTED,)),
    Case("an upload whose message breaks off", of_body(prefixed(b""), prefixed(b"", length=10), path=IMPORT), (INTERNAL,), OK),
    Case("an upload with bytes after its messages", of_body(prefixed(b""), b"x", path=IMPORT), (INTERNAL,), OK),
    # --- compression
    Case("a compressed message", of_body(prefixed(ZIPPED, 1), encoding="gzip"), (OK,)),
    Case("a message that is not compressed", of_body(prefixed(REQUEST), encoding="gzip"), (OK,)),
    Case("a message of several compressed parts", of_body(prefixed(gzip.compress(REQUEST[:3]) + gzip.compress(REQUEST[3:]), 1), encoding="gzip"), (OK, INTERNAL)),
    Case("deflate", of_body(prefixed(zlib.compress(REQUEST), 1), encoding="deflate"), (OK, UNIMPLEMENTED)),
    Case("identity", of_body(prefixed(REQUEST), encoding="identity"), (OK,)),
    Case("identity of a compressed message", of_body(prefixed(ZIPPED, 1), encoding="identity"), (INTERNAL,)),
    Case("a compressed message without an encoding", of_body(prefixed(ZIPPED, 1)), (INTERNAL,)),
    Case("an encoding that nobody knows", of_body(prefixed(ZIPPED, 1), encoding="br"), (UNIMPLEMENTED,), INTERNAL),
    Case("an encoding that nobody knows and that is not used", of_body(prefixed(REQUEST), encoding="br"), (UNIMPLEMENTED, OK), INTERNAL),
    Case("a flag that nobody knows", of_body(prefixed(REQUEST, 2)), (INTERNAL,), INVALID_ARGUMENT),
    Case("all flags", of_body(prefixed(REQUEST, 255), encoding="gzip"), (INTERNAL,), INVALID_ARGUMENT),
    Case("a compressed message that is not", of_body(prefixed(REQUEST, 1), encoding="gzip"), (INTERNAL,)),
    Case("a compressed message that breaks off", of_body(prefixed(ZIPPED[:-12], 1), encoding="gzip"), (INTERNAL,)),
    Case("a compressed message with a wrong sum", of_body(prefixed(ZIPPED[:-8] + bytes(8), 1), encoding="gzip"), (INTERNAL,)),
    Case("a compressed message with bytes after it", of_body(prefixed(ZIPPED + b"xyz", 1), encoding="gzip"), (INTERNAL, OK)),
    Case("a compressed message of nothing", of_body(prefixed(b"", 1), encoding="gzip"), (INTERNAL, INVALID_ARGUMENT)),
    Case("a compressed message that is too long", of_body(prefixed(BOMB, 1), encoding="gzip"), (RESOURCE_EXHAUSTED,)),
    Case("a compressed message of an upload that is too long", of_body(prefixed(BOMB, 1), encoding="gzip", path=IMPORT), (RESOURCE_EXHAUSTED,)),
)  # fmt: skip


async def end_of(raw: Raw, sent: bytes) -> str:
    """Send a call; return its end, or that of the connection if the next call on it is not answered."""
    raw.send(sent)
    answer = await raw.end_of(1)
    raw.send(call(3, LIST, ListApplicationsRequest().SerializeToString()))
    return answer.outcome if (await raw.end_of(3)).outcome == OK else raw.end


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
async def test_a_call_has_the_end_that_the_protocol_demands(served: Service, transport: str, one: Case) -> None:
    async with raw_connection(served.address) as raw:
        seen = await end_of(raw, one.sent)
        print("SEEN", one.name, "=>", seen)
    assert seen in ((one.grpcio,) if transport == GRPCIO and one.grpcio else one.right), raw.answer(1)
