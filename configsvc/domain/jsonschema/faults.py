"""What is wrong with a schema document or with a configuration."""

from dataclasses import dataclass

from configsvc.domain.content import escaped

MAX_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong, where (a JSON Pointer), and the keyword that says so."""

    pointer: str
    keyword: str
    message: str


def pointer_of(path: list[str | int]) -> str:
    """A path as a JSON Pointer."""
    return "".join(f"/{escaped(str(key))}" for key in path)
