"""The copy of an application's configurations that a client keeps, at one revision."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from configsvc.client.contents import ReadOnlyDict, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One version of a configuration."""

    id: str
    name: str
    version: int
    revision: int
    # The content as JSON text.
    text: str = field(repr=False)
    # The schema version that it satisfies; an empty name: none.
    schema: str = ""
    schema_version: int = 0
    updated_by: str = ""
    _content: ReadOnlyDict | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def content(self) -> ReadOnlyDict:
        """The content, parsed when it is first read."""
        if self._content is None:
            object.__setattr__(self, "_content", parse(self.text))
            assert self._content is not None
        return self._content


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All configurations that a client follows, at one revision. It never changes: a new one takes its place."""

    token: str = ""
    revision: int = 0
    epoch: str = ""
    by_id: Mapping[str, Configuration] = field(default_factory=dict[str, Configuration])
    by_name: Mapping[str, Configuration] = field(default_factory=dict[str, Configuration])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the configuration with a name. `before` is None for a new one, `after` for one that is gone.

    Actor and reason are empty for a difference between two snapshots, whose commits are unknown.
    """

    name: str
    before: Configuration | None
    after: Configuration | None
    revision: int
    actor: str = ""
    reason: str = ""


class Snapshot(Mapping[str, Mapping[str, Any]]):
    """Contents by name, all at one revision."""

    def __init__(self, view: View) -> None:
        self.revision = view.revision
        self.epoch = view.epoch
        self._by_name = view.by_name

    @property
    def configurations(self) -> Mapping[str, Configuration]:
        """The configurations by name, read-only."""
        # Made here, as it cannot be pickled.
        return MappingProxyType(self._by_name)

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._by_name[name].content

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
