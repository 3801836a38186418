"""Additions to asyncio: finish work after its caller is cancelled, and wait for an event with a limit."""

import asyncio
from contextlib import suppress
from typing import TypeVar

Answer = TypeVar("Answer")


async def finish(work: asyncio.Future[Answer]) -> Answer:
    """Wait for work and return its result. If cancelled, first let the work finish, then raise CancelledError.

    So what a caller began counts toward its limits until it is done.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_retrieve_error)
        while not work.done():
            # Further cancellations wait too.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((work,))
        raise


def _retrieve_error(work: asyncio.Future[Answer]) -> None:
    # Otherwise asyncio logs an error that nobody awaits.
    if not work.cancelled():
        work.exception()


async def wait_for_event(event: asyncio.Event, limit_seconds: float) -> bool:
    """Wait for an event, no longer than the limit. Return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            await event.wait()
    return event.is_set()
