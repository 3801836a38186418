"""A cache with limits."""

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def _no_bytes(_key: object, _value: object) -> int:
    return 0


class BoundedCache(Generic[Key, Value]):
    """A cache that drops the least recently used entries beyond a number of entries or of bytes.

    `size_of` returns the bytes of an entry, always the same for one entry. An entry that exceeds `limit_bytes` alone is
    not kept. `peek` returns a value without counting as use, and `touch` marks a key as used: a `get` in two steps, for
    paths where the call of a Python method is too slow.
    """

    __slots__ = ("_entries", "_limit_bytes", "_limit_count", "_size_of", "bytes", "peek", "touch")

    def __init__(
        self,
        *,
        limit_count: float = inf,
        limit_bytes: float = inf,
        size_of: Callable[[Key, Value], int] = _no_bytes,
    ) -> None:
        self.bytes = 0
        self._limit_count = limit_count
        self._limit_bytes = limit_bytes
        self._size_of = size_of
        # The least recently used entry is the first.
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self.peek: Callable[[Key], Value | None] = self._entries.get
        self.touch: Callable[[Key], None] = self._entries.move_to_end

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """Return the value of a key and mark it as used, or None."""
        value = self.peek(key)
        if value is not None:
            self.touch(key)
        return value

    def put(self, key: Key, value: Value) -> list[Value]:
        """Add a value, in place of any other of its key. Return the values that were dropped to make room."""
        self.pop(key)
        self._entries[key] = value
        self.bytes += self._size_of(key, value)
        dropped: list[Value] = []
        while self.bytes > self._limit_bytes or len(self._entries) > self._limit_count:
            oldest, value = self._entries.popitem(last=False)
            self.bytes -= self._size_of(oldest, value)
            dropped.append(value)
        return dropped

    def pop(self, key: Key) -> Value | None:
        """Remove a key and return its value, or None."""
        value = self._entries.pop(key, None)
        if value is not None:
            self.bytes -= self._size_of(key, value)
        return value

    def clear(self) -> None:
        """Remove everything."""
        self._entries.clear()
        self.bytes = 0
