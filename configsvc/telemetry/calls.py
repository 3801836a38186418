"""Calls as Prometheus counts them: by method and status code, their durations, and those in flight."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from configsvc.telemetry.families import Families, gauge, labelled_counter

CALL_BUCKETS_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class MethodMetrics:
    """Counts and durations of the calls of one method.

    Plain numbers: the locks of prometheus-client's Counter and Histogram added 5 % to a read from memory.
    """

    def __init__(self) -> None:
        self.codes = {"OK": 0}
        self.seconds = 0.0
        # The last bucket has no upper bound.
        self.buckets = [0] * (len(CALL_BUCKETS_SECONDS) + 1)

    def count(self, code: str) -> None:
        """Count a call that ended with the status code."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def observe(self, seconds: float) -> None:
        """Record the duration of a call."""
        self.seconds += seconds
        self.buckets[bisect_left(CALL_BUCKETS_SECONDS, seconds)] += 1


class CallMetrics:
    """The metrics of all methods, by name. refused: counts of refused calls by status code and reason."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[str, str]] = Counter()
        self._methods: dict[str, MethodMetrics] = {}

    def of(self, method: str) -> MethodMetrics:
        """Return the metrics of one method."""
        return self._methods.setdefault(method, MethodMetrics())

    def collect(self) -> Iterable[Metric]:
        """Yield the current metrics."""
        calls = CounterMetricFamily("configsvc_calls", "Calls that ended.", labels=("method", "code"))
        seconds = HistogramMetricFamily("configsvc_call_seconds", "Durations of unary calls.", labels=("method",))
        bounds = [*map(str, CALL_BUCKETS_SECONDS), "+Inf"]
        for method, metrics in self._methods.items():
            for code, count in tuple(metrics.codes.items()):
                calls.add_metric((method, code), count)
            buckets = list(zip(bounds, accumulate(metrics.buckets), strict=True))
            seconds.add_metric((method,), buckets, metrics.seconds)
        yield calls
        yield seconds
        # A copy: calls count on the event loop while a thread of its own answers Prometheus.
        yield labelled_counter("refused_calls", "Calls that were refused.", ("code", "reason"), dict(self.refused))


class InFlight:
    """The calls under way, each until its answer is sent."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()

    def collect(self) -> Families:
        """Yield the metric of the calls under way."""
        yield gauge("calls_in_flight", "Calls and watches under way.", self.count)

    def begin(self) -> None:
        """Count one more call."""
        self.count += 1

    def end(self, _context: object) -> None:
        """Count one call less, as the callback of a transport."""
        self.count -= 1
        if not self.count:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no call is in flight."""
        while self.count:
            self._idle.clear()
            await self._idle.wait()
