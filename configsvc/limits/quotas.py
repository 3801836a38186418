"""How much of one process a single caller may take, so that there is something left for the others."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from configsvc.domain.errors import RateLimitedError, TooManyWatchesError
from configsvc.storage.database import ConnectionShare

# Those of callers that come and go. Of more, each new one takes the place of one that is idle, if there is any among
# the oldest.
REMEMBERED_SHARES = 10_000
OLDEST_SHARES = 16
# Exports, uploads and waits for operations: each holds a page, a message or a place for as long as its client likes.
LASTING_CALLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a caller may take of one process. calls_per_second 0: no limit; the first calls_burst may come at once.
    calls_at_once is how many may be under way, beside streams.
    """

    calls_per_second: float
    calls_burst: float
    calls_at_once: int
    watches_per_caller: int
    watches_per_process: int


class Share:
    """What one caller takes of this process; as a context, the time in which one of its calls is under way. A token
    bucket counts its calls: it fills with time, and each call takes one out.
    """

    __slots__ = ("_filled", "_lasting", "_limits", "_tokens", "calls", "connections", "watches")

    def __init__(self, limits: Limits, connections: ConnectionShare) -> None:
        self._limits = limits
        self._tokens = limits.calls_burst
        self._filled = time.monotonic()
        self.calls = 0
        self.watches = 0
        self.connections = connections
        self._lasting: Counter[str] = Counter()

    def __enter__(self) -> None:
        self.calls += 1

    def __exit__(self, *_: object) -> None:
        self.calls -= 1

    @contextmanager
    def lasting(self, kind: str) -> Generator[None]:
        """The time of one of its calls that may last: LASTING_CALLS of a kind at the most. Raises RateLimitedError."""
        if self._lasting[kind] >= LASTING_CALLS:
            raise RateLimitedError(retry_seconds=1.0)
        self._lasting[kind] += 1
        try:
            yield
        finally:
            self._lasting[kind] -= 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost when it is forgotten."""
        self._fill()
        busy = self.calls or self.watches or self._lasting.total()
        return not busy and self._tokens >= self._limits.calls_burst

    def take_call(self) -> None:
        """Counts one more call. Raises RateLimitedError."""
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


class Shares:
    """The shares of all callers of this process, by their principals."""

    def __init__(self, limits: Limits, connections: Callable[[], ConnectionShare]) -> None:
        self.watches = 0
        self._limits = limits
        self._connections = connections
        # In the order in which they came, but for those that were looked at and could not be forgotten: they are last.
        self._shares: OrderedDict[str, Share] = OrderedDict()

    def of(self, principal: str) -> Share:
        """What the caller takes."""
        share = self._shares.get(principal)
        if share is None:
            if len(self._shares) >= REMEMBERED_SHARES:
                self._forget_one()
            share = self._shares[principal] = Share(self._limits, self._connections())
        return share

    def _forget_one(self) -> None:
        for principal in list(islice(self._shares, OLDEST_SHARES)):
            if self._shares[principal].is_idle:
                del self._shares[principal]
                return
            self._shares.move_to_end(principal)

    @contextmanager
    def watching(self, share: Share | None) -> Generator[None]:
        """The time in which a watch is open, of a caller where they are told apart. Raises TooManyWatchesError."""
        limits = self._limits
        if share and share.watches >= limits.watches_per_caller:
            raise TooManyWatchesError(limit=limits.watches_per_caller, whose="the caller")
        if self.watches >= limits.watches_per_process:
            raise TooManyWatchesError(limit=limits.watches_per_process, whose="the process")
        self.watches += 1
        if share:
            share.watches += 1
        try:
            yield
        finally:
            self.watches -= 1
            if share:
                share.watches -= 1
