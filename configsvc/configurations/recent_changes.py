"""The configurations that the last commits changed, so that answers from elsewhere can be checked."""

import asyncio
import struct
from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from configsvc.domain.commits import Commit, CommitPart
from configsvc.feed.observers import FeedObserver
from configsvc.storage.log import RecentCommits

# Commits and changed configurations that are remembered, about 220 bytes for both.
LIMIT = 50_000

_IDENTITY = struct.Struct(">qq")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def identity_of(commit: Commit) -> bytes:
    """Return what tells the commit from those that take its revision in other histories."""
    return _IDENTITY.pack(commit.id, (commit.time - _BEGIN) // _MICROSECOND)


class RecentChanges(FeedObserver):
    """The last commits up to the feed's revision, and at which revision each configuration was changed last.

    Both are complete from the first remembered commit on.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        # Set while there may be earlier commits to remember.
        self.is_short = asyncio.Event()
        self._limit = limit
        self._first = self._next = 0
        self._identities: deque[bytes] = deque()
        # The one that was changed longest ago is the first.
        self._changed: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._identities)

    @property
    def first(self) -> int:
        """The first revision that is remembered."""
        return self._first

    def is_unchanged(self, configuration_id: str, revision: int, identity: bytes) -> bool:
        """Return whether the history has this commit at the revision, and has not changed the configuration since."""
        if not self._first <= revision < self._next or self._identities[revision - self._first] != identity:
            return False
        return self._changed.get(configuration_id, 0) <= revision

    def is_old(self, revision: int) -> bool:
        """Return whether the revision will soon be remembered no more."""
        return self._next - revision > self._limit // 2

    def last(self) -> tuple[int, bytes] | None:
        """Return the last revision and the identity of its commit, or None if there is none."""
        return (self._next - 1, self._identities[-1]) if self._identities else None

    def reset(self, last: Commit | None) -> None:
        """Remember nothing but the last commit of the history that begins."""
        self._changed.clear()
        self._identities.clear()
        self._first = self._next = 0
        if last is not None:
            self._identities.append(identity_of(last))
            self._first, self._next = last.revision, last.revision + 1
            self.is_short.set()

    def apply(self, part: CommitPart) -> None:
        """Remember the changes of the part, and its commit if this is the last part."""
        for change in part.changes:
            self._changed[change.configuration.id] = part.revision
            self._changed.move_to_end(change.configuration.id)
        if not part.more:
            if not self._identities:
                self._first = part.revision
            self._identities.append(identity_of(part.commit))
            self._next = part.revision + 1
        self._drop()

    def extend(self, recent: RecentCommits) -> bool:
        """Remember commits up to the first one that is known. Return False if there are none, or those of another
        history.
        """
        if not recent.commits:
            self.is_short.clear()
        commits = iter(recent.commits)
        if not self._is_first(next(commits, None)):
            return False
        self._add(recent.commits[0][1], self._first)
        if len(recent.commits) == 1:
            self.is_short.clear()
        for commit, changed in commits:
            # Of a compacted commit the state can be read, while some of its changes are gone.
            if commit.revision != self._first - 1 or commit.revision < recent.compacted_revision or self._is_full:
                self.is_short.clear()
                break
            self._identities.appendleft(identity_of(commit))
            self._first = commit.revision
            self._add(changed, commit.revision)
        return True

    def _is_first(self, newest: tuple[Commit, tuple[str, ...]] | None) -> bool:
        if newest is None or not self._identities:
            return False
        commit, _ = newest
        return commit.revision == self._first and identity_of(commit) == self._identities[0]

    def _add(self, changed: Iterable[str], revision: int) -> None:
        for configuration_id in changed:
            if configuration_id not in self._changed:
                self._changed[configuration_id] = revision
                self._changed.move_to_end(configuration_id, last=False)

    @property
    def _is_full(self) -> bool:
        return len(self._identities) >= self._limit or len(self._changed) >= self._limit

    def _drop(self) -> None:
        while len(self._changed) > self._limit:
            _, revision = self._changed.popitem(last=False)
            self._drop_before(revision)
        if len(self._identities) > self._limit:
            self._drop_before(self._first + 1)

    def _drop_before(self, revision: int) -> None:
        while self._identities and self._first < revision:
            self._identities.popleft()
            self._first += 1
        while self._changed and next(iter(self._changed.values())) <= self._first:
            self._changed.popitem(last=False)
