"""The data of watches: their requests, their messages, and who watches."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from configsvc.domain.commits import RECORD_BYTES, CommitPart, Position
from configsvc.domain.models import Configuration
from configsvc.domain.scope import Scope
from configsvc.domain.selection import Effect, Selection, Selector

# Messages up to this size are encoded on the event loop: about 10 ms.
LARGE_BYTES = 32 * 1024
# Approximate memory of an instance and of each of its labels, beside their text.
INSTANCE_BYTES = 512
LABEL_BYTES = 256


class ContentForm(StrEnum):
    """The form in which events have contents."""

    ABSENT = "ABSENT"
    STRUCT = "STRUCT"
    JSON = "JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A start with a snapshot, at least as new as `min_revision`; 0: no bound."""

    min_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A start just after a revision of a history."""

    epoch: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOfSnapshot:
    """A start inside a snapshot: after a key of one of the selectors, which are counted from 0."""

    epoch: str
    revision: int
    selector: int
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOfCommit:
    """A start inside a commit, whose beginning the client has."""

    epoch: str
    position: Position


# Where a watch can begin, and can be gone on with once everything before was delivered.
Start = Snapshot | After | RestOfSnapshot | RestOfCommit
Place = After | RestOfSnapshot | RestOfCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchInstance:
    """A program that watches, as it describes itself."""

    id: str
    labels: tuple[tuple[str, str], ...]
    program: str
    version: str

    @property
    def size_bytes(self) -> int:
        """The approximate memory that it takes while its watch is open."""
        texts = len(self.id) + len(self.program) + len(self.version)
        # A character takes up to 4 bytes.
        return INSTANCE_BYTES + 4 * texts + sum(LABEL_BYTES + 4 * (len(key) + len(value)) for key, value in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who watches: the caller, its address, and its program; None: it does not say which."""

    principal: str
    peer: str
    instance: WatchInstance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """The parameters of a watch."""

    selection: Selection
    start: Start
    progress_interval_seconds: float
    form: ContentForm
    instance: WatchInstance | None

    @property
    def size_bytes(self) -> int:
        """The approximate memory that it takes while it is open."""
        return self.selection.size_bytes + (self.instance.size_bytes if self.instance else 0)


class WatchState(StrEnum):
    """Up to date: waits for the feed. Behind: reads a snapshot or the table. Blocked: waits for its client."""

    UP_TO_DATE = "up_to_date"
    BEHIND = "behind"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWatch:
    """A watch as it was at one moment. `revision`: everything up to it was sent, or it is that of the snapshot."""

    id: str
    watcher: Watcher
    selectors: tuple[Selector, ...]
    start_time: datetime
    state: WatchState
    revision: int
    behind_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedMessage:
    """The first message of a watch. `revision`: the one that it starts after, or that of its snapshot."""

    revision: int
    watch_id: str
    progress_interval_seconds: float
    head: int
    compacted_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMessage:
    """A page of the snapshot; more follow until synced. content_bytes: the text of its configs."""

    revision: int
    configurations: tuple[Configuration, ...]
    form: ContentForm
    content_bytes: int

    @property
    def is_large(self) -> bool:
        """True if it must not be encoded on the event loop."""
        return RECORD_BYTES * len(self.configurations) + self.content_bytes > LARGE_BYTES


@dataclass(slots=True, kw_only=True, eq=False)
class CommitMessage:
    """The events of one part of a commit, for one audience.

    events: indexes of the part's changes, with their effects. scope: the applications whose names it may have.
    shared: it goes to all watches of the audience. size_bytes: its approximate size on the wire. encoded: its bytes,
    once they were made.
    """

    part: CommitPart
    events: tuple[tuple[int, Effect], ...]
    scope: Scope
    form: ContentForm
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


WatchMessage = OpenedMessage | ExistingMessage | CommitMessage | ProgressMessage
