"""What watches are told of commits: made once for all that follow the same."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from configsvc.domain.commits import RECORD_BYTES, CommitPart
from configsvc.domain.models import Configuration
from configsvc.domain.selection import EventType, Selection, picked

# What is not larger is encoded at once: some 10 ms of the event loop.
LARGE_BYTES = 32 * 1024
# What the watches that are up to date get; one that is behind picks for itself.
REMEMBERED_MESSAGES = 256
# With their parts, which they keep in memory after the ring has forgotten them.
REMEMBERED_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMessage:
    """A part of the snapshot; there is more to come until synced. content_bytes is the text of its configs."""

    revision: int
    configurations: tuple[Configuration, ...]
    content_bytes: int

    @property
    def is_large(self) -> bool:
        """Whether it takes long to be encoded."""
        return RECORD_BYTES * len(self.configurations) + self.content_bytes > LARGE_BYTES


@dataclass(slots=True, kw_only=True, eq=False)
class CommitMessage:
    """What a part of a commit is to a watch: places in its changes, and what each of them means. A shared one goes to
    all watches of an audience. size_bytes is what is written of it, about; encoded is that itself, once it was made.
    """

    part: CommitPart
    events: tuple[tuple[int, EventType], ...]
    with_config: bool
    shared: bool
    size_bytes: int
    encoded: tuple[bytes, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether it takes long to be encoded."""
        return self.size_bytes > LARGE_BYTES

    @property
    def memory_bytes(self) -> int:
        """What it keeps in memory, about."""
        return self.part.weight + sum(map(len, self.encoded))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressMessage:
    """Everything up to the revision was delivered; synced is set on the first of a watch."""

    revision: int
    synced: bool


WatchMessage = ExistingMessage | CommitMessage | ProgressMessage


class Audience:
    """All watches with one selection and view: they are told the same."""

    __slots__ = ("__weakref__", "selection", "size", "topics", "with_config")

    def __init__(self, selection: Selection, *, with_config: bool) -> None:
        self.selection = selection
        self.with_config = with_config
        self.topics = selection.topics
        self.size = 0

    def message(self, part: CommitPart, *, shared: bool) -> CommitMessage:
        """What the part is to them."""
        events = picked(self.selection, part.changes)
        contents = (part.changes[place].content_bytes for place, _ in events) if self.with_config else ()
        size = RECORD_BYTES * len(events) + sum(contents)
        return CommitMessage(part=part, events=events, with_config=self.with_config, shared=shared, size_bytes=size)


class Audiences:
    """The audiences of all watches, and what the last parts of commits are to them."""

    def __init__(self) -> None:
        self.remembered_bytes = 0
        self._audiences: WeakValueDictionary[tuple[Selection, bool], Audience] = WeakValueDictionary()
        self._messages: dict[tuple[CommitPart, Audience], CommitMessage] = {}

    @contextmanager
    def joined(self, selection: Selection, *, with_config: bool) -> Generator[Audience]:
        """The audience, with one watch more."""
        key = (selection, with_config)
        audience = self._audiences.get(key) or Audience(selection, with_config=with_config)
        self._audiences[key] = audience
        audience.size += 1
        try:
            yield audience
        finally:
            audience.size -= 1

    def message(self, part: CommitPart, audience: Audience) -> CommitMessage:
        """What a part of the ring is to the audience: picked once for all its watches."""
        if audience.size == 1:
            return audience.message(part, shared=False)
        message = self._messages.get((part, audience))
        if message is None:
            message = self._messages[part, audience] = audience.message(part, shared=True)
            self.remembered_bytes += message.memory_bytes
            self._forget()
        return message

    def keep(self, message: CommitMessage, audience: Audience, encoded: tuple[bytes, ...]) -> None:
        """Keeps what is written of a shared message for the others."""
        is_remembered = self._messages.get((message.part, audience)) is message
        if is_remembered:
            self.remembered_bytes -= message.memory_bytes
        message.encoded = encoded
        if is_remembered:
            self.remembered_bytes += message.memory_bytes
            self._forget()

    def _forget(self) -> None:
        while len(self._messages) > REMEMBERED_MESSAGES or self.remembered_bytes > REMEMBERED_BYTES:
            self.remembered_bytes -= self._messages.pop(next(iter(self._messages))).memory_bytes
