"""The plan of a transaction: what its writes will insert, update and delete, given what they found. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ulid import ULID

from configsvc.domain.content import check_storable, encode_json
from configsvc.domain.errors import ConfigsvcError, RecordUnreadableError, ResourceExistsError, ResourceNotFoundError
from configsvc.domain.models import Configuration, Effect, Patch, PinnedVersion, SchemaVersionRef, Written
from configsvc.domain.stored_json import Content
from configsvc.domain.writes import (
    ChangedSinceRead,
    ConfigurationWrite,
    Creation,
    Deletion,
    LockedElsewhere,
    Owner,
    PinnedSchema,
    Planned,
    RetryNextGroup,
    Update,
    check_expected,
    check_patched_size,
    pin_to_check,
    resolved,
    updated,
)
from configsvc.validation.checks import Check, prepare_check
from configsvc.validation.compiled import CompiledOrError

# So that the commit of a group fits into one watch message, except for oddities such as thousands of small numbers.
GROUP_LIMIT_BYTES = 512 * 1024
_NOT_YET = datetime.fromtimestamp(0, UTC)

Found = Owner | Configuration | RetryNextGroup | RecordUnreadableError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A configuration as this transaction leaves it, without its revision; without config if it is deleted."""

    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The effect of a write that changes nothing, or of an earlier call with the same request_id."""

    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAlone:
    """A write that could hold up or fail the others of its group: no other write shares its transaction."""


Outcome = Changed | Kept | RetryNextGroup | LockedElsewhere | ChangedSinceRead | RunAlone | ConfigsvcError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The existing schemas that writes pin to, by name, and the validators of their versions."""

    schemas: Mapping[str, PinnedSchema]
    validators: Mapping[PinnedVersion, CompiledOrError]

    def schema_of(self, pin: SchemaVersionRef | None) -> PinnedSchema | None:
        """Return the schema of a pin that `resolved` resolves."""
        return None if pin is None else self.schemas[pin.schema]

    def resolved(self, pin: SchemaVersionRef | None) -> PinnedVersion | None:
        """Return the version that a pin names. Raises ResourceNotFoundError."""
        return None if pin is None else resolved(pin, self.schemas.get(pin.schema))

    def check(self, version: PinnedVersion, config: Content, text: str | None) -> Check:
        """Return the check of a config. Raises the error for which there is no validator."""
        compiled = self.validators[version]
        if isinstance(compiled, ConfigsvcError):
            raise compiled
        return prepare_check(version.ref.schema, compiled, config.value, text or encode_json(config.value))


NO_PINS = Pins(schemas={}, validators={})


class Plan:
    """A plan of writes, by index, and the validation checks that they must pass.

    With limit_bytes, it is the plan of a group: a write that conflicts with another one, or whose new config would
    exceed limit_bytes together with the others, gets the outcome RetryNextGroup.
    """

    def __init__(self, writes: Sequence[ConfigurationWrite], *, limit_bytes: int | None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.insertions: dict[int, Planned] = {}
        self.updates: dict[int, Planned] = {}
        self.deletions: dict[int, Planned] = {}
        self.checks: dict[int, Check] = {}
        self.writes = writes
        self._limit_bytes = limit_bytes
        self._used: set[object] = set()
        self._bytes = 0
        self._is_full = False

    @property
    def pending(self) -> list[tuple[int, ConfigurationWrite]]:
        """The writes without an outcome, by index."""
        return [(index, write) for index, write in enumerate(self.writes) if index not in self.outcomes]

    def add(self, index: int, found: Found, pins: Pins) -> None:
        """Plan a write, or settle its outcome: found is its application (of a creation) or configuration, pins has the
        schema that pin_to_check names.
        """
        write = self.writes[index]
        if not isinstance(found, RetryNextGroup | None) and not _is_for(write, found):
            found = None
        if isinstance(found, RetryNextGroup | RecordUnreadableError):
            self.outcomes[index] = found
            return
        try:
            outcome = self._plan(index, write, found, pins)
        except ConfigsvcError as error:
            outcome = error
        if outcome is not None:
            self.outcomes[index] = outcome

    def reject(self, index: int, error: ConfigsvcError | RunAlone) -> None:
        """Settle the outcome of a write, planned or not."""
        self.outcomes[index] = error
        self.checks.pop(index, None)
        for planned in (self.insertions, self.updates, self.deletions):
            planned.pop(index, None)

    def _plan(
        self, index: int, write: ConfigurationWrite, found: Owner | Configuration | None, pins: Pins
    ) -> Kept | RetryNextGroup | RunAlone | None:
        if isinstance(found, Owner):
            assert isinstance(write, Creation)
            return self._insert(index, write, found, pins)
        if isinstance(write, Creation):
            raise ResourceNotFoundError("application", str(write.application))
        if found is None:
            return _missing(write)
        if self._conflicts({found.id}):
            return RetryNextGroup()
        check_expected(write.expected, found)
        if isinstance(write, Deletion):
            return self._delete(index, write, found)
        if write.only_missing:
            raise ResourceExistsError("configuration", str(write.ref))
        return self._update(index, write, found, pins)

    def _insert(self, index: int, write: Creation, owner: Owner, pins: Pins) -> RetryNextGroup | None:
        pin = pins.resolved(write.schema)
        if self._conflicts({(owner.id, write.name)}) or (text := self._encoded_if_fits(write.config, None)) is None:
            return RetryNextGroup()
        if pin is not None:
            self.checks[index] = pins.check(pin, write.config, text)
        self._used.add((owner.id, write.name))
        configuration = _created(write, owner, pin.ref if pin else None)
        self.insertions[index] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _update(self, index: int, write: Update, current: Configuration, pins: Pins) -> Kept | RetryNextGroup | None:
        if self._is_full:
            return RetryNextGroup()
        pin = pins.resolved(pin_to_check(write, current))
        values = write.values
        configuration = updated(current, values, pin.ref if pin else None)
        if configuration is None:
            return unchanged(current)
        keys = _keys_of_rename(current, configuration)
        new = configuration.config if values.has_content else None
        text = None if new is None else self._encoded_if_fits(new, values.patch)
        if self._conflicts(keys) or (new is not None and text is None):
            return RetryNextGroup()
        if pin is not None:
            assert configuration.config is not None
            self.checks[index] = pins.check(pin, configuration.config, text)
        self._used |= {current.id, *keys}
        self.updates[index] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _delete(self, index: int, write: Deletion, current: Configuration) -> None:
        self._used.add(current.id)
        gone = replace(current, config=None, version=current.version + 1)
        self.deletions[index] = Planned(configuration=gone, config_text=None, context=write.context)

    def _conflicts(self, needed: set[object]) -> bool:
        """Return whether another write of the group uses one of these ids or names."""
        return self._limit_bytes is not None and not needed.isdisjoint(self._used)

    def _encoded_if_fits(self, config: Content, patch: Patch | None) -> str | None:
        # Encode no more once the group is full: writes left for later groups would be encoded again and again.
        if self._is_full:
            return None
        text = encode_json(config.value)
        if patch is not None:
            check_patched_size(text, patch)
        check_storable(config.value, text)
        if self._limit_bytes is None:
            return text
        size = len(text.encode())
        self._is_full = bool(self._bytes) and self._bytes + size > self._limit_bytes
        if self._is_full:
            return None
        self._bytes += size
        return text


def unchanged(current: Configuration) -> Kept:
    """Return the outcome of a write that leaves a configuration as it is."""
    return Kept(effect=Effect(written=Written(resource_id=current.id, version=current.version), changed=False))


def _missing(write: Update | Deletion) -> Kept | RunAlone:
    """Return the outcome of a write whose configuration does not exist. Raises ResourceNotFoundError."""
    if not write.allow_missing:
        raise ResourceNotFoundError("configuration", str(write.ref))
    if isinstance(write, Update):
        # It needs the lock of its application, which only an atomic batch takes at this point.
        return RunAlone()
    return Kept(effect=Effect(written=None, changed=False))


def _is_for(write: ConfigurationWrite, found: Owner | Configuration | RecordUnreadableError) -> bool:
    application_id = found.id if isinstance(found, Owner) else found.application_id
    return application_id is None or write.context.scope.includes(application_id)


def _keys_of_rename(current: Configuration, renamed: Configuration) -> set[object]:
    # Updates of one commit are logged by id, so the new owner of a name could come before the old one gave it up.
    return {(row.application_id, row.name) for row in (current, renamed)} if renamed.name != current.name else set()


def _created(write: Creation, owner: Owner, schema: SchemaVersionRef | None) -> Configuration:
    return Configuration(
        id=write.id or str(ULID()),
        application_id=owner.id,
        application=owner.name,
        name=write.name,
        comments=write.comments,
        config=write.config,
        schema=schema,
        version=0,
        revision=0,
        create_time=_NOT_YET,
        update_time=_NOT_YET,
        created_by="",
        updated_by="",
    )
