"""The applications that a call may see or change."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Everything:
    """Every application."""

    @property
    def ids(self) -> None:
        """None, which SQL statements take for every application."""
        return None

    def includes(self, _application_id: str, /) -> bool:
        """Return True: every application is in scope."""
        return True


@dataclass(frozen=True, slots=True)
class Only:
    """The applications with these ids."""

    ids: frozenset[str]

    def includes(self, application_id: str, /) -> bool:
        """Return whether the application is in scope."""
        return application_id in self.ids


# A name may mean another application by now, or have meant another one in the past: ids do not.
Scope = Everything | Only
