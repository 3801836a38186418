"""The state of the service that a plan starts from: read completely, at one revision."""

from collections.abc import Mapping
from dataclasses import dataclass

from configsvc.cli.documents import Json
from configsvc.cli.sync.tree import Binding, Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceId:
    """A source: a folder of a repository. `path` is empty for the whole repository."""

    repository: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.repository}, folder {self.path}" if self.path else self.repository


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfiguration:
    """A version of a configuration. `schema` has its version."""

    id: str
    application: str
    name: str
    version: int
    config: Json
    schema: Pin | None = None
    comments: str = ""
    updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The version of a configuration that a source applied last, or adopted.

    `applied` is that version; None if it is no longer kept. The configuration need not exist any more.
    """

    id: str
    application: str
    name: str
    version: int
    applied: LiveConfiguration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBinding:
    """A role of a principal for an application, with its id."""

    id: str
    binding: Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveApplication:
    """An application, and the source that owns it, with the etag of that ownership.

    bindings are None where they were not read.
    """

    id: str
    name: str
    comments: str = ""
    owner: SourceId | None = None
    etag: str = ""
    bindings: tuple[LiveBinding, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSchema:
    """The newest version of a schema."""

    name: str
    version: int
    document: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The state at a revision: applications and schemas by name, configurations and marks by id.

    It has all applications that a tree names or the source owns, with their configurations and marks, and the schemas
    that the tree names.
    """

    epoch: str
    revision: int
    applications: Mapping[str, LiveApplication]
    configurations: Mapping[str, LiveConfiguration]
    schemas: Mapping[str, LiveSchema]
    marks: Mapping[str, Mark]
