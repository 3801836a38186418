"""Faults of schema documents and of configurations."""

from dataclasses import dataclass

from configsvc.domain.content import escaped

MAX_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault: its JSON Pointer, the keyword that is violated, and a message."""

    pointer: str
    keyword: str
    message: str


def size_of(fault: Fault) -> int:
    """Return the size of a fault: its JSON Pointer can be as long as a content."""
    return len(fault.pointer) + len(fault.message)


def pointer_of(path: list[str | int]) -> str:
    """Return a path as a JSON Pointer."""
    return "".join(f"/{escaped(str(key))}" for key in path)
