"""A tree of files: the schemas and configurations that a folder of Git describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from configsvc.cli.documents import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFile:
    """The file schemas/NAME.json. `path` is relative to the tree."""

    name: str
    path: PurePosixPath
    document: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The schema that a file names for its configuration; without a version, the newest."""

    schema: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """The statement of a tree that a configuration has no schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A configuration of a tree. `path` is relative to the tree.

    schema and comments are None where the tree says nothing of them: the service's stay. id is that of the
    configuration whose history this one continues: under another name, it is a rename.
    """

    application: str
    name: str
    path: PurePosixPath
    config: Json
    schema: Pin | Unpinned | None = None
    comments: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A role of a principal for an application."""

    principal: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFolder:
    """The folder applications/NAME. comments and bindings are None where the tree says nothing of them."""

    name: str
    path: PurePosixPath
    configurations: Mapping[str, ConfigurationFile]
    comments: str | None = None
    bindings: tuple[Binding, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All files of a tree, completely read, by name."""

    schemas: Mapping[str, SchemaFile]
    applications: Mapping[str, ApplicationFolder]
