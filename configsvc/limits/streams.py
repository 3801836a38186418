"""Limits on streams of clients that need not prove who they are."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from configsvc.domain.errors import TooManyWatchesError

# A client that checks health has a stream for each of its connections, and many may share an address.
STREAMS_PER_HOST = 1000
STREAMS_PER_PROCESS = 10_000


class HostStreams:
    """The open streams of this process, counted by the host that they come from."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def opened(self, host: str) -> Generator[None]:
        """Count a stream while it is open. Raises TooManyWatchesError."""
        if self._open[host] >= STREAMS_PER_HOST:
            raise TooManyWatchesError(
                f"this address has {STREAMS_PER_HOST} streams of health and reflection open: close some"
            )
        if self._total >= STREAMS_PER_PROCESS:
            raise TooManyWatchesError(
                f"the process has {STREAMS_PER_PROCESS} streams of health and reflection open: close some"
            )
        self._total += 1
        self._open[host] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]
