"""Bounded caches, which keep the entries used last within their limits."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from configsvc.domain.bounded_cache import BoundedCache

LIMIT_COUNT = 4
LIMIT_BYTES = 20
keys = st.integers(0, 7)


class Caching(RuleBasedStateMachine):
    """The cache beside a list of its entries, the least recently used first; a value is its own size."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: BoundedCache[int, int] = BoundedCache(
            limit_count=LIMIT_COUNT, limit_bytes=LIMIT_BYTES, size_of=lambda _, value: value
        )
        self.entries: list[tuple[int, int]] = []

    def expected(self, key: int) -> int | None:
        return dict(self.entries).get(key)

    def use(self, key: int) -> None:
        self.entries.sort(key=lambda entry: entry[0] == key)

    @rule(key=keys, size=st.integers(0, LIMIT_BYTES + 2))
    def put(self, key: int, size: int) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != key] + [(key, size)]
        dropped: list[int] = []
        while len(self.entries) > LIMIT_COUNT or sum(size for _, size in self.entries) > LIMIT_BYTES:
            dropped.append(self.entries.pop(0)[1])
        assert self.cache.put(key, size) == dropped

    @rule(key=keys)
    def get(self, key: int) -> None:
        assert self.cache.get(key) == self.expected(key)
        self.use(key)

    @rule(key=keys)
    def peek(self, key: int) -> None:
        assert self.cache.peek(key) == self.expected(key)

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, _ in self.entries]))
        self.cache.touch(key)
        self.use(key)

    @rule(key=keys)
    def pop(self, key: int) -> None:
        assert self.cache.pop(key) == self.expected(key)
        self.entries = [entry for entry in self.entries if entry[0] != key]

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.entries = []

    @invariant()
    def counts_its_entries(self) -> None:
        assert (len(self.cache), self.cache.bytes) == (len(self.entries), sum(size for _, size in self.entries))


TestCaching = Caching.TestCase
