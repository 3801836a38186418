"""The data of watches: their requests and messages."""

from dataclasses import dataclass

from configsvc.domain.commits import RECORD_BYTES, CommitPart
from configsvc.domain.models import Configuration
from configsvc.domain.selection import EventType, Selection

# Messages up to this size are encoded on the event loop: about 10 ms.
LARGE_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """The parameters of a watch.

    after_revision: None begins with a snapshot. epoch: an empty one is not checked.
    """

    selection: Selection
    after_revision: int | None
    epoch: str
    progress_interval_seconds: float
    with_config: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMessage:
    """A page of the snapshot; more follow until synced. content_bytes: the text of its configs."""

    revision: int
    configurations: tuple[Configuration, ...]
    content_bytes: int

    @property
    def is_large(self) -> bool:
        """True if it must not be encoded on the event loop."""
        return RECORD_BYTES * len(self.configurations) + self.content_bytes > LARGE_BYTES


@dataclass(slots=True, kw_only=True, eq=False)
class CommitMessage:
    """The events of one part of a commit, for one audience.

    events: indexes of the part's changes, with their types. shared: it goes to all watches of the audience.
    size_bytes: its approximate size on the wire. encoded: its bytes, once they were made.
    """

    part: CommitPart
    events: tuple[tuple[int, EventType], ...]
    with_config: bool
    shared: bool
    size_bytes: int
    encoded: tuple[bytes, ...] = ()

    @property
    def is_large(self) -> bool:
        """True if it must not be encoded on the event loop."""
        return self.size_bytes > LARGE_BYTES

    @property
    def memory_bytes(self) -> int:
        """Approximate memory of the message and its part."""
        return self.part.weight + sum(map(len, self.encoded))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressMessage:
    """A bookmark: everything up to the revision was delivered. synced is set on the first one of a watch."""

    revision: int
    synced: bool


WatchMessage = ExistingMessage | CommitMessage | ProgressMessage
