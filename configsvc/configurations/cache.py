"""Answers that this process remembers as ready bytes: found by id and by key, bounded by memory, forgotten when the log
says that they have changed.
"""

from dataclasses import dataclass

from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.commits import CommitPart
from configsvc.domain.models import ConfigurationRef, IdRef
from configsvc.feed.observers import FeedObserver
from configsvc.telemetry.families import Families, gauge

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
        self._by_id: BoundedCache[str, Answer] = BoundedCache(limit_bytes=limit_bytes, size_of=_memory_bytes)
        self._by_key: dict[tuple[str, str], Answer] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def bytes(self) -> int:
        """The approximate memory that the answers take."""
        return self._by_id.bytes

    def collect(self) -> Families:
        """Yield the metrics of the cache."""
        yield gauge("cache_answers", "Answers in the cache.", len(self))
        yield gauge("cache_bytes", "Approximate memory of these answers.", self.bytes)

    def get(self, ref: ConfigurationRef) -> Answer | None:
        """What is remembered of the configuration."""
        answer = self._find(ref)
        if answer is not None:
            self._by_id.touch(answer.id)
        return answer

    def _find(self, ref: ConfigurationRef) -> Answer | None:
        if isinstance(ref, IdRef):
            return self._by_id.peek(ref.id)
        return self._by_key.get((ref.application, ref.name))

    def put(self, answer: Answer) -> None:
        """Remembers the answer instead of all that is remembered under its names."""
        for known in (self._by_id.peek(answer.id), self._by_key.get((answer.application, answer.name))):
            self._forget(known)
        self._by_key[answer.application, answer.name] = answer
        for dropped in self._by_id.put(answer.id, answer):
            del self._by_key[dropped.application, dropped.name]

    def forget(self, ref: ConfigurationRef, *, before: int) -> None:
        """Forgets what was read before the revision."""
        answer = self._find(ref)
        if answer is not None and answer.shown_revision < before:
            self._forget(answer)

    def apply(self, part: CommitPart) -> None:
        """Forgets what the commit changed, under every name that it had."""
        if self._by_key:
            for change in part.changes:
                self.forget(IdRef(id=change.configuration.id), before=part.revision)

    def reset(self) -> None:
        """Forgets everything."""
        self._by_id.clear()
        self._by_key.clear()

    def _forget(self, answer: Answer | None) -> None:
        # One that is known by its id and by its key is asked for twice.
        if answer is not None and self._by_id.pop(answer.id) is not None:
            del self._by_key[answer.application, answer.name]


def _memory_bytes(_: str, answer: Answer) -> int:
    return answer.memory_bytes
