"""The registry of the open watches of this process: for the metrics, and for those who list them."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import dropwhile, islice

from ulid import ULID

from configsvc.domain.errors import RateLimitedError
from configsvc.domain.models import Page
from configsvc.domain.selection import Selector
from configsvc.domain.watching import OpenWatch, Watcher, WatchRequest, WatchState
from configsvc.feed.feed import Feed
from configsvc.telemetry.families import Families, counter, gauge, labelled_gauge
from configsvc.watch.sending import Progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """An open watch, from its beginning to its end."""

    id: str
    watcher: Watcher
    selectors: tuple[Selector, ...]
    start_time: datetime
    progress: Progress


class WatchRegistry:
    """All open watches, in the order of their beginning."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        # By their ids, which sort in this order.
        self._open: dict[str, Entry] = {}
        self._last_id = 0
        # Of the watches that ended.
        self._ended_events = 0
        self._slow_readers = 0

    @contextmanager
    def opened(self, request: WatchRequest, watcher: Watcher, revision: int) -> Generator[Entry]:
        """Yield the entry of a new watch, which is kept while the context is open."""
        entry = Entry(
            id=self._next_id(),
            watcher=watcher,
            selectors=request.selection.selectors,
            start_time=datetime.now(UTC),
            progress=Progress(revision),
        )
        self._open[entry.id] = entry
        try:
            yield entry
        except RateLimitedError:
            self._slow_readers += 1
            raise
        finally:
            del self._open[entry.id]
            self._ended_events += entry.progress.events

    def _next_id(self) -> str:
        # Greater than the last one, even if the clock was set back.
        self._last_id = max(int(ULID()), self._last_id + 1)
        return str(ULID.from_int(self._last_id))

    def page(self, after: str | None, limit: int) -> Page[OpenWatch]:
        """Return the watches that began after the one with this id, which may have ended; None: from the first one."""
        later = dropwhile(lambda entry: entry.id <= (after or ""), self._open.values())
        entries = tuple(islice(later, limit + 1))
        return Page(
            resources=tuple(map(self._open_watch, entries[:limit])),
            revision=self._feed.revision,
            last_key=(entries[limit - 1].id,) if len(entries) > limit else None,
        )

    def _open_watch(self, entry: Entry) -> OpenWatch:
        last = self._feed.revision
        state, revision = self._state_of(entry.progress)
        return OpenWatch(
            id=entry.id,
            watcher=entry.watcher,
            selectors=entry.selectors,
            start_time=entry.start_time,
            state=state,
            revision=revision,
            # A watch that reads the table may be ahead of the feed.
            behind_count=max(0, last - revision),
        )

    def _state_of(self, progress: Progress) -> tuple[WatchState, int]:
        if progress.state is not WatchState.UP_TO_DATE:
            return progress.state, progress.revision
        if progress.member and progress.member.is_waiting:
            reached = progress.member.reached
            state = WatchState.UP_TO_DATE if reached >= self._feed.end else WatchState.BEHIND
            return state, reached.revision - 1
        if progress.waiter and self._feed.is_waiting(progress.waiter):
            return WatchState.UP_TO_DATE, max(progress.revision, self._feed.revision)
        # It is about to be woken.
        return WatchState.BEHIND, progress.revision

    def collect(self) -> Families:
        """Yield the metrics of all watches. Prometheus asks for them in a thread of its own."""
        watches = tuple(entry.progress for entry in tuple(self._open.values()))
        states = Counter(watch.state for watch in watches)
        yield labelled_gauge("watches", "Open watches.", ("state",), {(state,): states[state] for state in WatchState})
        events = self._ended_events + sum(watch.events for watch in watches)
        yield counter("watch_events", "Events sent to watches, including those of snapshots.", events)
        yield counter("slow_readers_closed", "Watches closed because they were not read.", self._slow_readers)
        revision = self._feed.revision
        late = (watch for watch in watches if watch.state is not WatchState.UP_TO_DATE)
        lag = max((revision - watch.revision for watch in late), default=0)
        yield gauge("watch_lag_revisions", "Revisions that the slowest watch is behind the feed.", max(lag, 0))
