"""Answers that take long to make: pages and messages of large configurations."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from configsvc.aio import finish
from configsvc.limits.slots import caller_slots

Made = TypeVar("Made")

# How long the event loop waits for the thread to let go of Python's lock, several times a call. With Python's own 5 ms,
# a call beside a flood of large answers took 27 ms instead of 8; always as little would cost all calls a tenth.
SWITCH_SECONDS = 0.0005


class LargeAnswers:
    """Makes them in a thread, one at a time, so that other calls go on; of each caller one stands in the queue."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def page(self) -> AsyncGenerator[None]:
        """The time in which what an answer is made of is in memory: of each caller a few such pages at a time."""
        slots = caller_slots.get()
        async with slots.pages if slots else nullcontext():
            yield

    async def made(self, make: Callable[[], Made], known: Callable[[], Made | None] = lambda: None) -> Made:
        """What is made, unless it is known when its turn has come."""
        slots = caller_slots.get()
        async with slots.answers if slots else nullcontext():
            return known() or await self._made(make, known)

    async def _made(self, make: Callable[[], Made], known: Callable[[], Made | None]) -> Made:
        async with self._turn:
            # A thread cannot be told to end, and its place is not free before.
            return known() or await finish(asyncio.ensure_future(asyncio.to_thread(_made_aside, make)))


def _made_aside(make: Callable[[], Made]) -> Made:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return make()
    finally:
        sys.setswitchinterval(interval)
