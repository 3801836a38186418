"""Work that outlives its caller, and waits for events with a limit."""

import asyncio

import pytest

from configsvc.aio import finish, wait_for_event

MUCH_LONGER_THAN_THE_TEST_SECONDS = 1000.0


async def test_a_cancelled_caller_waits_until_its_work_is_done() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(finish(work))
    await asyncio.sleep(0)
    waiting.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    work.set_exception(ValueError())
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_waiting_ends_when_the_event_is_set() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(wait_for_event(event, MUCH_LONGER_THAN_THE_TEST_SECONDS))
    await asyncio.sleep(0)
    event.set()
    assert await waiting is True


async def test_waiting_ends_at_the_limit() -> None:
    assert await wait_for_event(asyncio.Event(), 0.001) is False


async def test_waiting_can_be_cancelled() -> None:
    waiting = asyncio.create_task(wait_for_event(asyncio.Event(), MUCH_LONGER_THAN_THE_TEST_SECONDS))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
