"""Limits on the use that a single caller makes of one process, so that enough is left for the others."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from configsvc.domain.errors import RateLimitedError, TooManyWatchesError
from configsvc.limits.slots import Slots

# When there are more callers, each new one replaces an idle one, if any of the oldest is idle.
REMEMBERED_QUOTAS = 10_000
OLDEST_QUOTAS = 16
# Exports, uploads and waits for operations: each holds a page, a message or a waiter for as long as its client likes.
LONG_LIVED_CALLS = 10


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
    """The use that one caller makes of this process, against its limits. As a context manager: one call under way.

    A token bucket limits the rate of calls: it fills with time, and each call takes one token.
    """

    __slots__ = ("_filled", "_limits", "_long_lived", "_tokens", "calls", "slots", "watches")

    def __init__(self, limits: Limits, slots: Slots) -> None:
        self._limits = limits
        self._tokens = limits.calls_burst
        self._filled = time.monotonic()
        self.calls = 0
        self.watches = 0
        self.slots = slots
        self._long_lived: Counter[str] = Counter()

    def __enter__(self) -> None:
        self.calls += 1

    def __exit__(self, *_: object) -> None:
        self.calls -= 1

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
    def watching(self, quota: Quota | None) -> Generator[None]:
        """Count a watch while it is open; quota is None if callers are not told apart. Raises TooManyWatchesError."""
        limits = self._limits
        if quota and quota.watches >= limits.watches_per_caller:
            raise TooManyWatchesError(limit=limits.watches_per_caller, whose="the caller")
        if self.watches >= limits.watches_per_process:
            raise TooManyWatchesError(limit=limits.watches_per_process, whose="the process")
        self.watches += 1
        if quota:
            quota.watches += 1
        try:
            yield
        finally:
            self.watches -= 1
            if quota:
                quota.watches -= 1
