"""Connections and streams of the fast transport, driven by the session of a client, without a socket."""

import asyncio
from typing import Any

import ngh2
import pytest
from google.rpc.status_pb2 import Status

from configsvc.api.exchanges import Answer, Exchange
from configsvc.domain.sizes import MAX_REQUEST_BYTES
from configsvc.http2 import streams
from configsvc.http2.connections import PIECE_BYTES
from configsvc.http2.framing import PREFIX_BYTES, framed
from tests.http2.pairs import Pair

OK, INVALID, DEADLINE, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 4, 8, 12, 13
MIB = 1024 * 1024


class Calls:
    """A handler that answers with the size of its request, and notes what becomes of its calls."""

    def __init__(self) -> None:
        self.begun = self.done = self.cancelled = 0

    async def answer(self, exchange: Exchange) -> Answer:
        self.begin(exchange)
        body = exchange.whole()
        if body is None:
            body = await exchange.receive() or b""
        return (str(len(body)).encode(),)

    async def hang(self, exchange: Exchange) -> Answer:
        self.begin(exchange)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ()

    async def count(self, exchange: Exchange) -> Answer:
        self.begin(exchange)
        sizes = []
        while (message := await exchange.receive()) is not None:
            sizes.append(len(message))
        return (repr(sizes).encode(),)

    def begin(self, exchange: Exchange) -> None:
        self.begun += 1
        exchange.when_done(self._end)

    def _end(self, _: Any) -> None:
        self.done += 1


async def test_a_call_is_answered_in_one_output_that_follows_its_task() -> None:
    calls = Calls()
    pair = Pair(calls.answer)
    await pair.settle()
    number = pair.call(b"four")
    woken_with_tasks: list[bool] = []
    pair.server.wake = lambda: woken_with_tasks.append(all(one.task for one in pair.server.streams.values()))
    pair.to_server()
    await asyncio.sleep(0)
    pair.to_client()
    assert (pair.data(number), pair.status(number)) == (framed(b"4"), OK)
    assert all(woken_with_tasks)
    assert calls.done == 1


async def test_streams_that_are_reset_in_the_batch_that_opens_them_begin_no_call() -> None:
    calls = Calls()
    pair = Pair(calls.answer)
    await pair.settle()
    for number in [pair.call(b"x") for _ in range(100)]:
        pair.client.reset_stream(number)
    await pair.settle()
    assert (calls.begun, pair.server.streams) == (0, {})


async def test_a_call_that_is_reset_before_the_first_step_of_its_task_leaves_nothing() -> None:
    calls = Calls()
    pair = Pair(calls.answer)
    await pair.settle()
    number = pair.call(b"x")
    pair.to_server()
    pair.client.reset_stream(number)
    pair.to_server()
    await pair.settle()
    assert (calls.begun, calls.done, pair.server.streams) == (0, 0, {})


async def test_a_call_that_is_reset_is_cancelled_and_then_done() -> None:
    calls = Calls()
    pair = Pair(calls.hang)
    number = pair.call(b"x")
    await pair.settle()
    assert (calls.begun, calls.done) == (1, 0)
    pair.client.reset_stream(number)
    await pair.settle()
    assert (calls.cancelled, calls.done, pair.server.streams) == (1, 1, {})


async def test_a_lost_connection_cancels_its_calls() -> None:
    calls = Calls()
    pair = Pair(calls.hang)
    for _ in range(3):
        pair.call(b"x")
    await pair.settle()
    pair.server.lose()
    await asyncio.sleep(0)
    assert (calls.cancelled, calls.done) == (3, 3)


async def test_a_request_larger_than_all_windows_arrives_without_anything_else_being_sent() -> None:
    calls = Calls()
    pair = Pair(calls.answer)
    number = pair.call(b"x" * MAX_REQUEST_BYTES)
    for _ in range(200):
        await pair.settle()
        if pair.status(number) is not None:
            break
    assert pair.data(number) == framed(str(MAX_REQUEST_BYTES).encode())


async def test_a_request_that_is_too_large_is_refused_by_its_first_bytes() -> None:
    calls = Calls()
    pair = Pair(calls.answer)
    number = pair.call(end=False)
    pair.client.send_data(number, b"\0" + (MAX_REQUEST_BYTES + 1).to_bytes(4))
    await pair.settle()
    assert (pair.status(number), pair.is_reset(number), calls.done) == (EXHAUSTED, False, 1)


async def test_a_stream_of_requests_is_read_message_by_message() -> None:
    pair = Pair(Calls().count)
    number = pair.call(b"", b"x" * 100_000, b"xy")
    for _ in range(10):
        await pair.settle()
    assert pair.data(number) == framed(b"[0, 100000, 2]")


async def test_requests_that_nobody_reads_fill_a_small_window() -> None:
    calls = Calls()
    pair = Pair(calls.hang)
    number = pair.call(b"x" * MIB)
    for _ in range(20):
        await pair.settle()
    assert pair.client.queued_body_size(number) >= MIB - 64 * 1024


async def test_what_closed_streams_have_sent_does_not_stay_in_the_window_of_the_connection() -> None:
    calls = Calls()
    pair = Pair(calls.hang)
    for _ in range(200):
        # More together than the connection's window has.
        number = pair.call(b"x" * 50_000, end=False)
        await pair.settle()
        pair.client.reset_stream(number)
        await pair.settle()
    assert calls.done == 200
    pair.server.session.send_goaway()
    assert pair.server.streams == {}
    assert pair.server.session.local_window_size > 2 * MIB


async def test_a_stream_of_requests_that_ends_within_a_message_is_refused() -> None:
    pair = Pair(Calls().count)
    number = pair.call(end=False)
    pair.client.send_data(number, framed(b"message")[:-1], end_stream=True)
    await pair.settle()
    assert pair.status(number) == INTERNAL


async def test_a_deadline_ends_a_call_and_cancels_it() -> None:
    calls = Calls()
    pair = Pair(calls.hang)
    number = pair.call(b"x", headers=[("grpc-timeout", "1m")])
    async with asyncio.timeout(10):
        while pair.status(number) is None:
            await pair.settle()
            await asyncio.sleep(0.01)
    assert (pair.status(number), calls.cancelled, calls.done) == (DEADLINE, 1, 1)


@pytest.mark.parametrize("timeout", ["1", "S", "123456789S", "-1S", "1x", ""])
async def test_a_malformed_deadline_is_refused(timeout: str) -> None:
    pair = Pair(Calls().answer)
    number = pair.call(b"x", headers=[("grpc-timeout", timeout)])
    await pair.settle()
    assert pair.status(number) == INTERNAL


async def test_too_many_metadata_refuse_their_call_and_not_the_connection() -> None:
    pair = Pair(Calls().answer)
    other = pair.call(b"x")
    number = pair.call(b"x", headers=[(f"x-{one}", "x" * 8_000) for one in range(5)])
    last = pair.call(b"x")
    await pair.settle()
    assert [pair.status(one) for one in (other, number, last)] == [OK, EXHAUSTED, OK]


async def test_a_call_that_is_answered_before_its_requests_have_ended_is_closed_without_an_error() -> None:
    async def refuse(_: Exchange) -> Status:
        return Status(code=INVALID, message="no")

    pair = Pair(refuse)
    number = pair.call(b"x", end=False)
    await pair.settle()
    assert (pair.status(number), pair.is_reset(number), pair.server.streams) == (INVALID, False, {})


async def test_a_client_that_does_not_read_has_a_bounded_part_of_an_answer_waiting() -> None:
    written = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal written
        write = exchange.writer().write
        while True:
            await write(b"x" * 10_000)
            written += 10_000

    pair = Pair(flood, window=0)
    number = pair.call(b"x")
    for _ in range(20):
        await pair.settle()
    queued = pair.server.session.queued_body_size(number)
    assert streams.UNSENT_BYTES < queued <= streams.UNSENT_BYTES + 10_000 + PREFIX_BYTES
    # It goes on when the client reads.
    before = written
    pair.client.update_settings({4: MIB})
    for _ in range(20):
        await pair.settle()
    assert written > before


async def test_a_connection_that_is_not_read_begins_no_further_calls_until_it_is() -> None:
    calls = Calls()

    async def answer(exchange: Exchange) -> Answer:
        calls.begin(exchange)
        return (b"x" * 3 * MIB,)

    pair = Pair(answer, window=0)
    for _ in range(10):
        pair.call(b"x")
        await pair.settle()
    assert calls.begun == 3
    pair.client.set_local_window_size(2**30)
    pair.client.update_settings({4: 2**30})
    for _ in range(400):
        await pair.settle()
    assert (calls.begun, calls.done) == (10, 10)


async def test_an_output_is_bounded() -> None:
    async def answer(_: Exchange) -> Answer:
        return (b"x" * 3 * MIB,)

    pair = Pair(answer, window=2**30)
    pair.client.set_local_window_size(2**30)
    pair.call(b"x")
    pair.to_server()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(pair.server.output()) <= PIECE_BYTES


async def test_messages_that_are_the_same_object_are_framed_once() -> None:
    message, kept = b"x" * 1000, []

    async def answer(exchange: Exchange) -> None:
        await exchange.writer().write(message)
        kept.append(pair.server.framed(message))

    pair = Pair(answer)
    numbers = [pair.call(b"x") for _ in range(3)]
    await pair.settle()
    assert [pair.data(number) for number in numbers] == [framed(message)] * 3
    assert all(one is kept[0] for one in kept)


async def test_a_defect_in_a_call_is_its_own_error_and_tells_nothing() -> None:
    async def fail(exchange: Exchange) -> Answer:
        if exchange.whole() == b"fail":
            raise RuntimeError("secret")
        return (b"fine",)

    pair = Pair(fail)
    failing, other = pair.call(b"fail"), pair.call(b"x")
    await pair.settle()
    assert (pair.status(failing), pair.status(other)) == (INTERNAL, OK)
    assert "secret" not in repr(pair.events)


async def test_an_offer_is_taken_only_if_the_client_can_read_it() -> None:
    taken: list[bool] = []

    async def offer(exchange: Exchange) -> Answer:
        exchange.open()
        offers = exchange.writer().offer
        assert offers
        taken.extend(offers(b"x" * 40_000) for _ in range(4))
        return await Calls().hang(exchange)

    pair = Pair(offer, window=0)
    pair.call(b"x")
    await pair.settle()
    assert taken == [True, True, False, False]


async def test_an_unknown_method_is_unimplemented_and_what_is_no_grpc_has_a_status_of_http() -> None:
    pair = Pair(Calls().answer)
    common = [(b":scheme", b"http"), (b":authority", b"localhost"), (b"content-type", b"application/grpc")]
    unknown = pair.client.send_request([(b":method", b"POST"), (b":path", b"/x/y"), *common], end_stream=True)
    page = pair.client.send_request([(b":method", b"GET"), (b":path", b"/"), *common], end_stream=True)
    await pair.settle()
    assert pair.status(unknown) == UNIMPLEMENTED
    responses = {one.stream_id: dict(one.headers) for one in pair.events if isinstance(one, ngh2.ResponseReceived)}
    assert responses[page][b":status"] == b"405"
