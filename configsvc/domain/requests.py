"""Requests of callers. Writes of configurations are in `configsvc.domain.writes`."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from configsvc.domain.models import (
    ApplicationRef,
    ConfigurationFilter,
    ConfigurationRef,
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
    min_revision: int
    with_config: bool
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationListing:
    """Configurations as of a revision (0: now), in the order of application and name."""

    chosen: ConfigurationFilter
    min_revision: int
    as_of_revision: int
    with_config: bool
    page: PageRequest[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationExport:
    """All configurations of a filter as of a revision (0: now)."""

    chosen: ConfigurationFilter
    min_revision: int
    as_of_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionListing:
    """Versions of one configuration, newest first."""

    ref: ConfigurationRef
    min_revision: int
    with_config: bool
    scope: Scope
    page: PageRequest[int]


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
