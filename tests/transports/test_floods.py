"""Floods on one connection end it with ENHANCE_YOUR_CALM, or cost the service next to nothing."""
# One flood a line.
# ruff: noqa: E501

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

import pytest
import pytest_asyncio

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest, WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.api.calls import key, patch
from tests.postgres import cloned_database
from tests.rpc.raw_http2 import DATA, END_HEADERS, HEADERS, PING, SETTINGS, frame
from tests.transports.attacked import MOST_BYTES, Attacked, attacked_service
from tests.transports.paths import CREATE, GET, LIST, WATCH
from tests.transports.raw import (
    COMPRESSION_ERROR,
    CONTINUATION,
    ENHANCE_YOUR_CALM,
    INITIAL_WINDOW_SIZE,
    INTERNAL_ERROR,
    LARGEST_WINDOW,
    MAX_CONCURRENT_STREAMS,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    begin,
    block,
    call,
    data,
    integer,
    prefixed,
    raw_connection,
    request_fields,
    reset,
    setting,
    settings,
    window_update,
)
from tests.transports.transports import GRPCIO

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANY = 20_000
WORKS = "works"
CALM = f"goaway {ENHANCE_YOUR_CALM}"
BAD = f"goaway {PROTOCOL_ERROR}"
# libnghttp2's own word for too many resets.
LIBRARY = (f"goaway {INTERNAL_ERROR}",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacked(
    postgres_server: str, template_database: str, transport: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Attacked]:
    async with (
        cloned_database(postgres_server, template_database) as url,
        attacked_service(tmp_path_factory.mktemp("attacked"), url, transport) as running,
    ):
        yield running


def streams(count: int) -> Iterable[int]:
    return range(1, 2 * count, 2)


def resets() -> Iterable[bytes]:
    opening = block(request_fields(LIST))
    return (frame(HEADERS, END_HEADERS, stream, opening) + reset(stream) for stream in streams(MANY))


def resets_of_calls() -> Iterable[bytes]:
    return (call(stream, LIST, b"") + reset(stream) for stream in streams(MANY))


def provoked_resets() -> Iterable[bytes]:
    """Yield calls that the server has to reset itself, as a window grew by nothing."""
    return (begin(stream, WATCH) + window_update(stream, 0) for stream in streams(MANY))


def broken_calls() -> Iterable[bytes]:
    """Yield calls that the server refuses without a handler, more than may be open if it is slow."""
    return (begin(stream, "/nobody/Knows") for stream in streams(MANY))


def same(*frames: bytes, first: bytes = b"", count: int = MANY) -> Callable[[], Iterable[bytes]]:
    """Return a function that yields the frames again and again, after the first bytes."""
    return lambda: (first, *(b"".join(frames * 50) for _ in range(count // 50)))


OPENING = block(request_fields(LIST))
BEGUN = begin(1, CREATE)
HALF = frame(HEADERS, 0, 1, OPENING)
# An entry of the table that is as long as the table, and a block that names it as often as fits into a frame.
ENTRY = OPENING + b"\x40" + block([("x", "v" * 4000)])[1:]
BOMB = frame(HEADERS, END_HEADERS, 1, ENTRY) + frame(HEADERS, END_HEADERS, 3, OPENING + b"\xbe" * 16_000)


class Flood(NamedTuple):
    """Frames that make up a flood, and what may become of the connection. `grpcio`: what it does instead."""

    name: str
    frames: Callable[[], Iterable[bytes]]
    right: Sequence[str]
    grpcio: str = ""


FLOODS = (
    Flood("streams that are reset", resets, (CALM, *LIBRARY), WORKS),
    Flood("calls that are reset", resets_of_calls, (CALM, *LIBRARY), WORKS),
    Flood("streams that the server resets", provoked_resets, (CALM, BAD)),
    Flood("calls of no method", broken_calls, (CALM, BAD, WORKS)),
    Flood("PING", same(frame(PING, 0, 0, bytes(8))), (CALM,)),
    Flood("answers to no PING", same(frame(PING, 1, 0, bytes(8))), (CALM, WORKS)),
    Flood("SETTINGS", same(settings(setting(INITIAL_WINDOW_SIZE, 65_535))), (CALM,), WORKS),
    Flood("empty SETTINGS", same(settings()), (CALM,), WORKS),
    Flood("acknowledged SETTINGS", same(frame(SETTINGS, 1, 0, b"")), (CALM, BAD, WORKS)),
    Flood("empty DATA", same(frame(DATA, 0, 1, b""), first=BEGUN), (CALM,)),
    Flood("DATA of one byte of padding", same(frame(DATA, 8, 1, b"\0"), first=BEGUN), (CALM, WORKS)),
    Flood("DATA after the end of a stream", same(frame(DATA, 0, 1, b""), first=call(1, LIST, b"")), (CALM, "goaway 5")),
    Flood("empty CONTINUATION", same(frame(CONTINUATION, 0, 1, b""), first=HALF), (CALM, BAD, *LIBRARY)),
    Flood("CONTINUATION", same(frame(CONTINUATION, 0, 1, block([("a", "b")]) * 2000), first=HALF, count=2000), (CALM, BAD, *LIBRARY)),
    Flood("CONTINUATION of one header", same(frame(CONTINUATION, 0, 1, b"v" * 16_000), first=HALF + frame(CONTINUATION, 0, 1, b"\0\1x" + integer(2**28, 7)), count=2000), (CALM, BAD, *LIBRARY, "goaway 9")),
    Flood("WINDOW_UPDATE", same(window_update(0, 1)), (CALM, WORKS)),
    Flood("WINDOW_UPDATE of a stream", same(window_update(1, 1), first=BEGUN), (CALM, WORKS)),
    Flood("WINDOW_UPDATE of a stream that has ended", same(window_update(1, 1), first=call(1, LIST, b"")), (CALM, WORKS)),
    Flood("PRIORITY", same(frame(PRIORITY, 0, 1, bytes(4) + b"\x10")), (CALM, WORKS)),
    Flood("PRIORITY of idle streams", lambda: (frame(PRIORITY, 0, stream, bytes(4) + b"\x10") for stream in streams(MANY)), (CALM, WORKS)),
    Flood("frames of a kind that nobody knows", same(frame(0xAB, 0, 0, b"")), (CALM, WORKS)),
    Flood("RST_STREAM of one stream", same(reset(1), first=BEGUN), (CALM, WORKS, *LIBRARY)),
    Flood("headers that a table makes long", lambda: (BOMB, *(frame(HEADERS, END_HEADERS, stream, OPENING + b"\xbe" * 16_000) for stream in range(5, 200, 2))), (WORKS, CALM, BAD, f"goaway {COMPRESSION_ERROR}")),
    Flood("tables that change their size", same(b"", first=b"".join(frame(HEADERS, END_HEADERS, stream, b"\x20\x3f\xe1\x1f" * 4000 + OPENING) for stream in range(1, 21, 2))), (WORKS, CALM, f"goaway {COMPRESSION_ERROR}")),
)  # fmt: skip


async def flooded(address: str, flood: Flood) -> str:
    """Send a flood; return what became of its connection."""
    async with raw_connection(address) as raw:
        await raw.pour(flood.frames())
        raw.send(call(2 * MANY + 1, LIST, ListApplicationsRequest().SerializeToString()))
        await raw.until(lambda: raw.answer(2 * MANY + 1).over or bool(raw.goaways))
        if raw.answer(2 * MANY + 1).over:
            return WORKS
        await raw.until_closed()
        return raw.end


@pytest.mark.parametrize("flood", FLOODS, ids=lambda one: one.name)
async def test_a_flood_ends_its_connection_or_costs_nothing(attacked: Attacked, transport: str, flood: Flood) -> None:
    seen: list[str] = []

    async def attack() -> None:
        seen.append(await flooded(attacked.address, flood))

    await attacked.survives(attack())
    print("SEEN", flood.name, "=>", seen)
    right = (flood.grpcio,) if transport == GRPCIO and flood.grpcio else flood.right
    # grpcio says nothing when it closes; and what a server has said is lost if it has not read all bytes by then.
    may_close = any(end.startswith("goaway") for end in right)
    assert seen[0] in {*right, *(("closed",) if may_close else ())}


# Calls whose answers, a quarter of a megabyte each, nobody reads.
UNREAD = 400
# Without authentication, grpcio keeps two copies of the answer of every stream.
UNREAD_BYTES = {GRPCIO: 10 * MOST_BYTES, "ngh2": MOST_BYTES}
READ_LARGE = GetConfigurationRequest(key=key("large")).SerializeToString()


async def test_answers_that_a_client_has_no_window_for_are_bounded_and_arrive(
    attacked: Attacked, transport: str
) -> None:
    async def attack() -> None:
        async with raw_connection(attacked.address, window=0) as raw:
            await raw.pour(call(stream, GET, READ_LARGE) for stream in streams(UNREAD))
            await raw.until(lambda: bool(raw.answer(1).blocks))
            for _ in range(50):
                await attacked.probe()
            assert not any(raw.answer(stream).data for stream in streams(UNREAD))
            raw.discards = True
            raw.send(settings(setting(INITIAL_WINDOW_SIZE, LARGEST_WINDOW)), window_update(0, LARGEST_WINDOW - 65_535))
            await raw.until(lambda: all(raw.answer(stream).over for stream in streams(UNREAD)))
            assert {raw.answer(stream).outcome for stream in streams(UNREAD)} == {"status 0"}

    await attacked.survives(attack(), most=UNREAD_BYTES[transport])


async def test_answers_that_a_client_does_not_read_from_its_connection_are_bounded(
    attacked: Attacked, transport: str
) -> None:
    async def attack() -> None:
        async with raw_connection(attacked.address, window=LARGEST_WINDOW) as raw:
            raw.send(window_update(0, LARGEST_WINDOW - 65_535))
            raw.stop_reading()
            # The server may stop to read before all of them.
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await raw.pour(call(stream, GET, READ_LARGE) for stream in streams(UNREAD))
                    await asyncio.Event().wait()

    await attacked.survives(attack(), most=UNREAD_BYTES[transport])


async def test_small_answers_that_a_client_does_not_read_from_its_connection_are_bounded(attacked: Attacked) -> None:
    async def attack() -> None:
        async with raw_connection(attacked.address, window=LARGEST_WINDOW) as raw:
            raw.send(window_update(0, LARGEST_WINDOW - 65_535))
            raw.stop_reading()
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await raw.pour(call(stream, "/nobody/Knows", b"") for stream in streams(100_000))

    await attacked.survives(attack())


@pytest.mark.parametrize("flood", [frame(PING, 0, 0, bytes(8)), settings()], ids=["PING", "SETTINGS"])
async def test_acknowledgements_that_a_client_does_not_read_are_bounded(attacked: Attacked, flood: bytes) -> None:
    async def attack() -> None:
        async with raw_connection(attacked.address) as raw:
            raw.stop_reading()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await raw.pour(flood * 1000 for _ in range(1000))

    await attacked.survives(attack())


async def test_watches_that_are_not_read_are_bounded(attacked: Attacked) -> None:
    async def attack() -> None:
        async with raw_connection(attacked.address, window=0) as raw:
            await raw.pour(call(stream, WATCH, b"") for stream in streams(200))
            await raw.until(lambda: all(raw.answer(stream).blocks for stream in streams(200)))
            for number in range(5):
                await patch(attacked.service, "large", {"number": number})

    await attacked.survives(attack())


async def test_a_client_gets_its_answer_byte_for_byte(attacked: Attacked) -> None:
    async with raw_connection(attacked.address, window=0) as raw:
        raw.send(call(1, LIST, b""))
        await raw.until(lambda: bool(raw.answer(1).blocks))
        while not raw.answer(1).over:
            size = len(raw.answer(1).data)
            raw.send(window_update(1, 1))
            await raw.until(lambda size=size: raw.answer(1).over or len(raw.answer(1).data) > size)
        assert raw.answer(1).outcome == "status 0"
        assert len(raw.answer(1).flagged) == 1


NOTHING = WatchConfigurationsRequest(selectors=[ConfigurationSelector(names=["nothing"])]).SerializeToString()


async def test_a_connection_has_no_more_streams_than_it_was_told(attacked: Attacked) -> None:
    async with raw_connection(attacked.address) as raw:
        most = raw.settings[MAX_CONCURRENT_STREAMS]
        raw.send(window_update(0, LARGEST_WINDOW - 65_535))
        await raw.pour(call(stream, WATCH, NOTHING) for stream in streams(most))
        late = [1 + 2 * (most + number) for number in range(20)]
        await raw.pour(call(stream, LIST, b"") for stream in late)
        await raw.until(lambda: all(raw.answer(stream).over for stream in late))
        if raw.goaways:
            # libnghttp2 ends the connection of a client that does not keep to it.
            assert raw.end == BAD
            return
        assert {raw.answer(stream).outcome for stream in late} == {f"reset {REFUSED_STREAM}"}
        # An end makes room.
        raw.send(reset(1) + call(2 * most + 101, LIST, b""))
        assert (await raw.end_of(2 * most + 101)).outcome == "status 0"


async def test_connections_that_come_and_go_leave_nothing(attacked: Attacked) -> None:
    async def attack() -> None:
        for _ in range(3):
            async with AsyncExitStack() as stack:
                for number in range(100):
                    raw = await stack.enter_async_context(raw_connection(attacked.address))
                    raw.send(begin(1, WATCH), *((data(1, prefixed(b"")),) if number % 2 else ()))

    await attacked.survives(attack())
