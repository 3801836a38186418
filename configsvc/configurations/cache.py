"""Answers that this process remembers as ready bytes: found by id and by key, bounded by memory, forgotten when the log
says that they have changed.
"""

from collections import OrderedDict
from dataclasses import dataclass

from configsvc.domain.commits import CommitPart
from configsvc.domain.models import ConfigurationRef, IdRef
from configsvc.feed.observers import FeedObserver

# What an answer takes in memory beside its bytes and its names, about.
ANSWER_BYTES = 768


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A configuration as callers get it: as it was at shown_revision, the head of the history when it was read."""

    id: str
    application_id: str
    application: str
    name: str
    encoded: bytes
    shown_revision: int

    @property
    def memory_bytes(self) -> int:
        """What it takes in memory, about."""
        return ANSWER_BYTES + len(self.application) + len(self.name) + len(self.encoded)


class Cache(FeedObserver):
    """The answers used last, within limit_bytes of memory; 0: none."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        # The one used last is the last.
        self._by_id: OrderedDict[str, Answer] = OrderedDict()
        self._by_key: dict[tuple[str, str], Answer] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, ref: ConfigurationRef) -> Answer | None:
        """What is remembered of the configuration."""
        answer = self._find(ref)
        if answer is not None:
            self._by_id.move_to_end(answer.id)
        return answer

    def _find(self, ref: ConfigurationRef) -> Answer | None:
        if isinstance(ref, IdRef):
            return self._by_id.get(ref.id)
        return self._by_key.get((ref.application, ref.name))

    def put(self, answer: Answer) -> None:
        """Remembers the answer instead of all that is remembered under its names."""
        for known in (self._by_id.get(answer.id), self._by_key.get((answer.application, answer.name))):
            self._forget(known)
        self._by_id[answer.id] = self._by_key[answer.application, answer.name] = answer
        self.bytes += answer.memory_bytes
        while self.bytes > self.limit_bytes:
            self._forget(next(iter(self._by_id.values())))

    def forget(self, ref: ConfigurationRef, *, before: int) -> None:
        """Forgets what was read before the revision."""
        answer = self._find(ref)
        if answer is not None and answer.shown_revision < before:
            self._forget(answer)

    def apply(self, part: CommitPart) -> None:
        """Forgets what the commit changed, under every name that it had."""
        if self._by_id:
            for change in part.changes:
                self.forget(IdRef(id=change.configuration.id), before=part.revision)

    def reset(self) -> None:
        """Forgets everything."""
        self._by_id.clear()
        self._by_key.clear()
        self.bytes = 0

    def _forget(self, answer: Answer | None) -> None:
        # One that is known by its id and by its key is asked for twice.
        if answer is not None and self._by_id.pop(answer.id, None) is not None:
            del self._by_key[answer.application, answer.name]
            self.bytes -= answer.memory_bytes
