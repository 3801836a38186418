"""Bodies of requests that are arriving: a few at a time for each caller, and none for long.

gRPC makes room for a whole message as soon as somebody waits for it, and a client can withhold its last byte.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from configsvc.domain.errors import ConfigsvcError, RateLimitedError

# For a request of 4 MiB, 140 KB a second.
BODY_SECONDS = 30.0
CHECK_SECONDS = 1.0
# Requests that are arriving at a time at one door: those of all callers that are not told apart, and those of health
# and of reflection.
SHARED_BODIES = 32
LIBRARY_BODIES = 16

Body = TypeVar("Body")


def shared_bodies() -> "Bodies":
    """Return the bodies of one door."""
    return Bodies(SHARED_BODIES)


def library_bodies() -> "Bodies":
    """Return the bodies of health or of reflection."""
    return Bodies(LIBRARY_BODIES)


class _Arrival:
    __slots__ = ("_name", "_peer", "error", "started", "task")

    def __init__(self, task: asyncio.Task[Any], started: float, peer: Callable[[], str]) -> None:
        self.task = task
        self.started = started
        self.error: ConfigsvcError | None = None
        self._peer = peer
        self._name: str | None = None

    @property
    def peer(self) -> str:
        """The connection, asked once: transports make the text anew each time."""
        if self._name is None:
            self._name = self._peer()
        return self._name

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
        self._waiting: deque[tuple[asyncio.Future[None], str]] = deque()
        self._checking = False

    async def receive(
        self, read: Callable[[], Awaitable[Body]], peer: Callable[[], str], slots: asyncio.Semaphore | None
    ) -> Body:
        """Return what `read` returns, once one of the caller's slots is free.

        Without slots, the caller shares a number of them with others. When all are taken, a connection that has one
        waits; if its bodies do not arrive meanwhile, they lose their slots after CHECK_SECONDS. Other connections share
        as many slots again; beyond that, the connection with most of them loses its oldest, as waiting would let
        strangers keep others waiting. Raises RateLimitedError, also after BODY_SECONDS.
        """
        if slots is None:
            return await self._shared_read(read, peer)
        async with slots:
            return await self._limited(read, peer, self._arriving)

    async def _shared_read(self, read: Callable[[], Awaitable[Body]], peer: Callable[[], str]) -> Body:
        if len(self._shared) >= self._number_shared:
            await self._wait_for_slot(peer)
        try:
            return await self._limited(read, peer, self._shared)
        finally:
            if self._waiting:
                self._wake_one()

    async def _wait_for_slot(self, peer: Callable[[], str]) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                mine = peer()
                while len(self._shared) >= self._number_shared:
                    peers = Counter(arrival.peer for arrival in self._shared)
                    if mine not in peers:
                        self._make_room(peers)
                        return
                    await self._turn(mine)
        except TimeoutError as error:
            text = "too many requests arrive at once: send each of them faster"
            raise RateLimitedError(text, retry_seconds=1.0) from error

    async def _turn(self, mine: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, mine))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was this one's turn already, and nobody else will be woken for it.
                self._wake_one()
            raise

    def _make_room(self, peers: Counter[str]) -> None:
        if len(self._shared) >= 2 * self._number_shared:
            ((busiest, _),) = peers.most_common(1)
            oldest = next(arrival for arrival in self._shared if arrival.peer == busiest)
            # Now, not when its task ends: another may arrive before that.
            del self._shared[oldest]
            oldest.end(RateLimitedError("too many requests arrive at once: send each of them faster", retry_seconds=1))

    def _wake_one(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

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
        self._end_late(self._arriving, BODY_SECONDS)
        self._end_late(self._shared, BODY_SECONDS)
        # Whoever waits for a slot and withholds bodies at the same time makes room for itself.
        both = {peer for turn, peer in self._waiting if not turn.done()}
        self._end_late([arrival for arrival in self._shared if arrival.peer in both], CHECK_SECONDS)
        if self._arriving or self._shared:
            self._check_later()

    def _end_late(self, among: Iterable[_Arrival], limit_seconds: float) -> None:
        late = asyncio.get_running_loop().time() - limit_seconds
        for arrival in among:
            if arrival.started > late:
                break
            text = f"the request did not arrive within {limit_seconds:g} s"
            arrival.end(RateLimitedError(text, retry_seconds=1.0))
