"""Writes of configurations as callers ask for them, and the rules for applying one."""

from dataclasses import dataclass, replace

from configsvc.domain.content import canonical_content, check_text_size, merge_patch
from configsvc.domain.errors import (
    InvalidRequestError,
    RecordUnreadableError,
    ResourceNotFoundError,
    Violation,
    Violations,
)
from configsvc.domain.etags import etag_of
from configsvc.domain.expectations import Expectation
from configsvc.domain.json_patch import after_json_patch
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationRef,
    ConfigurationUpdate,
    KeyRef,
    MergePatch,
    NameRef,
    Patch,
    PinnedVersion,
    SchemaVersionRef,
    Unpinned,
    WriteContext,
)
from configsvc.domain.stored_json import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A new configuration of an application; with an id, a deleted one that is restored."""

    application: ApplicationRef
    name: str
    comments: str
    config: Content
    schema: SchemaVersionRef | None
    context: WriteContext
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """New values for a configuration.

    With `allow_missing`, `ref` is a key, and a configuration that does not exist is created: in the application
    `owner`, if that is not the one that the key names. With `only_missing`, one that exists is an error.
    """

    ref: ConfigurationRef
    values: ConfigurationUpdate
    expected: Expectation
    allow_missing: bool
    context: WriteContext
    owner: ApplicationRef | None = None
    only_missing: bool = False

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def creates_in(self) -> ApplicationRef | None:
        """The application that gets the configuration if it does not exist; None: that is an error."""
        if not self.allow_missing:
            return None
        assert isinstance(self.ref, KeyRef)
        return self.owner or NameRef(name=self.ref.application)

    def as_creation(self) -> Creation:
        """Return the creation of a configuration that does not exist.

        Raises VersionMismatchError if the caller expects one, or InvalidRequestError if there is no content.
        """
        self.expected.check_absence()
        assert isinstance(self.ref, KeyRef)
        application, values = self.creates_in, self.values
        assert application is not None
        if values.config is None:
            description = "is required, because the configuration does not exist; it may be empty: {}"
            raise InvalidRequestError((Violation(field="configuration.config", description=description),))
        return Creation(
            application=application,
            name=self.ref.name,
            comments=values.comments or "",
            config=values.config,
            schema=None if isinstance(values.schema, Unpinned) else values.schema,
            context=self.context,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The deletion of a configuration. With `allow_missing`, it need not exist, whatever the caller expects of it."""

    ref: ConfigurationRef
    expected: Expectation
    allow_missing: bool
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A return to an earlier version of a configuration, which may be deleted."""

    ref: ConfigurationRef
    version: int
    expected: Expectation
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeletion:
    """A return to the last version of a deleted configuration."""

    ref: ConfigurationRef
    context: WriteContext

    def __str__(self) -> str:
        return str(self.ref)


ConfigurationWrite = Creation | Update | Deletion
Restoration = Rollback | Undeletion


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """A creation, or an update of the configuration that has the name; with `only_missing`, a creation alone."""

    application: ApplicationRef
    name: str
    comments: str
    config: Content
    schema: SchemaVersionRef | None
    expected: Expectation
    only_missing: bool
    context: WriteContext

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"

    def as_update(self, application: str) -> Update:
        """Return the update that creates a configuration if there is none, given the name of the application."""
        values = ConfigurationUpdate(
            name=None, comments=self.comments, config=self.config, patch=None, schema=self.schema or Unpinned()
        )
        return Update(
            ref=KeyRef(application=application, name=self.name),
            values=values,
            expected=self.expected,
            allow_missing=True,
            context=self.context,
            owner=self.application,
            only_missing=self.only_missing,
        )


BatchWrite = ConfigurationWrite | Upsert
AnyWrite = BatchWrite | Restoration


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
    """An application. A write of it is made only if it still has this name at the commit."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSchema:
    """A schema. A config validated by it is written only if nobody deletes it, or moves its configurations, before the
    commit.
    """

    id: str
    name: str
    latest_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedElsewhere:
    """Another transaction has locked the configuration, its application or its schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSinceRead:
    """Another transaction changed what the write was planned with: it is planned anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryNextGroup:
    """Another write of the group has the same configuration or request_id, or the group is full."""


class ChangedBeforeLockError(Exception):
    """A row that changed before it was locked, or a free name that was taken: the caller starts again."""


def check_expected(expected: Expectation, current: Configuration) -> None:
    """Raise VersionMismatchError unless the configuration, with the time of its commit, is the expected one.

    Without an expected etag, the time does not matter.
    """
    expected.check_version(current.version)
    if expected.etag:
        expected.check_etag(etag_of(current.id, current.version, current.update_time), current.version)


def pin_to_check(
    write: ConfigurationWrite,
    found: Owner | Configuration | RetryNextGroup | RecordUnreadableError | None,
) -> SchemaVersionRef | None:
    """Return the schema version that the config must satisfy after the write; None if there is nothing to check."""
    if isinstance(write, Creation):
        return write.schema
    if isinstance(write, Deletion):
        return None
    values = write.values
    if values.schema is not None:
        return None if isinstance(values.schema, Unpinned) else values.schema
    if isinstance(found, Configuration) and values.has_content:
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

    The current config may be None, except for a patch; then a new one counts as a change. Raises InvalidRequestError if
    a patch cannot be applied, or makes the config too deep.
    """
    name = current.name if values.name is None else values.name
    comments = current.comments if values.comments is None else values.comments
    schema = _new_schema(current, values, pin)
    config = _new_config(current.config, values)
    kept = (name, comments, schema) == (current.name, current.comments, current.schema)
    if kept and (config is current.config or config == current.config):
        return None
    return replace(current, name=name, comments=comments, schema=schema, config=config)


def _new_schema(
    current: Configuration, values: ConfigurationUpdate, pin: SchemaVersionRef | None
) -> SchemaVersionRef | None:
    if values.schema is None:
        return current.schema
    return None if isinstance(values.schema, Unpinned) else pin


def _new_config(current: Content | None, values: ConfigurationUpdate) -> Content | None:
    patch = values.patch
    if patch is None:
        return current if values.config is None else values.config
    assert current is not None
    if isinstance(patch, MergePatch):
        # No deeper than the deeper one of the two, which are both canonical.
        return Content(merge_patch(current.canonical_value, patch.patch))
    patched = after_json_patch(current.value, patch.operations, patch.field)
    with Violations() as violations:
        return Content(canonical_content(patched, patch.field, violations))


def check_patched_size(text: str, patch: Patch) -> None:
    """Check that a content is not too large after a patch, given as compact JSON text. Raises InvalidRequestError."""
    with Violations() as violations:
        check_text_size(text, patch.field, violations)
