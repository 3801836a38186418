"""What goes on when its caller goes away."""

import asyncio
from contextlib import suppress
from typing import TypeVar

Answer = TypeVar("Answer")


async def completed(work: asyncio.Future[Answer]) -> Answer:
    """What the work answers. It is not cancelled with who waits for it; that one stays until it is done, and then is
    cancelled: what a caller has begun counts as its own for as long as it takes.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_look)
        while not work.done():
            # Whoever cancels it again, as well.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((work,))
        raise


def _look(work: asyncio.Future[Answer]) -> None:
    # So that asyncio does not complain of an error that nobody is told of.
    if not work.cancelled():
        work.exception()
