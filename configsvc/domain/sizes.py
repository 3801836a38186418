"""Limits on the size of what the service takes and sends."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")

# gRPC clients accept messages of 4 MiB by default.
MAX_RESPONSE_BYTES = 3 * 1024 * 1024
MAX_REQUEST_BYTES = 4 * 1024 * 1024
# A list that is part of a resource, such as the faults of a configuration. One element can be as large as a content.
MAX_LISTED = 100
LISTED_BYTES = 128 * 1024


def first_listed(items: Iterable[Item], size: Callable[[Item], int]) -> tuple[Item, ...]:
    """Return the first items, of at most LISTED_BYTES together, but at least one if there is any."""
    kept: list[Item] = []
    total = 0
    for item in items:
        total += size(item)
        if kept and total > LISTED_BYTES:
            break
        kept.append(item)
    return tuple(kept)
