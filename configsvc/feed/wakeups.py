"""Those who wait for the log to go on, by what they wait for: a commit wakes whom it concerns, not ten thousand."""

import asyncio
from collections.abc import Sequence

from configsvc.domain.commits import CommitPart, Position

Waiter = asyncio.Future[Position]
# Names and ids of applications; None stands for all there are.
Topics = frozenset[str] | None

# Waking ten thousand watches at once would stall the event loop for a second.
WAKE_SLICE = 256


class Waiters:
    """Futures that wait at the end of what was read. Each ends with the place to go on from: what is before has nothing
    to do with its topics.
    """

    def __init__(self) -> None:
        self._all: set[Waiter] = set()
        self._of_everything: set[Waiter] = set()
        self._by_topic: dict[str, set[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, waiter: Waiter, topics: Topics) -> None:
        """Lets it wait for the topics."""
        self._all.add(waiter)
        if topics is None:
            self._of_everything.add(waiter)
        else:
            for topic in topics:
                self._by_topic.setdefault(topic, set()).add(waiter)

    def discard(self, waiter: Waiter, topics: Topics) -> None:
        """Forgets it."""
        self._all.discard(waiter)
        self._of_everything.discard(waiter)
        for topic in topics or ():
            waiters = self._by_topic.get(topic)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._by_topic[topic]

    def end(self, waiter: Waiter, position: Position) -> None:
        """Ends it at the position, unless it has ended or is about to."""
        if waiter in self._all:
            self._all.discard(waiter)
            _end_at(waiter, position)

    async def wake(self, parts: Sequence[CommitPart]) -> None:
        """Ends those whom the parts concern, each at the first that does."""
        concerned = dict.fromkeys(self._of_everything, parts[0].first)
        # Once for each topic: a thousand parts, each told to ten thousand watches, stall the event loop for seconds.
        met: set[str] = set()
        for part in parts if self._by_topic else ():
            fresh = (self._by_topic.keys() & topics_of(part)) - met
            met |= fresh
            for topic in fresh:
                for waiter in self._by_topic[topic]:
                    concerned.setdefault(waiter, part.first)
        await self._end(concerned)

    async def wake_all(self, position: Position) -> None:
        """Ends all of them."""
        await self._end(dict.fromkeys(self._all, position))

    async def _end(self, concerned: dict[Waiter, Position]) -> None:
        # Taken out before the first is woken: nobody else may end them, further on than this.
        self._all.difference_update(concerned)
        self._of_everything.difference_update(concerned)
        remaining = iter(concerned.items())
        try:
            for count, (waiter, position) in enumerate(remaining, start=1):
                _end_at(waiter, position)
                if count % WAKE_SLICE == 0:
                    await asyncio.sleep(0)
        finally:
            # Cancelled between the slices, it must not leave them waiting: nobody else would ever end them.
            for waiter, position in remaining:
                _end_at(waiter, position)


def _end_at(waiter: Waiter, position: Position) -> None:
    # Whose watch was cancelled a moment ago has ended, and not left yet.
    if not waiter.done():
        waiter.set_result(position)


def topics_of(part: CommitPart) -> set[str]:
    """The names and ids of the applications that the part has to do with."""
    topics: set[str] = set()
    for change in part.changes:
        topics.add(change.configuration.application)
        topics.add(change.configuration.application_id)
        topics.add(change.previous_application)
        topics.add(change.previous_application_id)
    return topics
