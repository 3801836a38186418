"""A cache of configurations as encoded responses: by id and by key, bounded by memory, invalidated by the log."""

from dataclasses import dataclass

from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.commits import Commit, CommitPart
from configsvc.domain.models import ConfigurationRef, IdRef
from configsvc.feed.observers import FeedObserver
from configsvc.telemetry.families import Families, gauge

# The approximate memory of an answer besides its bytes and names.
ANSWER_BYTES = 768


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """An encoded configuration, with its content as JSON text or as a Struct, or both: each once a caller wanted it so.
    `shown_revision` is the head of the history when it was read.
    """

    id: str
    application_id: str
    application: str
    name: str
    text: bytes | None
    struct: bytes | None
    shown_revision: int

    @property
    def memory_bytes(self) -> int:
        """The approximate memory of the answer."""
        encoded = len(self.text or b"") + len(self.struct or b"")
        return ANSWER_BYTES + len(self.application) + len(self.name) + encoded


class Cache(FeedObserver):
    """The most recently used answers, within limit_bytes of memory; 0 disables the cache."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._by_id: BoundedCache[str, Answer] = BoundedCache(limit_bytes=limit_bytes, size_of=_memory_bytes)
        self._by_key: dict[tuple[str, str], Answer] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def bytes(self) -> int:
        """The approximate memory of all answers."""
        return self._by_id.bytes

    def collect(self) -> Families:
        """Yield the metrics of the cache."""
        yield gauge("cache_answers", "Answers in the cache.", len(self))
        yield gauge("cache_bytes", "Approximate memory of these answers.", self.bytes)

    def get(self, ref: ConfigurationRef) -> Answer | None:
        """Return the cached answer for a configuration, or None."""
        answer = self.peek(ref)
        if answer is not None:
            self._by_id.touch(answer.id)
        return answer

    def peek(self, ref: ConfigurationRef) -> Answer | None:
        """Return the cached answer for a configuration, or None, and do not count that as a use."""
        if isinstance(ref, IdRef):
            return self._by_id.peek(ref.id)
        return self._by_key.get((ref.application, ref.name))

    def put(self, answer: Answer) -> None:
        """Cache an answer in place of those with its id or its key."""
        for known in (self._by_id.peek(answer.id), self._by_key.get((answer.application, answer.name))):
            self._forget(known)
        self._by_key[answer.application, answer.name] = answer
        for dropped in self._by_id.put(answer.id, answer):
            del self._by_key[dropped.application, dropped.name]

    def forget(self, ref: ConfigurationRef, *, before: int) -> None:
        """Remove an answer that was read before a revision."""
        answer = self.peek(ref)
        if answer is not None and answer.shown_revision < before:
            self._forget(answer)

    def apply(self, part: CommitPart) -> None:
        """Remove the answers that a commit changed, under all their names."""
        if self._by_key:
            for change in part.changes:
                self.forget(IdRef(id=change.configuration.id), before=part.revision)

    def reset(self, last: Commit | None) -> None:  # noqa: ARG002  # other observers need it
        """Remove all answers."""
        self._by_id.clear()
        self._by_key.clear()

    def _forget(self, answer: Answer | None) -> None:
        # `put` may find the same answer by id and by key.
        if answer is not None and self._by_id.pop(answer.id) is not None:
            del self._by_key[answer.application, answer.name]


def _memory_bytes(_: str, answer: Answer) -> int:
    return answer.memory_bytes
