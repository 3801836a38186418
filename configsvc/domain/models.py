"""Resources, their changes, and the parameters of requests about them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from configsvc.domain.content import JsonObject
from configsvc.domain.etags import etag_of
from configsvc.domain.scope import Scope
from configsvc.domain.stored_json import Content

Resource = TypeVar("Resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """The part of a resource that all with versions have. `revision` is 0 before the commit."""

    id: str
    name: str
    comments: str
    version: int
    revision: int
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """An opaque text that differs for each version; empty before the commit."""
        return etag_of(self.id, self.version, self.update_time) if self.revision else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application(Versioned):
    """The owner of configurations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersionRef:
    """A reference to a schema version. Version 0 means the newest in a write, and any in a filter."""

    schema: str
    version: int

    def __str__(self) -> str:
        return f"{self.schema}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedVersion:
    """A schema version with the id of its schema, because another schema may have the name at another time."""

    schema_id: str
    ref: SchemaVersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema(Versioned):
    """A named JSON Schema with numbered versions."""

    latest_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Versioned):
    """A named JSON object of an application.

    `config` is None if it was not requested, or is no longer known. `schema` is the version that it is pinned to.
    `delete_time` is set in lists of deleted configurations.
    """

    application_id: str
    application: str
    config: Content | None
    schema: SchemaVersionRef | None
    created_by: str
    updated_by: str
    delete_time: datetime | None = None


# Of those with one key, the places of the living one and of the end: before and after the ids of deleted ones.
BEFORE_IDS = "0"
AFTER_IDS = "Z"


def key_of(configuration: Configuration) -> tuple[str, str]:
    """Return the place of a living configuration in lists."""
    return configuration.application, configuration.name


def key_with_deleted(configuration: Configuration) -> tuple[str, str, str]:
    """Return the place of a configuration in lists with deleted ones, which follow the living one with their key."""
    place = BEFORE_IDS if configuration.delete_time is None else configuration.id
    return configuration.application, configuration.name, place


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRef:
    """A reference to a resource by id."""

    id: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRef:
    """A reference to an application or a schema by name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """A reference to a configuration by the names of its application and itself."""

    application: str
    name: str

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


ApplicationRef = IdRef | NameRef
SchemaRef = IdRef | NameRef
ConfigurationRef = IdRef | KeyRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AtVersion:
    """The state at a version of the configuration."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRevision:
    """The state at a revision."""

    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTime:
    """The state at a time of the database's clock."""

    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The current state: at least as new as `min_revision` (0: no bound) or, with `latest`, as every commit that was
    acknowledged before the call.
    """

    min_revision: int
    latest: bool


PastMoment = AtVersion | AtRevision | AtTime
# What lists and batches can show.
Moment = Now | AtRevision | AtTime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUpdate:
    """The new values of an application; None leaves a field unchanged."""

    name: str | None
    comments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """The removal of the pin to a schema version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePatch:
    """A JSON merge patch (RFC 7396). `field`: its name in the request."""

    patch: JsonObject
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsPatch:
    """A JSON Patch (RFC 6902), as JSON text. `field`: its name in the request."""

    operations: str
    field: str


Patch = MergePatch | OperationsPatch


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationUpdate:
    """The new values of a configuration; None leaves a field unchanged. `config` excludes `patch`."""

    name: str | None
    comments: str | None
    config: Content | None
    patch: Patch | None
    schema: SchemaVersionRef | Unpinned | None

    @property
    def has_content(self) -> bool:
        """True if the content may change."""
        return self.config is not None or self.patch is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFilter:
    """A filter for lists; None and empty parts match all. `scope`: the applications that the caller may read."""

    scope: Scope
    application: ApplicationRef | None
    name_prefix: str
    names: tuple[str, ...]
    contains: JsonObject | None
    json_path: str | None
    schema: SchemaVersionRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationQuery:
    """A query for a page of configurations at a revision (None: now), ordered by application and name.

    Unset filters match all. `after` is the last key of the previous page. The page has at most `limit` configurations
    and `limit_bytes` of config as JSON text; its first configuration may exceed `limit_bytes`.
    """

    scope: Scope
    revision: int | None
    after: tuple[str, ...] | None
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

    @property
    def has_filter(self) -> bool:
        """True if configurations may be looked at that the page does not show."""
        return bool(self.name_prefix or self.names or self.contains or self.json_path or self.schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a change: the peer's address, and the change request that the call named, if any."""

    peer: str
    change_request: str


RequestKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """The actor, origin and reason of a write, and the request_id that makes a repeated call idempotent.

    `fingerprint` is a digest of the whole request without its request_id. Nothing outside the scope exists for this
    write.
    """

    actor: str
    origin: Origin
    reason: str
    request_id: str
    fingerprint: bytes
    validate_only: bool
    scope: Scope

    @property
    def key(self) -> RequestKey:
        """The request_id together with its caller, whose it is."""
        return self.request_id, self.actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The part of the log to keep: everything of the last `days`, and the newest `versions` of what lived before."""

    days: float
    versions: int


DEFAULT_RETENTION = Retention(days=90, versions=1)


class Kind(StrEnum):
    """A kind of resource in the log."""

    APPLICATION = "APPLICATION"
    CONFIGURATION = "CONFIGURATION"
    SCHEMA = "SCHEMA"
    ROLE_BINDING = "ROLE_BINDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The version of a resource that a write made; for a deletion, the last one."""

    resource_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The effect of a call: the version that it left (None: nothing exists), and whether the call made that version."""

    written: Written | None
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[Resource]):
    """The result of a call, and whether the call changed anything; for a dry run, whether it would."""

    result: Resource
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Resource]):
    """A page of a list at one revision. The next page begins after `last_key`; None on the last page.

    `content_bytes` is the size of its configs as text.
    """

    resources: tuple[Resource, ...]
    revision: int
    last_key: tuple[str, ...] | None
    content_bytes: int = 0


class Operation(StrEnum):
    """The kind of a change."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChange:
    """One row of the log: the change that a commit made to a configuration, and the configuration after it.

    `config_text` is its config as JSON text, because that takes a fraction of the memory. A deleted configuration has
    its last names and no text. One that is not `is_readable` has nothing but its names and ids.
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
    request_id: str
    change_request: str
    is_readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationVersion:
    """A configuration at a version, and the change that made it. A deletion has no config."""

    configuration: Configuration
    operation: Operation
    reason: str
    request_id: str
    change_request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsPage:
    """Versions of a configuration, newest first. `compacted`: the oldest are gone. `last`: the next page begins before
    it; None on the last page.
    """

    versions: tuple[ConfigurationVersion, ...]
    revision: int
    compacted: bool
    last: int | None
