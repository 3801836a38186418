"""Resources, the commits that change them, and what callers ask for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from configsvc.domain.content import JsonObject
from configsvc.domain.scope import Scope

Resource = TypeVar("Resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The owner of configurations. revision is 0 before its commit."""

    id: str
    name: str
    comments: str
    version: int
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersionRef:
    """Names a version of a schema. version 0 stands for the newest in a write, and for any in a filter."""

    schema: str
    version: int

    def __str__(self) -> str:
        return f"{self.schema}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedVersion:
    """A version of a schema, told apart from that of another schema that had the name before or after."""

    schema_id: str
    ref: SchemaVersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A named JSON Schema with numbered versions, of which latest_version is the newest. revision is 0 before its
    commit.
    """

    id: str
    name: str
    comments: str
    latest_version: int
    version: int
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A named JSON object of an application. config is None where it was not asked for; schema is the version that it
    satisfies, if any; revision is 0 before its commit.
    """

    id: str
    application_id: str
    application: str
    name: str
    comments: str
    config: JsonObject | None
    schema: SchemaVersionRef | None
    version: int
    revision: int
    create_time: datetime
    update_time: datetime
    created_by: str
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRef:
    """Names a resource by its id."""

    id: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRef:
    """Names an application or a schema by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """Names a configuration by its application's name and its own."""

    application: str
    name: str

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


ApplicationRef = IdRef | NameRef
SchemaRef = IdRef | NameRef
ConfigurationRef = IdRef | KeyRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AtVersion:
    """A configuration as one of its versions left it."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRevision:
    """As it was when the revision was the last."""

    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTime:
    """As it was when the database's clock showed the time."""

    time: datetime


Moment = AtVersion | AtRevision | AtTime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUpdate:
    """The new values of an application; None leaves a field as it is."""

    name: str | None
    comments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """No schema version any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationUpdate:
    """The new values of a configuration; None leaves a field as it is. At most one of config and merge_patch is set."""

    name: str | None
    comments: str | None
    config: JsonObject | None
    merge_patch: JsonObject | None
    schema: SchemaVersionRef | Unpinned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFilter:
    """Chooses configurations for a list; None and the empty prefix choose all. scope: the
    applications that the caller may read.
    """

    scope: Scope
    application: ApplicationRef | None
    name_prefix: str
    contains: JsonObject | None
    json_path: str | None
    schema: SchemaVersionRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationQuery:
    """A page of configurations as of a revision (None: now), in the order of application and name.

    Filters that are not set choose all. after is the key of the page before's last one. The page holds at most limit
    configurations, and limit_bytes of config as JSON text, which only a first one alone may exceed.
    """

    scope: Scope
    revision: int | None
    after: tuple[str, str] | None
    limit: int
    limit_bytes: int
    with_config: bool
    application_id: str | None = None
    application: str | None = None
    name_prefix: str = ""
    names: tuple[str, ...] | None = None
    contains: JsonObject | None = None
    json_path: str | None = None
    schema: str | None = None
    schema_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a change came from: the address of the call's peer, and the change request that the call named, if any."""

    peer: str
    change_request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """Who changes something, from where and why, and how to recognise the call when it comes again.

    fingerprint is a digest of everything that the call asks for, but for its request_id. What is outside the scope
    does not exist for this write.
    """

    actor: str
    origin: Origin
    reason: str
    request_id: str
    fingerprint: bytes
    validate_only: bool
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the log is kept: all of the last days, and of what lived before them the newest versions."""

    days: float
    versions: int


DEFAULT_RETENTION = Retention(days=90, versions=1)


class Kind(StrEnum):
    """The kinds of resources in the log."""

    APPLICATION = "APPLICATION"
    CONFIGURATION = "CONFIGURATION"
    SCHEMA = "SCHEMA"
    ROLE_BINDING = "ROLE_BINDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write left behind: a version of a resource, which for a deletion is the last one."""

    resource_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Resource]):
    """A page of a list that is read at one revision. last_key is where the next page goes on; None on the last page.
    content_bytes is the text of the configs that are in it.
    """

    resources: tuple[Resource, ...]
    revision: int
    last_key: tuple[str, ...] | None
    content_bytes: int = 0


class Operation(StrEnum):
    """What a commit did to a resource."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChange:
    """One row of the log: what a commit did to one configuration, which is shown as it is afterwards.

    Its config stands beside it, as JSON text of content_bytes: that takes a fraction of the memory, and most changes
    are kept for nobody. Of a deleted configuration, the names are the last ones and there is no text.
    """

    operation: Operation
    configuration: Configuration
    config_text: str | None
    content_bytes: int
    previous_version: int
    previous_application_id: str
    previous_application: str
    previous_name: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationVersion:
    """A configuration as one version left it, and how that came about. Of a deletion, config is None."""

    configuration: Configuration
    operation: Operation
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsPage:
    """Versions of one configuration, newest first. compacted: the first are no longer kept; more: older ones follow."""

    versions: tuple[ConfigurationVersion, ...]
    compacted: bool
    more: bool
