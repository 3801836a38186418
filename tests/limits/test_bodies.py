"""Slots for bodies of callers that are not told apart."""

import asyncio

import pytest

from configsvc.limits.bodies import Bodies
from tests.service import LIMIT_SECONDS


class Body:
    """A body that arrives when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.arrived = asyncio.Event()

    async def read(self) -> str:
        self.begun.set()
        await self.arrived.wait()
        return "body"


def received(bodies: Bodies, body: Body, peer: str = "a") -> asyncio.Task[str]:
    return asyncio.create_task(bodies.receive(body.read, lambda: peer, None))


async def test_a_slot_that_was_given_to_a_call_that_is_cancelled_then_goes_to_the_next() -> None:
    bodies, first, second, third = Bodies(1), Body(), Body(), Body()
    async with asyncio.timeout(LIMIT_SECONDS):
        holder = received(bodies, first)
        await first.begun.wait()
        cancelled = received(bodies, second)
        waiting = received(bodies, third)
        await asyncio.sleep(0)
        first.arrived.set()
        # Runs when it has been given the slot and has not run since.
        asyncio.get_running_loop().call_soon(cancelled.cancel)
        assert await holder == "body"
        third.arrived.set()
        assert await waiting == "body"
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert not second.begun.is_set()


async def test_a_connection_without_a_slot_does_not_wait_for_one_with_many() -> None:
    bodies, withheld, other = Bodies(2), [Body() for _ in range(5)], Body()
    async with asyncio.timeout(LIMIT_SECONDS):
        calls = [received(bodies, body) for body in withheld]
        await withheld[1].begun.wait()
        other.arrived.set()
        assert await received(bodies, other, "b") == "body"
        assert [body.begun.is_set() for body in withheld] == [True, True, False, False, False]
        for body in withheld:
            body.arrived.set()
        assert await asyncio.gather(*calls) == ["body"] * 5
