"""Watches waiting for new commits, indexed by what they select, so a commit wakes only those it affects."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from configsvc.domain.commits import CommitPart, Position
from configsvc.domain.selection import NameIndex, SelectionIndex

Waiter = asyncio.Future[Position]
# Waking ten thousand watches at once would stall the event loop for a second.
WAKE_SLICE = 256


class Interest:
    """The waiting watches that have one selection."""

    __slots__ = ("index", "waiters")

    def __init__(self, index: SelectionIndex) -> None:
        self.index = index
        self.waiters: set[Waiter] = set()


class InterestsByName:
    """Interests in configurations of one application, or of any, by the names and prefixes that they select."""

    __slots__ = ("_by_key", "_by_prefix", "_lengths", "_watched_lengths")

    def __init__(self) -> None:
        self._by_key: dict[str, set[Interest]] = {}
        self._by_prefix: dict[str, set[Interest]] = {}
        # How many prefixes have each length.
        self._lengths: Counter[int] = Counter()
        self._watched_lengths: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._by_key or self._by_prefix)

    def add(self, interest: Interest, names: NameIndex) -> None:
        """Add an interest in the names."""
        for key in names.names:
            self._by_key.setdefault(key, set()).add(interest)
        for prefix in names.prefixes:
            if prefix not in self._by_prefix:
                self._lengths[len(prefix)] += 1
            self._by_prefix.setdefault(prefix, set()).add(interest)
        self._watched_lengths = tuple(self._lengths)

    def discard(self, interest: Interest, names: NameIndex) -> None:
        """Remove the interest."""
        for key in names.names:
            _discard(self._by_key, key, interest)
        for prefix in names.prefixes:
            if _discard(self._by_prefix, prefix, interest):
                self._lengths[len(prefix)] -= 1
        self._lengths = +self._lengths
        self._watched_lengths = tuple(self._lengths)

    def of(self, name: str) -> Iterator[set[Interest]]:
        """Yield the sets of interests in a configuration with the name."""
        if name in self._by_key:
            yield self._by_key[name]
        for length in self._watched_lengths:
            if (interests := self._by_prefix.get(name[:length])) is not None and length <= len(name):
                yield interests


def _discard(sets: dict[str, set[Interest]], key: str, interest: Interest) -> bool:
    """Remove the interest from a set; return whether that was the last of the set."""
    interests = sets.get(key, set())
    interests.discard(interest)
    if interests:
        return False
    return sets.pop(key, None) is not None


class Interests:
    """The interests of all open watches. A commit looks up the names that it touches, in no more than three indexes."""

    def __init__(self) -> None:
        self._anywhere = InterestsByName()
        self._by_id: dict[str, InterestsByName] = {}
        self._by_name: dict[str, InterestsByName] = {}

    def __bool__(self) -> bool:
        return bool(self._anywhere or self._by_id or self._by_name)

    def add(self, interest: Interest) -> None:
        """Add an interest."""
        index = interest.index
        self._anywhere.add(interest, index.anywhere)
        for by_application, selected in ((self._by_id, index.by_id), (self._by_name, index.by_name)):
            for application, names in selected.items():
                by_application.setdefault(application, InterestsByName()).add(interest, names)

    def discard(self, interest: Interest) -> None:
        """Remove an interest."""
        index = interest.index
        self._anywhere.discard(interest, index.anywhere)
        for by_application, selected in ((self._by_id, index.by_id), (self._by_name, index.by_name)):
            for application, names in selected.items():
                by_application[application].discard(interest, names)
                if not by_application[application]:
                    del by_application[application]

    def of(self, application_id: str, application: str, name: str) -> Iterator[set[Interest]]:
        """Yield the sets of interests in a configuration with these names."""
        for index in (self._anywhere, self._by_id.get(application_id), self._by_name.get(application)):
            if index is not None:
                yield from index.of(name)


class Waiters:
    """Futures that wait at the end of the log. Each resolves with the log position to go on from: nothing before that
    touches its interest.
    """

    def __init__(self) -> None:
        self.interests = Interests()
        self._all: set[Waiter] = set()
        self._of_any_commit: set[Waiter] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._all

    def add(self, waiter: Waiter, interest: Interest | None) -> None:
        """Add a future that waits for a commit of interest; None: for any commit."""
        self._all.add(waiter)
        (self._of_any_commit if interest is None else interest.waiters).add(waiter)

    def discard(self, waiter: Waiter, interest: Interest | None) -> None:
        """Remove a future."""
        self._all.discard(waiter)
        (self._of_any_commit if interest is None else interest.waiters).discard(waiter)

    def resolve(self, waiter: Waiter, position: Position) -> None:
        """Resolve a future with the position, unless it is resolved or about to be."""
        if waiter in self._all:
            self._all.discard(waiter)
            _resolve(waiter, position)

    async def wake(self, parts: Sequence[CommitPart]) -> None:
        """Resolve the futures whose interest the parts touch, each with the first such part."""
        affected = dict.fromkeys(self._of_any_commit, parts[0].first)
        # Each name and each interest once: a thousand parts times ten thousand watches would stall the event loop.
        names: set[tuple[str, str, str]] = set()
        met: set[int] = set()
        for part in parts if self.interests else ():
            fresh = names_of(part) - names
            names |= fresh
            for touched in fresh:
                for interests in self.interests.of(*touched):
                    if id(interests) not in met:
                        met.add(id(interests))
                        for interest in interests:
                            for waiter in interest.waiters:
                                affected.setdefault(waiter, part.first)
        await self._resolve_all(affected)

    async def wake_all(self, position: Position) -> None:
        """Resolve all futures with the position."""
        await self._resolve_all(dict.fromkeys(self._all, position))

    async def _resolve_all(self, affected: dict[Waiter, Position]) -> None:
        # Removed before the first is woken, so that nobody else resolves them with a later position.
        self._all.difference_update(affected)
        self._of_any_commit.difference_update(affected)
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


def names_of(part: CommitPart) -> set[tuple[str, str, str]]:
    """Return the application id, application and name of each configuration that the part touches, before and after."""
    names: set[tuple[str, str, str]] = set()
    for change in part.changes:
        after = change.configuration
        names.add((after.application_id, after.application, after.name))
        names.add((change.previous_application_id, change.previous_application, change.previous_name))
    return names
