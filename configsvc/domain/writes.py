"""Writes of configurations as callers ask for them, and the rules for applying one."""

from dataclasses import dataclass, replace

from configsvc.domain.content import JsonObject, canonical_content, check_content_size, merge_patch, same_json
from configsvc.domain.errors import RecordUnreadableError, ResourceNotFoundError, VersionMismatchError, Violations
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
    """A new configuration of an application; with an id, a deleted one that is restored."""

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
    """New values for a configuration. expected_version 0: any."""

    ref: ConfigurationRef
    values: ConfigurationUpdate
    expected_version: int
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The deletion of a configuration. expected_version 0: any."""

    ref: ConfigurationRef
    expected_version: int
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A return to an earlier version of a configuration, which may be deleted. version 0: the last one before the
    deletion. expected_version 0: any.
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
    """A creation, or an update of the configuration that has the key."""

    key: KeyRef
    comments: str
    config: JsonObject
    schema: SchemaVersionRef | None
    context: WriteContext

    def as_creation(self) -> Creation:
        """Return the creation, for a key that is free."""
        return Creation(
            application=NameRef(name=self.key.application),
            name=self.key.name,
            comments=self.comments,
            config=self.config,
            schema=self.schema,
            context=self.context,
        )

    def as_update(self) -> Update:
        """Return the update of the configuration that has the key."""
        values = ConfigurationUpdate(
            name=None, comments=self.comments, config=self.config, merge_patch=None, schema=self.schema or Unpinned()
        )
        return Update(ref=self.key, values=values, expected_version=0, context=self.context)


BatchWrite = ConfigurationWrite | Upsert
AnyWrite = BatchWrite | Rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A configuration to write, and the caller's context. config_text: the new config as JSON text; None: keep the
    stored text, which may be more exact.
    """

    configuration: Configuration
    config_text: str | None
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """An application, locked against renaming and deletion until the end of the transaction."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSchema:
    """A schema, locked until the end of the transaction: no deletion, and no move of its configurations."""

    id: str
    name: str
    latest_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedElsewhere:
    """Another transaction has locked the configuration, its application or its schema. application_id: that of the
    first two, if known for sure.
    """

    application_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryNextGroup:
    """Another write of the group has the same configuration or request_id, or the group is full."""


class ChangedBeforeLockError(Exception):
    """A row that changed before it was locked, or a free name that was taken: the caller starts again."""


def check_version(expected: int, current: int) -> None:
    """Raise VersionMismatchError if a version is expected, and not the current one."""
    if expected and expected != current:
        raise VersionMismatchError(expected=expected, current=current)


def pin_to_check(
    write: ConfigurationWrite,
    found: Owner | Configuration | LockedElsewhere | RetryNextGroup | RecordUnreadableError | None,
) -> SchemaVersionRef | None:
    """Return the schema version that the config must satisfy after the write; None if there is nothing to check."""
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
    """Return the version of the schema that a pin names. Raises ResourceNotFoundError."""
    if schema is None:
        raise ResourceNotFoundError("schema", pin.schema)
    if pin.version > schema.latest_version:
        raise ResourceNotFoundError("schema version", str(pin))
    version = pin.version or schema.latest_version
    return PinnedVersion(schema_id=schema.id, ref=SchemaVersionRef(schema=schema.name, version=version))


def updated(current: Configuration, values: ConfigurationUpdate, pin: SchemaVersionRef | None) -> Configuration | None:
    """Return the configuration with the new values, pinned to pin if they have a schema; None if nothing changes.

    The current config may be None, except for a merge patch; then a new one counts as a change. Raises
    InvalidRequestError if a merge patch makes the config too large or too deep.
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
    with Violations() as violations:
        merged = canonical_content(merge_patch(current, values.merge_patch), "merge_patch", violations)
        check_content_size(merged, "merge_patch", violations)
    return merged
