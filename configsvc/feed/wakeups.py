"""Watches waiting for new commits, indexed by application, so a commit wakes only those it affects."""

import asyncio
from collections.abc import Sequence

from configsvc.domain.commits import CommitPart, Position

Waiter = asyncio.Future[Position]
# Names and ids of applications; None: all.
Topics = frozenset[str] | None

# Waking ten thousand watches at once would stall the event loop for a second.
WAKE_SLICE = 256


class Waiters:
    """Futures that wait at the end of the log. Each resolves with the log position to go on from: nothing before that
    touches its topics.
    """

    def __init__(self) -> None:
        self._all: set[Waiter] = set()
        self._of_all_topics: set[Waiter] = set()
        self._by_topic: dict[str, set[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, waiter: Waiter, topics: Topics) -> None:
        """Add a future that waits for the topics."""
        self._all.add(waiter)
        if topics is None:
            self._of_all_topics.add(waiter)
        else:
            for topic in topics:
                self._by_topic.setdefault(topic, set()).add(waiter)

    def discard(self, waiter: Waiter, topics: Topics) -> None:
        """Remove a future."""
        self._all.discard(waiter)
        self._of_all_topics.discard(waiter)
        for topic in topics or ():
            waiters = self._by_topic.get(topic)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._by_topic[topic]

    def resolve(self, waiter: Waiter, position: Position) -> None:
        """Resolve a future with the position, unless it is resolved or about to be."""
        if waiter in self._all:
            self._all.discard(waiter)
            _resolve(waiter, position)

    async def wake(self, parts: Sequence[CommitPart]) -> None:
        """Resolve the futures whose topics the parts touch, each with the first such part."""
        affected = dict.fromkeys(self._of_all_topics, parts[0].first)
        # Each topic once: a thousand parts times ten thousand watches would stall the event loop for seconds.
        met: set[str] = set()
        for part in parts if self._by_topic else ():
            fresh = (self._by_topic.keys() & topics_of(part)) - met
            met |= fresh
            for topic in fresh:
                for waiter in self._by_topic[topic]:
                    affected.setdefault(waiter, part.first)
        await self._resolve_all(affected)

    async def wake_all(self, position: Position) -> None:
        """Resolve all futures with the position."""
        await self._resolve_all(dict.fromkeys(self._all, position))

    async def _resolve_all(self, affected: dict[Waiter, Position]) -> None:
        # Removed before the first is woken, so that nobody else resolves them with a later position.
        self._all.difference_update(affected)
        self._of_all_topics.difference_update(affected)
        remaining = iter(affected.items())
        try:
            for count, (waiter, position) in enumerate(remaining, start=1):
                _resolve(waiter, position)
                if count % WAKE_SLICE == 0:
                    await asyncio.sleep(0)
        finally:
            # If cancelled between two slices, wake the rest: nobody else ever would.
            for waiter, position in remaining:
                _resolve(waiter, position)


def _resolve(waiter: Waiter, position: Position) -> None:
    # A cancelled watch may not have left yet.
    if not waiter.done():
        waiter.set_result(position)


def topics_of(part: CommitPart) -> set[str]:
    """Return the names and ids of the applications that the part touches."""
    topics: set[str] = set()
    for change in part.changes:
        topics.add(change.configuration.application)
        topics.add(change.configuration.application_id)
        topics.add(change.previous_application)
        topics.add(change.previous_application_id)
    return topics
