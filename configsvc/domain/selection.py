"""Selects the changes that a watch sees, and the effect of each."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

# Approximate memory of a selector and of each of its names, beside their text, in the selection and in the indexes.
SELECTOR_BYTES = 1024
NAME_BYTES = 512


class Effect(StrEnum):
    """The effect of an event on the view of a watch: it sets a configuration, or removes it."""

    SET = "SET"
    REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects configurations that match everything that is set; empty names: any name."""

    application: ApplicationRef | None
    name_prefix: str
    names: frozenset[str]

    def selects(self, *, application_id: str, application: str, name: str) -> bool:
        """Return whether a configuration with these names matches."""
        match self.application:
            case IdRef(id=wanted) if wanted != application_id:
                return False
            case NameRef(name=wanted) if wanted != application:
                return False
            case _:
                return name.startswith(self.name_prefix) and (not self.names or name in self.names)


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
    def applications(self) -> frozenset[str] | None:
        """The names and ids of the applications that can have events; None: any."""
        applications = [selector.application for selector in self.selectors]
        if not applications or None in applications:
            return self.scope.ids
        return frozenset(ref.id if isinstance(ref, IdRef) else ref.name for ref in applications if ref is not None)

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

    @property
    def size_bytes(self) -> int:
        """The approximate memory that an open watch takes for its selectors, with their indexes."""
        return sum(
            SELECTOR_BYTES + len(selector.name_prefix) + sum(NAME_BYTES + len(name) for name in selector.names)
            for selector in self.selectors
        )


class NameIndex:
    """Names and prefixes. A look-up takes a step for each length of a prefix, however many prefixes have it."""

    __slots__ = ("_all", "lengths", "names", "prefixes")

    def __init__(self, selectors: Iterable[Selector]) -> None:
        names: set[str] = set()
        prefixes: set[str] = set()
        for selector in selectors:
            if selector.names:
                names.update(name for name in selector.names if name.startswith(selector.name_prefix))
            else:
                prefixes.add(selector.name_prefix)
        self.names = frozenset(names)
        self.prefixes = frozenset(prefixes)
        self.lengths = tuple(sorted(set(map(len, prefixes))))
        self._all = "" in prefixes

    def includes(self, name: str) -> bool:
        """Return whether the name is one of the names, or begins with one of the prefixes."""
        return self._all or name in self.names or any(name[:length] in self.prefixes for length in self.lengths)


class SelectionIndex:
    """A selection, indexed by the applications of its selectors: see `Selection` for its meaning."""

    __slots__ = ("_scope", "anywhere", "by_id", "by_name", "selection")

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._scope = selection.scope
        by_application: defaultdict[ApplicationRef | None, list[Selector]] = defaultdict(list)
        for selector in selection.selectors:
            by_application[selector.application].append(selector)
        if not selection.selectors:
            by_application[None] = [Selector(application=None, name_prefix="", names=frozenset())]
        self.anywhere = NameIndex(by_application.pop(None, ()))
        self.by_id: dict[str, NameIndex] = {}
        self.by_name: dict[str, NameIndex] = {}
        for application, selectors in by_application.items():
            match application:
                case IdRef(id=wanted):
                    self.by_id[wanted] = NameIndex(selectors)
                case NameRef(name=wanted):
                    self.by_name[wanted] = NameIndex(selectors)
                case None:
                    pass

    def selects(self, application_id: str, application: str, name: str) -> bool:
        """Return whether a configuration with these names is followed."""
        if not self._scope.includes(application_id):
            return False
        of_id, of_name = self.by_id.get(application_id), self.by_name.get(application)
        return (
            (of_id is not None and of_id.includes(name))
            or (of_name is not None and of_name.includes(name))
            or self.anywhere.includes(name)
        )

    def effect_of(self, change: ConfigurationChange) -> Effect | None:
        """Return the effect of the change on this watch, as renames and moves lead into and out of it; None: unseen."""
        after = change.configuration
        if change.operation is not Operation.DELETED and self.selects(
            after.application_id, after.application, after.name
        ):
            return Effect.SET
        was_followed = change.operation is not Operation.CREATED and self.selects(
            change.previous_application_id, change.previous_application, change.previous_name
        )
        return Effect.REMOVE if was_followed else None

    def picked(self, changes: Sequence[ConfigurationChange]) -> tuple[tuple[int, Effect], ...]:
        """Return the indexes of the changes that the watch sees, in order, and their effects."""
        return tuple(
            (index, effect) for index, change in enumerate(changes) if (effect := self.effect_of(change)) is not None
        )
