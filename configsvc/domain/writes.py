"""What callers ask to be written to configurations, and what it makes of one."""

from dataclasses import dataclass, replace

from configsvc.domain.content import JsonObject, canonical_content, check_content_size, merge_patch, same_json
from configsvc.domain.errors import VersionMismatchError, Violations
from configsvc.domain.models import ApplicationRef, Configuration, ConfigurationRef, ConfigurationUpdate, WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A new configuration of an application."""

    application: ApplicationRef
    name: str
    comments: str
    config: JsonObject
    context: WriteContext

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


ConfigurationWrite = Creation | Update | Deletion


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
class Held:
    """Another transaction is changing the configuration or its application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """Another write of the batch is about the same configuration or has the same request_id, or the batch is full."""


def check_version(expected: int, current: int) -> None:
    """Raises VersionMismatchError if a version is expected, and not the current one."""
    if expected and expected != current:
        raise VersionMismatchError(expected=expected, current=current)


def updated(current: Configuration, values: ConfigurationUpdate) -> Configuration | None:
    """The configuration with the new values; None if they are those that it has.

    Raises InvalidRequestError if a merge patch makes it larger or deeper than it may be.
    """
    assert current.config is not None
    name = current.name if values.name is None else values.name
    comments = current.comments if values.comments is None else values.comments
    config = _new_config(current.config, values)
    if (name, comments) == (current.name, current.comments) and same_json(config, current.config):
        return None
    return replace(current, name=name, comments=comments, config=config)


def _new_config(current: JsonObject, values: ConfigurationUpdate) -> JsonObject:
    if values.merge_patch is None:
        return current if values.config is None else values.config
    violations = Violations()
    merged = canonical_content(merge_patch(current, values.merge_patch), "merge_patch", violations)
    check_content_size(merged, "merge_patch", violations)
    violations.check()
    return merged
