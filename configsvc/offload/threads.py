"""Encoding of large answers in a thread: pages and messages of large configurations."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from configsvc.aio import finish
from configsvc.limits.slots import caller_slots

Answer = TypeVar("Answer")

# Interval at which the thread yields the GIL, for which the event loop waits several times a call. With Python's 5 ms,
# a call beside a flood of large answers took 27 ms instead of 8. Set permanently, it would slow all calls by a tenth.
SWITCH_SECONDS = 0.0005


class LargeAnswers:
    """A queue of large answers, made one at a time in a thread. Each caller has at most one answer in it."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def page(self) -> AsyncGenerator[None]:
        """Hold a slot for a page in memory: each caller has a few."""
        slots = caller_slots.get()
        async with slots.pages if slots else nullcontext():
            yield

    async def run(self, make: Callable[[], Answer], known: Callable[[], Answer | None] = lambda: None) -> Answer:
        """Return what `known` returns when it is this answer's turn, or else the result of `make`."""
        slots = caller_slots.get()
        async with slots.answers if slots else nullcontext():
            return known() or await self._run(make, known)

    async def _run(self, make: Callable[[], Answer], known: Callable[[], Answer | None]) -> Answer:
        async with self._turn:
            # A thread cannot be cancelled, and keeps its slot until it ends.
            return known() or await finish(asyncio.ensure_future(asyncio.to_thread(_run_in_thread, make)))


def _run_in_thread(make: Callable[[], Answer]) -> Answer:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return make()
    finally:
        sys.setswitchinterval(interval)
