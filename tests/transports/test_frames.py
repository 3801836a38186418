"""Frames that HTTP/2 forbids end the connection with the right error; those that it allows end nothing."""
# One case a line.
# ruff: noqa: E501

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from tests.rpc.raw_http2 import ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, SETTINGS, frame
from tests.service import Service
from tests.transports.paths import LIST, WATCH
from tests.transports.raw import (
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    ENABLE_PUSH,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    LARGEST_WINDOW,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PADDED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    STREAM_CLOSED,
    WITH_PRIORITY,
    Raw,
    begin,
    block,
    call,
    data,
    headers,
    prefixed,
    raw_connection,
    request_fields,
    reset,
    setting,
    settings,
    tcp,
    window_update,
)
from tests.transports.transports import GRPCIO

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_defect")]
WORKS = "works"
# An error of one stream, after which the connection works.
STREAM_ALONE = "stream alone"


class Case(NamedTuple):
    """Frames after those that begin a connection, and what may become of it: where RFC 9113 leaves a choice, more than
    one. `grpcio`: what grpcio does instead.
    """

    name: str
    sent: bytes
    right: Sequence[str]
    grpcio: str = ""


def goaway(*codes: int) -> tuple[str, ...]:
    return tuple(f"goaway {code}" for code in codes)


FIELDS = block(request_fields(LIST))
BEGUN = begin(1, LIST)
ENDED = call(1, LIST, b"")
ERROR = goaway(PROTOCOL_ERROR)
SIZE = goaway(FRAME_SIZE_ERROR)
FLOW = goaway(FLOW_CONTROL_ERROR)
# PROTOCOL_ERROR is a right code whenever a better one exists (RFC 9113, section 7).
CASES = (
    Case("DATA on the connection", frame(DATA, 0, 0, b"x"), ERROR, WORKS),
    Case("DATA on an idle stream", frame(DATA, 0, 1, b"x"), (*ERROR, *goaway(STREAM_CLOSED)), WORKS),
    Case("HEADERS on the connection", headers(0, request_fields(LIST)), ERROR, WORKS),
    Case("HEADERS on a stream of the server", headers(2, request_fields(LIST)), ERROR, WORKS),
    Case("HEADERS on a stream that was passed over", call(5, LIST, b"") + call(3, LIST, b""), (*ERROR, WORKS)),
    Case("HEADERS shorter than their padding", frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + FIELDS[:10]), ERROR),
    Case("DATA shorter than their padding", BEGUN + frame(DATA, PADDED, 1, b"\xff1"), ERROR, STREAM_ALONE),
    Case("PADDED HEADERS", frame(HEADERS, END_HEADERS | PADDED, 1, b"\4" + FIELDS + bytes(4)), (WORKS,), "closed"),
    Case("HEADERS with a priority", frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, bytes(4) + b"\x10" + FIELDS), (WORKS,)),
    Case("a PRIORITY", frame(PRIORITY, 0, 1, bytes(4) + b"\x10"), (WORKS,)),
    Case("a PRIORITY of the connection", frame(PRIORITY, 0, 0, bytes(4) + b"\x10"), (*ERROR, WORKS)),
    Case("a PRIORITY without all of its bytes", BEGUN + frame(PRIORITY, 0, 1, bytes(4)), (*SIZE, STREAM_ALONE), WORKS),
    Case("RST_STREAM on the connection", reset(0), ERROR, WORKS),
    Case("RST_STREAM on an idle stream", reset(1), ERROR, WORKS),
    Case("RST_STREAM without all of its bytes", BEGUN + frame(3, 0, 1, bytes(3)), SIZE),
    Case("RST_STREAM of a stream", BEGUN + reset(1), (WORKS,)),
    Case("RST_STREAM of a stream that has ended", ENDED + reset(1), (WORKS,)),
    Case("SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), ERROR),
    Case("SETTINGS without all of their bytes", frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    Case("an acknowledgement with settings", frame(SETTINGS, ACK, 0, setting(1, 1)), SIZE),
    Case("a window that no stream may have", settings(setting(INITIAL_WINDOW_SIZE, 2**31)), FLOW),
    Case("frames smaller than all must take", settings(setting(MAX_FRAME_SIZE, 100)), ERROR),
    Case("frames larger than any can be", settings(setting(MAX_FRAME_SIZE, 2**24)), ERROR),
    Case("a push that is neither on nor off", settings(setting(ENABLE_PUSH, 2)), ERROR),
    Case("settings that nobody knows", settings(setting(0xABCD, 1), setting(0, 7)), (WORKS,)),
    Case("an empty table and short lists", settings(setting(HEADER_TABLE_SIZE, 0), setting(MAX_HEADER_LIST_SIZE, 8000)), (WORKS,)),
    Case("SETTINGS with the most entries", settings(*[setting(3, 5)] * 100), (WORKS, f"goaway {ENHANCE_YOUR_CALM}")),
    Case("a PUSH_PROMISE", BEGUN + frame(PUSH_PROMISE, END_HEADERS, 1, (2).to_bytes(4) + FIELDS), ERROR, WORKS),
    Case("PING on a stream", frame(PING, 0, 1, bytes(8)), ERROR, WORKS),
    Case("PING without all of its bytes", frame(PING, 0, 0, bytes(7)), SIZE),
    Case("an answer to no PING", frame(PING, ACK, 0, bytes(8)), (WORKS,)),
    Case("GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), ERROR, WORKS),
    Case("GOAWAY without all of its bytes", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    Case("WINDOW_UPDATE by nothing", window_update(0, 0), ERROR),
    Case("WINDOW_UPDATE by nothing on a stream", BEGUN + window_update(1, 0), (*ERROR, STREAM_ALONE)),
    Case("WINDOW_UPDATE beyond the largest window", window_update(0, LARGEST_WINDOW) + window_update(0, 10), FLOW, WORKS),
    Case("WINDOW_UPDATE beyond the largest window of a stream", BEGUN + window_update(1, LARGEST_WINDOW) + window_update(1, 10), (*FLOW, STREAM_ALONE), WORKS),
    Case("WINDOW_UPDATE without all of its bytes", frame(8, 0, 0, bytes(3)), SIZE),
    Case("WINDOW_UPDATE on an idle stream", window_update(1, 10), ERROR, WORKS),
    Case("WINDOW_UPDATE on a stream that has ended", ENDED + window_update(1, 10), (WORKS,)),
    Case("a window that settings let grow too large", BEGUN + window_update(1, LARGEST_WINDOW - 65_535) + settings(setting(INITIAL_WINDOW_SIZE, 65_536)), FLOW, WORKS),
    Case("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, FIELDS), ERROR),
    Case("HEADERS in pieces", frame(HEADERS, 0, 1, FIELDS[:9]) + frame(CONTINUATION, 0, 1, FIELDS[9:30]) + frame(CONTINUATION, 0, 1, b"") + frame(CONTINUATION, END_HEADERS, 1, FIELDS[30:]), (WORKS,)),
    Case("another frame between the pieces of HEADERS", frame(HEADERS, 0, 1, FIELDS[:9]) + frame(PING, 0, 0, bytes(8)), ERROR),
    Case("CONTINUATION of another stream", frame(HEADERS, 0, 1, FIELDS[:9]) + frame(CONTINUATION, END_HEADERS, 3, FIELDS[9:]), ERROR),
    Case("a frame larger than the server takes", BEGUN + frame(DATA, 0, 1, bytes(2**20)), SIZE),
    Case("a frame of a kind that nobody knows", frame(0xAB, 0xFF, 0, b"anything") + frame(0xAC, 0xFF, 77, b""), (WORKS,)),
    Case("the reserved bit of a stream's number", frame(PING, 0, 2**31, bytes(8)), (WORKS,)),
    Case("DATA beyond the window", begin(1, WATCH) + data(1, prefixed(b"")) + data(1, prefixed(bytes(4_000_000), length=4_100_000)), (*FLOW, STREAM_ALONE)),
    Case("an entry that the table does not have", frame(HEADERS, END_HEADERS, 1, b"\xff\x80\x01" + FIELDS), goaway(COMPRESSION_ERROR)),
    Case("the entry 0", frame(HEADERS, END_HEADERS, 1, b"\x80" + FIELDS), goaway(COMPRESSION_ERROR)),
    Case("a header without all of its bytes", frame(HEADERS, END_HEADERS, 1, FIELDS[:-3]), goaway(COMPRESSION_ERROR)),
    Case("a number without an end", frame(HEADERS, END_HEADERS, 1, b"\0\x7f" + b"\xff" * 20), goaway(COMPRESSION_ERROR)),
    Case("a table larger than the server's", frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\xff\xff\x07" + FIELDS), goaway(COMPRESSION_ERROR)),
    Case("a size of the table after a header", frame(HEADERS, END_HEADERS, 1, FIELDS + b"\x20"), goaway(COMPRESSION_ERROR), WORKS),
    Case("text that Huffman codes do not have", frame(HEADERS, END_HEADERS, 1, FIELDS + b"\0\x01a\x84\xff\xff\xff\xff"), goaway(COMPRESSION_ERROR), WORKS),
    Case("DATA after the end of a stream", BEGUN + data(1, prefixed(b""), end=True) + data(1, b"x"), (*goaway(STREAM_CLOSED), STREAM_ALONE, *ERROR), WORKS),
    Case("HEADERS after the end of a stream", ENDED + headers(1, request_fields(LIST)), (*goaway(STREAM_CLOSED), STREAM_ALONE, *ERROR), WORKS),
    Case("empty DATA", BEGUN + frame(DATA, 0, 1, b"") * 10, (WORKS,)),
    Case("empty DATA at the end", BEGUN + data(1, prefixed(b"")) + frame(DATA, END_STREAM, 1, b""), (WORKS,)),
    Case("GOAWAY that is an error", frame(GOAWAY, 0, 0, bytes(4) + CANCEL.to_bytes(4) + b"text"), (WORKS, "closed", *goaway(0))),
)  # fmt: skip

BEGINNINGS = (
    Case("a request of HTTP/1.1", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", ()),
    Case("a request of HTTP/1.1 with an upgrade", b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n", ()),
    Case("a TLS handshake", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)) * 2, ()),
    Case("zeros", bytes(1000), ()),
    Case("a preface with another end", PREFACE[:-1] + b"x" + settings(), ()),
    Case("no SETTINGS first", PREFACE + frame(PING, 0, 0, bytes(8)), ()),
    Case("SETTINGS that are an acknowledgement first", PREFACE + frame(SETTINGS, ACK, 0, b""), ()),
)  # fmt: skip


async def end_after(raw: Raw, sent: bytes) -> str:
    """Send frames, and a call on another stream; return what became of the connection."""
    raw.send(sent)
    raw.send(call(101, LIST, ListApplicationsRequest().SerializeToString()))
    await raw.until(lambda: raw.answer(101).over or bool(raw.goaways))
    if raw.answer(101).outcome == "status 0":
        return STREAM_ALONE if raw.answer(1).reset is not None else WORKS
    await raw.until_closed()
    return raw.end


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
async def test_frames_end_the_connection_if_http2_forbids_them(served: Service, transport: str, one: Case) -> None:
    async with raw_connection(served.address) as raw:
        seen = await end_after(raw, one.sent)
    if transport == GRPCIO and one.grpcio:
        assert seen == one.grpcio
    elif transport == GRPCIO and seen == "closed":
        # grpcio does not say why it closes a connection.
        assert any(end.startswith("goaway") for end in one.right)
    else:
        assert seen in one.right
    await served.applications.ListApplications(ListApplicationsRequest())


@pytest.mark.parametrize("one", BEGINNINGS, ids=lambda one: one.name)
async def test_what_is_not_http2_is_closed(served: Service, one: Case) -> None:
    async with tcp(served.address) as raw:
        raw.send(one.sent)
        await raw.until_closed()
        assert raw.closed
        assert raw.end in {"closed", *ERROR}
    await served.applications.ListApplications(ListApplicationsRequest())
