"""What a process tells Prometheus. docs/metrics.md says what each metric means."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from configsvc.watch.follower import WatchState

if TYPE_CHECKING:
    from configsvc.configurations.cache import Cache
    from configsvc.configurations.reads import Reads
    from configsvc.feed.feed import Feed
    from configsvc.identity.tokens import Tokens
    from configsvc.storage.database import Database
    from configsvc.validation.compiled import ValidatorCache
    from configsvc.watch.watches import Watches
    from configsvc.writes.group_commit import GroupCommit
    from configsvc.writes.transactions import Writes

CALL_BUCKETS_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class MethodMetrics:
    """Counts and times the calls of one method. In plain numbers: the Counter and the Histogram of prometheus-client
    take locks, which added a twentieth to the time of a read from memory.
    """

    def __init__(self) -> None:
        self.codes = {"OK": 0}
        self.seconds = 0.0
        # The last one is for those beyond all buckets.
        self.buckets = [0] * (len(CALL_BUCKETS_SECONDS) + 1)

    def count(self, code: str) -> None:
        """Counts a call that ended with the status code."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def observe(self, seconds: float) -> None:
        """Notes how long a call took."""
        self.seconds += seconds
        self.buckets[bisect_left(CALL_BUCKETS_SECONDS, seconds)] += 1


class CallMetrics:
    """Counts and times the calls of a service, by the names of their methods."""

    def __init__(self) -> None:
        self._methods: dict[str, MethodMetrics] = {}

    def of(self, method: str) -> MethodMetrics:
        """The metrics of one method."""
        return self._methods.setdefault(method, MethodMetrics())

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        calls = CounterMetricFamily("configsvc_calls", "Calls that ended.", labels=("method", "code"))
        seconds = HistogramMetricFamily("configsvc_call_seconds", "How long unary calls took.", labels=("method",))
        bounds = [*map(str, CALL_BUCKETS_SECONDS), "+Inf"]
        for method, metrics in self._methods.items():
            for code, count in tuple(metrics.codes.items()):
                calls.add_metric((method, code), count)
            buckets = list(zip(bounds, accumulate(metrics.buckets), strict=True))
            seconds.add_metric((method,), buckets, metrics.seconds)
        yield calls
        yield seconds


class InFlight:
    """Counts the calls under way."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()

    def begin(self) -> None:
        """One more."""
        self.count += 1

    def end(self) -> None:
        """One less."""
        self.count -= 1
        if not self.count:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when no call is under way."""
        while self.count:
            self._idle.clear()
            await self._idle.wait()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What is looked at when Prometheus asks. It does so in a thread of its own, and changes nothing."""

    calls: CallMetrics
    in_flight: InFlight
    feed: "Feed"
    watches: "Watches"
    cache: "Cache"
    reads: "Reads"
    writes: "Writes"
    merged_writes: "GroupCommit"
    validators: "ValidatorCache"
    tokens: "Tokens | None"
    database: "Database"

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        yield from self.calls.collect()
        yield _gauge("calls_in_flight", "Calls and watches under way.", self.in_flight.count)
        yield from self._of_watches()
        yield from self._of_feed()
        yield from self._of_reads()
        yield _counter("write_transactions", "Transactions that change something.", self._transactions)
        yield _counter("merged_writes", "Writes that were done in transactions for many.", self.merged_writes.merged)
        yield from self._of_validators()
        yield from self._of_tokens()
        yield self._of_connections()

    @property
    def _transactions(self) -> int:
        return self.writes.transactions + self.merged_writes.transactions

    def _of_watches(self) -> Iterable[Metric]:
        watches = self.watches.progress
        states = Counter(watch.state for watch in watches)
        family = GaugeMetricFamily("configsvc_watches", "Open watches.", labels=("state",))
        for state in WatchState:
            family.add_metric((state,), states[state])
        yield family
        revision = self.feed.revision
        late = (watch for watch in watches if watch.state is not WatchState.UP_TO_DATE)
        lag = max((revision - watch.revision for watch in late), default=0)
        yield _gauge("watch_lag_revisions", "How far the slowest watch is behind the feed.", max(lag, 0))
        yield _gauge(
            "watch_remembered_bytes",
            "What commits are to watches alike, and what is written of it.",
            self.watches.audiences.remembered_bytes,
        )

    def _of_feed(self) -> Iterable[Metric]:
        feed = self.feed
        yield _gauge("feed_revision", "The last revision that was read.", feed.revision)
        yield _gauge("feed_live", "1 while new commits are heard of.", feed.live)
        yield _gauge("feed_lag_seconds", "How long ago the log was last read to its end.", feed.lag_seconds)
        yield _counter("feed_connections_lost", "How often the feed lost the database.", feed.connections_lost)
        yield _gauge("ring_parts", "Parts of commits that are kept for watches.", feed.ring_parts)
        yield _gauge("ring_bytes", "What they take in memory, about.", feed.ring_bytes)
        yield _gauge(
            "notification_queue_usage", "How full PostgreSQL's queue is, 0 to 1.", feed.notification_queue_usage
        )

    def _of_reads(self) -> Iterable[Metric]:
        reads, cache = self.reads, self.cache
        yield _counter("cache_hits", "Reads that were answered from memory.", reads.hits)
        yield _counter("cache_misses", "Reads that were not.", reads.misses)
        yield _counter("cache_overtaken", "Reads of the database that were too old to be kept.", reads.overtaken)
        yield _gauge("cache_answers", "Answers in memory.", len(cache))
        yield _gauge("cache_bytes", "What they take there, about.", cache.bytes)

    def _of_validators(self) -> Iterable[Metric]:
        validators = self.validators
        yield _counter("validator_hits", "ValidatorCache that were in memory.", validators.hits)
        yield _counter("validator_misses", "ValidatorCache that were compiled.", validators.misses)
        yield _gauge("validators", "ValidatorCache in memory.", len(validators))
        yield _gauge("validator_document_bytes", "The documents that they are compiled of.", validators.bytes)

    def _of_tokens(self) -> Iterable[Metric]:
        tokens = self.tokens
        yield _gauge("remembered_tokens", "Verified tokens in memory.", len(tokens.remembered) if tokens else 0)
        yield _gauge("remembered_token_bytes", "What they take there, about.", tokens.remembered.bytes if tokens else 0)
        yield _gauge("provider_keys", "Keys that tokens are verified with.", len(tokens.keys) if tokens else 0)
        age_seconds = tokens.keys.age_seconds if tokens else 0
        yield _gauge("provider_keys_age_seconds", "How long ago they were read.", age_seconds)

    def _of_connections(self) -> Metric:
        family = GaugeMetricFamily(
            "configsvc_database_connections", "Connections of the pools.", labels=("pool", "state")
        )
        for name, (busy, idle) in self.database.connections().items():
            family.add_metric((name, "busy"), busy)
            family.add_metric((name, "idle"), idle)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"configsvc_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"configsvc_{name}", text, value)


def new_registry() -> CollectorRegistry:
    """A registry for one service, with memory, CPU time and open files of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


@asynccontextmanager
async def served_metrics(registry: CollectorRegistry, host: str, port: int) -> AsyncGenerator[int]:
    """Answers on /metrics, in a thread of its own, and yields the port. Raises OSError."""
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()
