"""Requests of callers. Writes of configurations are in `configsvc.domain.writes`."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from configsvc.domain.models import (
    ApplicationRef,
    ConfigurationFilter,
    ConfigurationRef,
    IdRef,
    Moment,
    Origin,
    SchemaRef,
)
from configsvc.domain.scope import Scope

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The author of a change, its origin, and the applications it may touch."""

    actor: str
    origin: Origin
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest(Generic[Key]):
    """A page of a list. `limit` is the most resources it may hold; the rest comes from the page token.

    `revision`: the state that all pages show. `resource_id`: the resource that the request names. `after`: the last key
    of the page before. On the first page all three are None.
    """

    limit: int
    revision: int | None
    resource_id: str | None
    after: Key | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBindingListing:
    """Role bindings of a principal (empty: of all) for an application (None: for all). `epoch` empty: any."""

    principal: str
    application: ApplicationRef | None
    moment: Moment
    epoch: str
    page: PageRequest[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLookup:
    """Many configurations at one revision."""

    refs: list[ConfigurationRef]
    moment: Moment
    with_config: bool
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationListing:
    """Configurations at a moment, in the order of application and name. `with_deleted`: deleted ones too."""

    chosen: ConfigurationFilter
    moment: Moment
    with_config: bool
    with_deleted: bool
    page: PageRequest[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationExport:
    """All configurations of a filter at a moment. `as_text`: contents are JSON text in the response."""

    chosen: ConfigurationFilter
    moment: Moment
    epoch: str
    as_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionListing:
    """Versions of one configuration, newest first."""

    ref: ConfigurationRef
    moment: Moment
    with_config: bool
    scope: Scope
    page: PageRequest[int]

    @property
    def refs(self) -> tuple[ConfigurationRef, ...]:
        """The references of the request, the most exact one last: a page token names the id."""
        known = self.page.resource_id
        return (self.ref, IdRef(id=known)) if known else (self.ref,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersionListing:
    """Versions of one schema, newest first."""

    ref: SchemaRef
    moment: Moment
    with_document: bool
    page: PageRequest[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemListing:
    """Items of an operation that are done, in their order."""

    operation_id: str
    failed_only: bool
    page: PageRequest[int]
