"""Limits on the use that a single caller makes of one process, so that enough is left for the others."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from configsvc.domain.errors import RateLimitedError, TooManyWatchesError
from configsvc.limits.slots import Slots

# When there are more callers, each new one replaces an idle one, if any of the oldest is idle.
REMEMBERED_QUOTAS = 10_000
OLDEST_QUOTAS = 16
# Exports, uploads and waits for operations: each holds a page, a message or a waiter for as long as its client likes.
LONG_LIVED_CALLS = 10
# Answers that the caller's clients have not read; gRPC keeps a copy of each.
UNREAD_ANSWER_BYTES = 64 * 1024 * 1024

# The selectors of all open watches of a caller, and of a process.
SELECTOR_BYTES_PER_CALLER = 64 * 1024 * 1024
SELECTOR_BYTES_PER_PROCESS = 4 * SELECTOR_BYTES_PER_CALLER

# Takes a function to call once the answer of a call was sent, or its client is gone and all that it began has ended.
WhenDone = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of each caller in one process. calls_per_second 0: no limit; the first calls_burst may come at once.
    calls_at_once counts unary calls under way, not streams.
    """

    calls_per_second: float
    calls_burst: float
    calls_at_once: int
    watches_per_caller: int
    watches_per_process: int


class Quota:
    """The use that one caller makes of this process, against its limits.

    A token bucket limits the rate of calls: it fills with time, and each call takes one token.
    """

    __slots__ = (
        "_filled",
        "_limits",
        "_long_lived",
        "_tokens",
        "calls",
        "selector_bytes",
        "slots",
        "unread_bytes",
        "watches",
    )

    def __init__(self, limits: Limits, slots: Slots) -> None:
        self._limits = limits
        self._tokens = limits.calls_burst
        self._filled = time.monotonic()
        self.calls = 0
        self.selector_bytes = 0
        self.unread_bytes = 0
        self.watches = 0
        self.slots = slots
        self._long_lived: Counter[str] = Counter()

    def begin_call(self, when_done: WhenDone) -> None:
        """Count a call until its answer was sent."""
        self.calls += 1
        when_done(self._end_call)

    def _end_call(self, _: object) -> None:
        self.calls -= 1

    def hold_answer(self, size_bytes: int, when_done: WhenDone) -> None:
        """Count the bytes of an answer until it was sent. Raises RateLimitedError."""
        if self.unread_bytes + size_bytes > UNREAD_ANSWER_BYTES:
            text = (
                f"answers of {UNREAD_ANSWER_BYTES >> 20} MiB wait for the caller's clients, which is the limit: "
                "read them, or cancel their calls"
            )
            raise RateLimitedError(text, retry_seconds=1.0)
        self.unread_bytes += size_bytes

        def release(_: object) -> None:
            self.unread_bytes -= size_bytes

        when_done(release)

    @contextmanager
    def long_lived(self, kind: str) -> Generator[None]:
        """Count a long-lived call while it lasts: at most LONG_LIVED_CALLS of a kind. Raises RateLimitedError."""
        if self._long_lived[kind] >= LONG_LIVED_CALLS:
            raise RateLimitedError(retry_seconds=1.0)
        self._long_lived[kind] += 1
        try:
            yield
        finally:
            self._long_lived[kind] -= 1

    @property
    def is_idle(self) -> bool:
        """True if nothing is lost when this quota is forgotten."""
        self._fill()
        busy = self.calls or self.watches or self._long_lived.total()
        return not busy and self._tokens >= self._limits.calls_burst

    def take_call(self) -> None:
        """Count one more call. Raises RateLimitedError."""
        if self.calls >= self._limits.calls_at_once:
            raise RateLimitedError(retry_seconds=1.0)
        rate = self._limits.calls_per_second
        if not rate:
            return
        self._fill()
        if self._tokens < 1:
            raise RateLimitedError(retry_seconds=(1 - self._tokens) / rate)
        self._tokens -= 1

    def _fill(self) -> None:
        now = time.monotonic()
        gained = (now - self._filled) * self._limits.calls_per_second
        self._tokens = min(self._limits.calls_burst, self._tokens + gained)
        self._filled = now


class Quotas:
    """The quotas of all callers of this process, by principal."""

    def __init__(self, limits: Limits, slots: Callable[[], Slots]) -> None:
        self.watches = 0
        self.selector_bytes = 0
        self._limits = limits
        self._slots = slots
        # Oldest first, except that a busy one that was considered for eviction moves to the end.
        self._quotas: OrderedDict[str, Quota] = OrderedDict()

    def of(self, principal: str) -> Quota:
        """Return the quota of the caller, a new one at its first call."""
        quota = self._quotas.get(principal)
        if quota is None:
            if len(self._quotas) >= REMEMBERED_QUOTAS:
                self._forget_one()
            quota = self._quotas[principal] = Quota(self._limits, self._slots())
        return quota

    def _forget_one(self) -> None:
        for principal in list(islice(self._quotas, OLDEST_QUOTAS)):
            if self._quotas[principal].is_idle:
                del self._quotas[principal]
                return
            self._quotas.move_to_end(principal)

    @contextmanager
    def watching(self, quota: Quota | None, selector_bytes: int) -> Generator[None]:
        """Count a watch and its selectors while it is open; quota is None if callers are not told apart.

        Raises TooManyWatchesError.
        """
        limits = self._limits
        if quota:
            _check_room(quota, "the caller", selector_bytes, limits.watches_per_caller, SELECTOR_BYTES_PER_CALLER)
        _check_room(self, "the process", selector_bytes, limits.watches_per_process, SELECTOR_BYTES_PER_PROCESS)
        counted = (self, quota) if quota else (self,)
        for count in counted:
            count.watches += 1
            count.selector_bytes += selector_bytes
        try:
            yield
        finally:
            for count in counted:
                count.watches -= 1
                count.selector_bytes -= selector_bytes


def _check_room(count: Quota | Quotas, whose: str, selector_bytes: int, most_watches: int, most_bytes: int) -> None:
    if count.watches >= most_watches:
        raise TooManyWatchesError(f"{whose} has {most_watches} watches open, which is the limit: close some")
    if count.selector_bytes + selector_bytes > most_bytes:
        raise TooManyWatchesError(
            f"the selectors of {whose}'s open watches take {most_bytes >> 20} MiB of memory, which is the limit: "
            "close some watches, or name fewer configurations"
        )
