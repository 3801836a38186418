"""Large answers, made in a thread beside the event loop."""

import asyncio
import threading
from functools import partial

import pytest

from configsvc.offload.threads import LargeAnswers
from tests.service import LIMIT_SECONDS


async def test_an_answer_that_its_caller_cancelled_keeps_its_slot_until_it_is_made() -> None:
    large, go_on = LargeAnswers(), threading.Event()
    began: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def make(number: int) -> None:
        loop.call_soon_threadsafe(began.put_nowait, number)
        go_on.wait(LIMIT_SECONDS)

    cancelled = asyncio.create_task(large.run(partial(make, 1)))
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await began.get() == 1
        cancelled.cancel()
        following = asyncio.create_task(large.run(partial(make, 2)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not cancelled.done()
        assert began.empty()
        go_on.set()
        await following
        with pytest.raises(asyncio.CancelledError):
            await cancelled
