"""Preconditions of a batch: nothing that a selector selects has changed since a revision."""

from dataclasses import dataclass

from configsvc.domain.models import ApplicationRef
from configsvc.domain.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """A condition of a batch. `application` None: any; `names` empty: all with the prefix; `epoch` empty: any.

    Only configurations in the scope count.
    """

    application: ApplicationRef | None
    name_prefix: str
    names: frozenset[str]
    unchanged_since: int
    epoch: str
    scope: Scope

    @property
    def ranges(self) -> list[tuple[str, str]]:
        """The first and the last name of each range of names that it selects, by code point."""
        if self.names:
            return [(name, name) for name in sorted(self.names) if name.startswith(self.name_prefix)]
        return [(self.name_prefix, f"{self.name_prefix}\U0010ffff")]
