"""Bodies of requests that are arriving: a few at a time for each caller, and none for long.

gRPC makes room for a whole message as soon as somebody waits for it, and a client can withhold its last byte.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from configsvc.domain.errors import ConfigsvcError, RateLimitedError

# For a request of 4 MiB, 140 KB a second.
BODY_SECONDS = 30.0
CHECK_SECONDS = 1.0

Body = TypeVar("Body")


class _Arrival:
    __slots__ = ("error", "peer", "started", "task")

    def __init__(self, task: asyncio.Task[Any], started: float, peer: Callable[[], str]) -> None:
        self.task = task
        self.started = started
        self.peer = peer
        self.error: ConfigsvcError | None = None

    def end(self, error: ConfigsvcError) -> None:
        if self.error is None:
            self.error = error
            self.task.cancel()


class Bodies:
    """The bodies that are arriving, `shared` of them for all callers without slots. Belongs to one event loop."""

    def __init__(self, shared: int) -> None:
        self._number_shared = shared
        # Oldest first.
        self._arriving: dict[_Arrival, None] = {}
        self._shared: dict[_Arrival, None] = {}
        self._checking = False

    async def receive(
        self, read: Callable[[], Awaitable[Body]], peer: Callable[[], str], slots: asyncio.Semaphore | None
    ) -> Body:
        """Return what `read` returns, once one of the caller's slots is free.

        Without slots, the caller shares a number of them with others: beyond that, the peer with most of them loses its
        oldest. Waiting would let strangers keep others waiting. Raises RateLimitedError, also after BODY_SECONDS.
        """
        if slots is None:
            return await self._shared_read(read, peer)
        async with slots:
            return await self._limited(read, peer, self._arriving)

    async def _shared_read(self, read: Callable[[], Awaitable[Body]], peer: Callable[[], str]) -> Body:
        if len(self._shared) >= self._number_shared:
            peers = {arrival: arrival.peer() for arrival in self._shared}
            ((busiest, _),) = Counter(peers.values()).most_common(1)
            oldest = next(arrival for arrival, its_peer in peers.items() if its_peer == busiest)
            # Now, not when its task ends: another may arrive before that.
            del self._shared[oldest]
            oldest.end(RateLimitedError("too many requests arrive at once: send each of them faster", retry_seconds=1))
        return await self._limited(read, peer, self._shared)

    async def _limited(
        self, read: Callable[[], Awaitable[Body]], peer: Callable[[], str], among: dict[_Arrival, None]
    ) -> Body:
        task = asyncio.current_task()
        assert task is not None
        arrival = _Arrival(task, asyncio.get_running_loop().time(), peer)
        among[arrival] = None
        if not self._checking:
            self._check_later()
        cancelling = task.cancelling()
        try:
            return await read()
        except asyncio.CancelledError as cancelled:
            if arrival.error is not None and task.uncancel() <= cancelling:
                raise arrival.error from cancelled
            raise
        finally:
            among.pop(arrival, None)

    def _check_later(self) -> None:
        self._checking = True
        asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        self._checking = False
        late = asyncio.get_running_loop().time() - BODY_SECONDS
        for among in (self._arriving, self._shared):
            for arrival in among:
                if arrival.started > late:
                    break
                text = f"the request did not arrive within {BODY_SECONDS:g} s"
                arrival.end(RateLimitedError(text, retry_seconds=1.0))
        if self._arriving or self._shared:
            self._check_later()
