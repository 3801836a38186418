"""The most recent parts of commits, kept in memory so that watches that are up to date need no database."""

from collections import deque

from configsvc.domain.commits import CommitPart, Position

RING_LIMIT = 10_000
RING_LIMIT_BYTES = 64 * 1024 * 1024
# Approximate memory of a change beside its config and its free texts.
CHANGE_BYTES = 1280


class Ring:
    """Consecutive parts, at most RING_LIMIT of them and RING_LIMIT_BYTES in all; the oldest are dropped first."""

    __slots__ = ("_dropped", "_indexes", "_parts", "bytes")

    def __init__(self) -> None:
        # Approximate memory of all parts.
        self.bytes = 0
        self._parts: deque[CommitPart] = deque()
        # Indexes of the parts by their first log position, counted from the first part ever appended.
        self._indexes: dict[Position, int] = {}
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._parts)

    def part_at(self, position: Position) -> CommitPart | None:
        """Return the part that begins at the position; None if it was dropped or is still to come."""
        index = self._indexes.get(position)
        return None if index is None else self._parts[index - self._dropped]

    def append(self, part: CommitPart) -> None:
        """Add the part that follows the last one, and drop the oldest beyond the limits."""
        self._indexes[part.first] = self._dropped + len(self._parts)
        self._parts.append(part)
        self.bytes += _memory_of(part)
        while len(self._parts) > RING_LIMIT or self.bytes > RING_LIMIT_BYTES:
            self._drop_first()

    def clear(self) -> None:
        """Drop all parts."""
        while self._parts:
            self._drop_first()

    def _drop_first(self) -> None:
        part = self._parts.popleft()
        del self._indexes[part.first]
        self._dropped += 1
        self.bytes -= _memory_of(part)


def _memory_of(part: CommitPart) -> int:
    texts = sum(
        len(change.configuration.comments) + len(change.reason) + len(change.change_request) for change in part.changes
    )
    return part.weight + CHANGE_BYTES * len(part.changes) + texts
