"""What the writes of one transaction make of what is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ulid import ULID

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.errors import ConfigsvcError, ResourceNotFoundError
from configsvc.domain.models import Configuration, PinnedVersion, SchemaVersionRef, Written
from configsvc.domain.writes import (
    ConfigurationWrite,
    Creation,
    Deletion,
    Held,
    Owner,
    PinnedSchema,
    Planned,
    Postponed,
    Update,
    check_version,
    pin_to_check,
    resolved,
    updated,
)
from configsvc.validation.checks import Check, check_of
from configsvc.validation.compiled import CompiledOrError

# A commit of merged writes is to fit into one message of a watch, but for oddities such as thousands of small numbers.
BATCH_LIMIT_BYTES = 512 * 1024
_NOT_YET = datetime.fromtimestamp(0, UTC)

Found = Owner | Configuration | Held | Postponed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The configuration as this transaction leaves it, without its revision; without config if it is deleted."""

    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """A version that an earlier transaction made: the write changes nothing, or it was done before."""

    written: Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """To hold the config against its schema may take long: no other write is to wait for it."""


Outcome = Changed | Unchanged | Postponed | Held | Alone | ConfigsvcError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The schemas that writes pin to, by name, as far as they exist; and the validators of the versions."""

    schemas: Mapping[str, PinnedSchema | Held]
    validators: Mapping[PinnedVersion, CompiledOrError]

    def resolved(self, pin: SchemaVersionRef | None) -> PinnedVersion | Held | None:
        """The version that a pin names. Raises ResourceNotFoundError."""
        if pin is None:
            return None
        schema = self.schemas.get(pin.schema)
        return schema if isinstance(schema, Held) else resolved(pin, schema)

    def check(self, version: PinnedVersion, config: JsonObject, text: str | None) -> Check:
        """What is to be checked. Raises why there is no validator."""
        compiled = self.validators[version]
        if isinstance(compiled, ConfigsvcError):
            raise compiled
        return check_of(compiled, config, encode_json(config) if text is None else text)


NO_PINS = Pins(schemas={}, validators={})


class Plan:
    """What the writes of a batch make of what is there. Writes go by their places in the batch; with
    limit_bytes, those that meet others are postponed, and those whose new contents do not fit into it together. checks:
    what must be satisfied by what was planned.
    """

    def __init__(self, writes: Sequence[ConfigurationWrite], *, limit_bytes: int | None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.insertions: dict[int, Planned] = {}
        self.updates: dict[int, Planned] = {}
        self.deletions: dict[int, Planned] = {}
        self.checks: dict[int, Check] = {}
        self._writes = writes
        self._limit_bytes = limit_bytes
        self._taken: set[object] = set()
        self._bytes = 0
        self._is_full = False

    @property
    def open(self) -> list[tuple[int, ConfigurationWrite]]:
        """The writes that have no outcome yet."""
        return [(place, write) for place, write in enumerate(self._writes) if place not in self.outcomes]

    def add(self, place: int, found: Found, pins: Pins) -> None:
        """Plans a write, or settles its outcome, by what was found of its application or configuration, and the schemas
        that pin_to_check names.
        """
        write = self._writes[place]
        if isinstance(found, Owner | Configuration | Held) and not _is_for(write, found):
            found = None
        try:
            outcome = found if isinstance(found, Held | Postponed) else self._planned(place, write, found, pins)
        except ConfigsvcError as error:
            outcome = error
        if outcome is not None:
            self.outcomes[place] = outcome

    def refuse(self, place: int, error: ConfigsvcError | Alone) -> None:
        """Settles the outcome of a write, planned or not."""
        self.outcomes[place] = error
        self.checks.pop(place, None)
        for planned in (self.insertions, self.updates, self.deletions):
            planned.pop(place, None)

    def _planned(
        self, place: int, write: ConfigurationWrite, found: Owner | Configuration | None, pins: Pins
    ) -> Unchanged | Postponed | Held | None:
        if isinstance(found, Owner):
            assert isinstance(write, Creation)
            return self._insert(place, write, found, pins)
        if isinstance(write, Creation):
            raise ResourceNotFoundError("application", str(write.application))
        if found is None:
            raise ResourceNotFoundError("configuration", str(write.ref))
        if self._meets({found.id}):
            return Postponed()
        check_version(write.expected_version, found.version)
        if isinstance(write, Deletion):
            return self._delete(place, write, found)
        return self._update(place, write, found, pins)

    def _insert(self, place: int, write: Creation, owner: Owner, pins: Pins) -> Postponed | Held | None:
        pin = pins.resolved(write.schema)
        if isinstance(pin, Held):
            return pin
        if self._meets({(owner.id, write.name)}) or (text := self._fitting(write.config)) is None:
            return Postponed()
        if pin is not None:
            self.checks[place] = pins.check(pin, write.config, text)
        self._taken.add((owner.id, write.name))
        configuration = _created(write, owner, pin.ref if pin else None)
        self.insertions[place] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _update(
        self, place: int, write: Update, current: Configuration, pins: Pins
    ) -> Unchanged | Postponed | Held | None:
        if self._is_full:
            return Postponed()
        pin = pins.resolved(pin_to_check(write, current))
        if isinstance(pin, Held):
            return pin
        values = write.values
        configuration = updated(current, values, pin.ref if pin else None)
        if configuration is None:
            return Unchanged(written=Written(resource_id=current.id, version=current.version))
        keys = _keys_of_rename(current, configuration)
        new = configuration.config if values.config is not None or values.merge_patch is not None else None
        text = None if new is None else self._fitting(new)
        if self._meets(keys) or (new is not None and text is None):
            return Postponed()
        if pin is not None:
            assert configuration.config is not None
            self.checks[place] = pins.check(pin, configuration.config, text)
        self._taken |= {current.id, *keys}
        self.updates[place] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _delete(self, place: int, write: Deletion, current: Configuration) -> None:
        self._taken.add(current.id)
        gone = replace(current, config=None, version=current.version + 1)
        self.deletions[place] = Planned(configuration=gone, config_text=None, context=write.context)

    def _meets(self, wanted: set[object]) -> bool:
        """Whether another write of a merged batch is about one of these."""
        return self._limit_bytes is not None and not wanted.isdisjoint(self._taken)

    def _fitting(self, config: JsonObject) -> str | None:
        # Once the batch is full, no more is encoded: what waits for later ones would be, again and again.
        if self._is_full:
            return None
        text = encode_json(config)
        if self._limit_bytes is None:
            return text
        size = len(text.encode())
        self._is_full = bool(self._bytes) and self._bytes + size > self._limit_bytes
        if self._is_full:
            return None
        self._bytes += size
        return text


def _is_for(write: ConfigurationWrite, found: Owner | Configuration | Held) -> bool:
    application_id = found.id if isinstance(found, Owner) else found.application_id
    return application_id is None or write.context.scope.includes(application_id)


def _keys_of_rename(current: Configuration, renamed: Configuration) -> set[object]:
    # A commit tells of its updates by id: that a name was given up must not be told after that another took it.
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
