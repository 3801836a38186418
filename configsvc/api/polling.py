"""Long polling: a watch that ends with its first news, for clients that cannot read a stream."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from configapi.v1.configuration_service_pb2 import WatchConfigurationsResponse
from configsvc.domain.errors import DatabaseBusyError
from configsvc.domain.watching import After, Place
from configsvc.watch.sending import Passing, Write

# An answer ends with the message that exceeds this, of 1 MiB at most, or of one configuration.
ANSWER_BYTES = 512 * 1024
# For reading the log or a snapshot, before there is anything to wait for.
READING_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """The messages of a poll. Everything up to `place` was delivered, and `skipped` events after it."""

    messages: tuple[bytes, ...]
    place: Place
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledPage:
    """The messages of a poll, and one token with which to go on: after everything, or where its rest begins."""

    messages: tuple[bytes, ...]
    resume_token: str
    next_page_token: str


class _EnoughError(Exception):
    """The end of a watch whose poll has an answer."""


class Poll:
    """Collects the messages of one watch. `whole`: it begins with a snapshot, which is news even if it is empty.

    `skipped`: how many events the client has of those that the watch begins with.
    """

    def __init__(self, wait_seconds: float, *, whole: bool, skipped: int) -> None:
        self._deadline = asyncio.get_running_loop().time() + wait_seconds
        self._limit = asyncio.timeout_at(self._deadline + READING_SECONDS)
        self._whole = whole
        self._to_skip = skipped
        self._messages: list[bytes] = []
        self._size = 0
        self._synced = False
        # True after a message whose commit or snapshot goes on.
        self._inside = False
        self._place: Place | None = None
        # Events that the client has, from the place on.
        self._had = 0
        self._has_dropped = False
        self._last: After | None = None

    async def collect(self, watch: Callable[[Write, Passing], Awaitable[None]]) -> Polled:
        """Return the messages up to the first pause of the watch; none if nothing happens within the wait.

        Raises DatabaseBusyError if the log could not be read in time, and what the watch raises.
        """
        try:
            async with self._limit:
                await watch(self._write, self._passing)
        except _EnoughError:
            pass
        except TimeoutError as error:
            if not self._limit.expired():
                raise
            if not self._is_idle or self._last is None:
                raise DatabaseBusyError from error
            self._place, self._had = self._last, 0
        assert self._place is not None
        return Polled(messages=tuple(self._messages), place=self._place, skipped=self._had)

    @property
    def _is_full(self) -> bool:
        return self._size >= ANSWER_BYTES

    @property
    def _is_idle(self) -> bool:
        return self._synced and not self._messages and not self._inside

    def _passing(self, place: Place) -> None:
        if self._has_dropped:
            raise _EnoughError
        if place != self._place:
            self._place, self._had = place, 0
        is_complete = self._synced and isinstance(place, After) and (self._whole or self._messages)
        if self._is_full or is_complete:
            raise _EnoughError

    async def _write(self, encoded: bytes) -> None:
        message = WatchConfigurationsResponse.FromString(encoded)
        if self._has_dropped or self._is_full:
            self._has_dropped = True
            return
        if message.resume_token:
            self._last = After(epoch=message.epoch, revision=message.revision)
        self._synced = self._synced or message.synced
        if message.events or self._inside or (message.synced and self._whole):
            self._take(message, encoded)
        if not self._limit.expired():
            self._limit.reschedule(self._deadline if self._is_idle else self._deadline + READING_SECONDS)

    def _take(self, message: WatchConfigurationsResponse, encoded: bytes) -> None:
        self._inside = message.more
        self._had += len(message.events)
        if self._to_skip and message.events:
            known = min(self._to_skip, len(message.events))
            self._to_skip -= known
            del message.events[:known]
            if not message.events and message.more:
                return
            encoded = message.SerializeToString()
        self._messages.append(encoded)
        self._size += len(encoded)
