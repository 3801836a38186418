"""The slots of a caller: limits on what its calls use of this process at a time."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar

from configsvc.domain.errors import DatabaseBusyError
from configsvc.limits.pace import Pace
from configsvc.limits.unread import ReclaimableSlots

# Of 1 MiB or one configuration each, and, of a watch that is behind, a page of the log.
UNREAD_MESSAGES = 32
# Requests that are arriving, of at most 4 MiB each.
ARRIVING_BODIES = 32
# A bookmark takes about 50 µs of the event loop.
BOOKMARKS_PER_SECOND = 1000


class Slots:
    """The slots of one caller.

    bodies: requests that are arriving. bookmarks: the pace of all its watches together. connections: by pool, for
    reads, writes and watches. pages: pages in memory that become answers. unread: messages of watches that wait for the
    client. answers, validations: entries in the queues of this process for large answers and for slow validations.
    """

    __slots__ = ("answers", "bodies", "bookmarks", "connections", "pages", "unread", "validations")

    def __init__(self, pool_sizes: Mapping[str, int]) -> None:
        # Half of each pool, so that the other callers share the rest.
        halves = {pool: max(1, size // 2) for pool, size in pool_sizes.items()}
        self.connections = {pool: asyncio.Semaphore(half) for pool, half in halves.items()}
        self.bodies = asyncio.Semaphore(ARRIVING_BODIES)
        self.bookmarks = Pace(BOOKMARKS_PER_SECOND)
        self.pages = asyncio.Semaphore(halves["reads"])
        self.unread = ReclaimableSlots(UNREAD_MESSAGES)
        self.answers = asyncio.Semaphore(1)
        self.validations = asyncio.Semaphore(1)


# None: the service itself, or any caller if callers are not told apart.
caller_slots: ContextVar[Slots | None] = ContextVar("caller_slots", default=None)


@asynccontextmanager
async def connection_turn(pool: str, limit_seconds: float) -> AsyncGenerator[None]:
    """Hold one of the caller's slots for connections of the pool, waiting for it. Raises DatabaseBusyError."""
    slots = caller_slots.get()
    if slots is None:
        yield
        return
    slot = slots.connections[pool]
    try:
        async with asyncio.timeout(limit_seconds):
            await slot.acquire()
    except TimeoutError as error:
        raise DatabaseBusyError from error
    try:
        yield
    finally:
        slot.release()
