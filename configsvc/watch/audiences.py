"""Audiences: watches with one selection and form of contents, for which each message is made once."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from configsvc.domain.commits import RECORD_BYTES, CommitPart
from configsvc.domain.errors import unreadable_revision
from configsvc.domain.selection import Selection, SelectionIndex
from configsvc.domain.watching import CommitMessage, ContentForm
from configsvc.feed.wakeups import Interest, Interests

if TYPE_CHECKING:
    from configsvc.watch.groups import Group

# For watches that are up to date; one that is behind makes its own messages.
REMEMBERED_MESSAGES = 256
# Includes their parts, which stay in memory after the ring has dropped them.
REMEMBERED_BYTES = 32 * 1024 * 1024


class Audience:
    """All watches with one selection and form of contents: they get the same messages."""

    __slots__ = ("__weakref__", "form", "group", "interest", "size")

    def __init__(self, selection: Selection, form: ContentForm) -> None:
        self.interest = Interest(SelectionIndex(selection))
        self.form = form
        self.size = 0
        # Of those watches that are up to date and can take messages without waiting.
        self.group: Group | None = None

    def message(self, part: CommitPart, *, shared: bool) -> CommitMessage:
        """Return the message that carries the part's events for this audience. Raises RevisionCompactedError."""
        events = self.interest.index.picked(part.changes)
        if part.unreadable and not all(part.changes[index].is_readable for index, _ in events):
            raise unreadable_revision(part.revision)
        size = RECORD_BYTES * len(events)
        if self.form is not ContentForm.ABSENT:
            size += sum(part.changes[index].content_bytes for index, _ in events)
        scope = self.interest.index.selection.scope
        return CommitMessage(part=part, events=events, scope=scope, form=self.form, shared=shared, size_bytes=size)


class Audiences:
    """The audiences of all open watches, with a bounded cache of their latest messages."""

    def __init__(self, interests: Interests) -> None:
        self.remembered_bytes = 0
        self._interests = interests
        self._audiences: WeakValueDictionary[tuple[Selection, ContentForm], Audience] = WeakValueDictionary()
        self._messages: dict[tuple[CommitPart, Audience], CommitMessage] = {}

    @contextmanager
    def joined(self, selection: Selection, form: ContentForm) -> Generator[Audience]:
        """Yield the audience, counting one more watch in it."""
        key = (selection, form)
        audience = self._audiences.get(key) or Audience(selection, form)
        self._audiences[key] = audience
        audience.size += 1
        if audience.size == 1:
            self._interests.add(audience.interest)
        try:
            yield audience
        finally:
            audience.size -= 1
            if not audience.size:
                audience.group = None
                self._interests.discard(audience.interest)

    def message(self, part: CommitPart, audience: Audience) -> CommitMessage:
        """Return the audience's message for a part of the ring, made once for all its watches."""
        if audience.size == 1:
            return audience.message(part, shared=False)
        message = self._messages.get((part, audience))
        if message is None:
            message = self._messages[part, audience] = audience.message(part, shared=True)
            self.remembered_bytes += message.memory_bytes
            self._evict()
        return message

    def keep(self, message: CommitMessage, audience: Audience, encoded: tuple[bytes, ...]) -> None:
        """Store the bytes of a shared message for the other watches of the audience."""
        is_remembered = self._messages.get((message.part, audience)) is message
        if is_remembered:
            self.remembered_bytes -= message.memory_bytes
        message.encoded = encoded
        if is_remembered:
            self.remembered_bytes += message.memory_bytes
            self._evict()

    def _evict(self) -> None:
        while len(self._messages) > REMEMBERED_MESSAGES or self.remembered_bytes > REMEMBERED_BYTES:
            self.remembered_bytes -= self._messages.pop(next(iter(self._messages))).memory_bytes
