"""Selects the changes that a watch sees, and the event type of each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationChange,
    IdRef,
    NameRef,
    Operation,
)
from configsvc.domain.scope import Scope


class EventType(StrEnum):
    EXISTING = "EXISTING"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects configurations that match everything that is set; empty keys: any name."""

    application: ApplicationRef | None
    name_prefix: str
    keys: frozenset[str]

    def selects(self, *, application_id: str, application: str, name: str) -> bool:
        """Return whether a configuration with these names matches."""
        match self.application:
            case IdRef(id=wanted) if wanted != application_id:
                return False
            case NameRef(name=wanted) if wanted != application:
                return False
            case _:
                return name.startswith(self.name_prefix) and (not self.keys or name in self.keys)

    def is_about(self, names: Collection[str]) -> bool:
        """Return whether it selects from applications with one of these names and ids."""
        match self.application:
            case None:
                return True
            case IdRef(id=wanted) | NameRef(name=wanted):
                return wanted in names


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The configurations that one watch follows: the union of its selectors; without selectors, everything.

    Nothing outside the scope is followed, whatever names other applications take.
    """

    selectors: tuple[Selector, ...]
    scope: Scope

    def selects(self, *, application_id: str, application: str, name: str) -> bool:
        """Return whether a configuration with these names is followed."""
        return self.scope.includes(application_id) and (
            not self.selectors
            or any(
                selector.selects(application_id=application_id, application=application, name=name)
                for selector in self.selectors
            )
        )

    @property
    def topics(self) -> frozenset[str] | None:
        """The names and ids of the applications whose changes may be seen; None: any."""
        applications = [selector.application for selector in self.selectors]
        named = frozenset(
            application.id if isinstance(application, IdRef) else application.name
            for application in applications
            if application is not None
        )
        return named if self.selectors and None not in applications else None

    def first_selector_of(self, configuration: Configuration) -> int:
        """Return the index of the first selector that matches the configuration, so that a snapshot sends it once.

        Raises StopIteration if none does.
        """
        return next(
            index
            for index, selector in enumerate(self.selectors)
            if selector.selects(
                application_id=configuration.application_id,
                application=configuration.application,
                name=configuration.name,
            )
        )

    def event_type(self, change: ConfigurationChange) -> EventType | None:
        """Return the type of the change for this watch, as renames and moves lead into and out of it; None: unseen."""
        after = change.configuration
        was_followed = change.operation is not Operation.CREATED and self.selects(
            application_id=change.previous_application_id,
            application=change.previous_application,
            name=change.previous_name,
        )
        is_followed = change.operation is not Operation.DELETED and self.selects(
            application_id=after.application_id, application=after.application, name=after.name
        )
        if is_followed:
            return EventType.UPDATED if was_followed else EventType.CREATED
        return EventType.DELETED if was_followed else None


def picked(selection: Selection, changes: Sequence[ConfigurationChange]) -> tuple[tuple[int, EventType], ...]:
    """Return the indexes and event types of the changes that the watch sees, in order."""
    typed = _typed(selection, changes) if selection.selectors else _typed_all(selection, changes)
    return tuple((index, event_type) for index, event_type in typed if event_type is not None)


def _typed_all(selection: Selection, changes: Sequence[ConfigurationChange]) -> Iterator[tuple[int, EventType | None]]:
    for index, change in enumerate(changes):
        yield index, selection.event_type(change)


def _typed(selection: Selection, changes: Sequence[ConfigurationChange]) -> Iterator[tuple[int, EventType | None]]:
    # Few of a hundred selectors name the application of a change, and a commit changes few applications.
    narrowed: dict[tuple[str, ...], Selection] = {}
    for index, change in enumerate(changes):
        names = (
            change.configuration.application_id,
            change.configuration.application,
            change.previous_application_id,
            change.previous_application,
        )
        chosen = narrowed.get(names)
        if chosen is None:
            selectors = tuple(selector for selector in selection.selectors if selector.is_about(names))
            chosen = narrowed[names] = replace(selection, selectors=selectors)
        if chosen.selectors:
            yield index, chosen.event_type(change)
