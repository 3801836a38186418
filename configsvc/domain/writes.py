"""What callers ask to be written to configurations, and what it makes of one."""

from dataclasses import dataclass, replace

from configsvc.domain.content import JsonObject, canonical_content, check_content_size, merge_patch, same_json
from configsvc.domain.errors import ResourceNotFoundError, VersionMismatchError, Violations
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    ConfigurationUpdate,
    KeyRef,
    NameRef,
    PinnedVersion,
    SchemaVersionRef,
    Unpinned,
    WriteContext,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A new configuration of an application, or with its id one that is there again."""

    application: ApplicationRef
    name: str
    comments: str
    config: JsonObject
    schema: SchemaVersionRef | None
    context: WriteContext
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """New values for a configuration. expected_version 0: whatever its version is."""

    ref: ConfigurationRef
    values: ConfigurationUpdate
    expected_version: int
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The end of a configuration. expected_version 0: whatever its version is."""

    ref: ConfigurationRef
    expected_version: int
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """An earlier state of a configuration, which may be deleted. version 0: of a deleted one, the last before its
    deletion. expected_version 0: whatever its version is.
    """

    ref: ConfigurationRef
    version: int
    expected_version: int
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


ConfigurationWrite = Creation | Update | Deletion


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """A configuration that is created, or gives its values to the one that has the key."""

    key: KeyRef
    comments: str
    config: JsonObject
    schema: SchemaVersionRef | None
    context: WriteContext

    def as_creation(self) -> Creation:
        """For a key that nothing has."""
        return Creation(
            application=NameRef(name=self.key.application),
            name=self.key.name,
            comments=self.comments,
            config=self.config,
            schema=self.schema,
            context=self.context,
        )

    def as_update(self) -> Update:
        """For the configuration that has the key."""
        values = ConfigurationUpdate(
            name=None, comments=self.comments, config=self.config, merge_patch=None, schema=self.schema or Unpinned()
        )
        return Update(ref=self.key, values=values, expected_version=0, context=self.context)


BatchWrite = ConfigurationWrite | Upsert
AnyWrite = BatchWrite | Rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A configuration as it is to be written, and on whose behalf. config_text: its new config as JSON text; None: as
    it is stored, which may be more exact.
    """

    configuration: Configuration
    config_text: str | None
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """An application that keeps its name until the end of the transaction."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSchema:
    """A schema that, until the end of the transaction, is not deleted and moves nobody to another version."""

    id: str
    name: str
    latest_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedElsewhere:
    """Another transaction is changing the configuration, its application or its schema. application_id is that of the
    first two, where it is sure.
    """

    application_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryNextGroup:
    """Another write of the batch is about the same configuration or has the same request_id, or the batch is full."""


class ChangedBeforeLockError(Exception):
    """What was found has changed before it was locked, or a name was taken that was free: look again."""


def check_version(expected: int, current: int) -> None:
    """Raises VersionMismatchError if a version is expected, and not the current one."""
    if expected and expected != current:
        raise VersionMismatchError(expected=expected, current=current)


def pin_to_check(
    write: ConfigurationWrite, found: Owner | Configuration | LockedElsewhere | RetryNextGroup | None
) -> SchemaVersionRef | None:
    """The schema version that the config must satisfy after the write; None if there is none, or nothing to check."""
    if isinstance(write, Creation):
        return write.schema
    if isinstance(write, Deletion):
        return None
    values = write.values
    if values.schema is not None:
        return None if isinstance(values.schema, Unpinned) else values.schema
    if isinstance(found, Configuration) and (values.config is not None or values.merge_patch is not None):
        return found.schema
    return None


def resolved(pin: SchemaVersionRef, schema: PinnedSchema | None) -> PinnedVersion:
    """The version that a pin names, of the schema that has its name. Raises ResourceNotFoundError."""
    if schema is None:
        raise ResourceNotFoundError("schema", pin.schema)
    if pin.version > schema.latest_version:
        raise ResourceNotFoundError("schema version", str(pin))
    version = pin.version or schema.latest_version
    return PinnedVersion(schema_id=schema.id, ref=SchemaVersionRef(schema=schema.name, version=version))


def updated(current: Configuration, values: ConfigurationUpdate, pin: SchemaVersionRef | None) -> Configuration | None:
    """The configuration with the new values, pinned to pin if they have a schema; None if they are those that it has,
    as far as can be told: the current config is only needed for a merge patch.

    Raises InvalidRequestError if a merge patch makes it larger or deeper than it may be.
    """
    name = current.name if values.name is None else values.name
    comments = current.comments if values.comments is None else values.comments
    schema = _new_schema(current, values, pin)
    config = _new_config(current.config, values)
    kept = (name, comments, schema) == (current.name, current.comments, current.schema)
    if kept and (config is current.config or (current.config is not None and same_json(config, current.config))):
        return None
    return replace(current, name=name, comments=comments, schema=schema, config=config)


def _new_schema(
    current: Configuration, values: ConfigurationUpdate, pin: SchemaVersionRef | None
) -> SchemaVersionRef | None:
    if values.schema is None:
        return current.schema
    return None if isinstance(values.schema, Unpinned) else pin


def _new_config(current: JsonObject | None, values: ConfigurationUpdate) -> JsonObject | None:
    if values.merge_patch is None:
        return current if values.config is None else values.config
    assert current is not None
    violations = Violations()
    merged = canonical_content(merge_patch(current, values.merge_patch), "merge_patch", violations)
    check_content_size(merged, "merge_patch", violations)
    violations.check()
    return merged
