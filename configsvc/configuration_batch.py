"""Many writes to configurations in one transaction, set-based, each with its own outcome."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from ulid import ULID

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.errors import ConfigsvcError, ResourceExistsError, ResourceNotFoundError
from configsvc.domain.models import Configuration, Kind, Written
from configsvc.domain.writes import (
    ConfigurationWrite,
    Creation,
    Deletion,
    Held,
    Owner,
    Planned,
    Postponed,
    Update,
    check_version,
    updated,
)
from configsvc.storage import applications, configuration_writes, configurations, log, requests

if TYPE_CHECKING:
    from configsvc.storage.database import Connection

# A commit of merged writes is to fit into one message of a watch, but for oddities such as thousands of small numbers.
BATCH_LIMIT_BYTES = 512 * 1024
# What is locked is read: of large configurations, as many as a batch can write.
READ_LIMIT_BYTES = 1024 * 1024
_NOT_YET = datetime.fromtimestamp(0, UTC)

Ref = TypeVar("Ref")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The configuration as this transaction leaves it, without its revision; without config if it is deleted."""

    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """A version that an earlier transaction made: the write changes nothing, or it was done before."""

    written: Written


Outcome = Changed | Unchanged | Postponed | Held | ConfigsvcError


async def write_batch(
    connection: "Connection", writes: Sequence[ConfigurationWrite], *, wait: bool
) -> tuple[Outcome, ...]:
    """Does, within a transaction, what can be done; the outcomes of the writes, in their order.

    wait: for whoever holds a row; otherwise its write is left out as held. Raises what makes the whole transaction
    fail: WriteConflictError, InvalidRequestError or ResourceExistsError.
    """
    plan = Plan(writes)
    claimed = await _claim(connection, plan)
    await _look(connection, plan, wait=wait)
    await _carry_out(connection, plan)
    await _complete(connection, {request_id: plan.outcomes[place] for request_id, place in claimed.items()})
    return tuple(plan.outcomes[place] for place in range(len(writes)))


class Plan:
    """What the writes of a batch make of what is there. Writes go by their places in the batch."""

    def __init__(self, writes: Sequence[ConfigurationWrite]) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.insertions: dict[int, Planned] = {}
        self.updates: dict[int, Planned] = {}
        self.deletions: dict[int, Planned] = {}
        self._writes = writes
        self._taken: set[object] = set()
        self._bytes = 0
        self._is_full = False

    @property
    def open(self) -> list[tuple[int, ConfigurationWrite]]:
        """The writes that have no outcome yet."""
        return [(place, write) for place, write in enumerate(self._writes) if place not in self.outcomes]

    def add(self, place: int, found: Owner | Configuration | Held | Postponed | None) -> None:
        """Plans a write, or settles its outcome, by what was found of its application or configuration."""
        write = self._writes[place]
        try:
            outcome = found if isinstance(found, Held | Postponed) else self._planned(place, write, found)
        except ConfigsvcError as error:
            outcome = error
        if outcome is not None:
            self.outcomes[place] = outcome

    def _planned(
        self, place: int, write: ConfigurationWrite, found: Owner | Configuration | None
    ) -> Unchanged | Postponed | None:
        if isinstance(found, Owner):
            assert isinstance(write, Creation)
            return self._insert(place, write, found)
        if isinstance(write, Creation):
            raise ResourceNotFoundError("application", str(write.application))
        if found is None:
            raise ResourceNotFoundError("configuration", str(write.ref))
        if found.id in self._taken:
            return Postponed()
        check_version(write.expected_version, found.version)
        return self._update(place, write, found) if isinstance(write, Update) else self._delete(place, write, found)

    def _insert(self, place: int, write: Creation, owner: Owner) -> Postponed | None:
        if (owner.id, write.name) in self._taken or (text := self._fitting(write.config)) is None:
            return Postponed()
        self._taken.add((owner.id, write.name))
        configuration = _created(write, owner)
        self.insertions[place] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _update(self, place: int, write: Update, current: Configuration) -> Unchanged | Postponed | None:
        if self._is_full:
            return Postponed()
        configuration = updated(current, write.values)
        if configuration is None:
            return Unchanged(written=Written(resource_id=current.id, version=current.version))
        assert configuration.config is not None
        keys = _keys_of_rename(current, configuration)
        is_new = write.values.config is not None or write.values.merge_patch is not None
        text = self._fitting(configuration.config) if is_new else None
        if keys & self._taken or (is_new and text is None):
            return Postponed()
        self._taken |= {current.id, *keys}
        self.updates[place] = Planned(configuration=configuration, config_text=text, context=write.context)
        return None

    def _delete(self, place: int, write: Deletion, current: Configuration) -> None:
        self._taken.add(current.id)
        gone = replace(current, config=None, version=current.version + 1)
        self.deletions[place] = Planned(configuration=gone, config_text=None, context=write.context)

    def _fitting(self, config: JsonObject) -> str | None:
        # Once the batch is full, no more is encoded: what waits for later ones would be, again and again.
        if self._is_full:
            return None
        text = encode_json(config)
        size = len(text.encode())
        self._is_full = bool(self._bytes) and self._bytes + size > BATCH_LIMIT_BYTES
        if self._is_full:
            return None
        self._bytes += size
        return text


def _keys_of_rename(current: Configuration, renamed: Configuration) -> set[object]:
    # A commit tells of its updates by id: that a name was given up must not be told after that another took it.
    return {(row.application_id, row.name) for row in (current, renamed)} if renamed.name != current.name else set()


def _created(write: Creation, owner: Owner) -> Configuration:
    return Configuration(
        id=str(ULID()),
        application_id=owner.id,
        application=owner.name,
        name=write.name,
        comments=write.comments,
        config=write.config,
        schema=None,
        version=0,
        revision=0,
        create_time=_NOT_YET,
        update_time=_NOT_YET,
        created_by="",
        updated_by="",
    )


async def _claim(connection: "Connection", plan: Plan) -> dict[str, int]:
    """Settles the writes that were done before; the places of the others that have a request_id, by it."""
    places: dict[str, int] = {}
    for place, write in plan.open:
        request_id = write.context.request_id
        if request_id and places.setdefault(request_id, place) != place:
            plan.outcomes[place] = Postponed()
    if not places:
        return {}
    contexts = [write.context for _, write in plan.open if write.context.request_id]
    for request_id, answer in (await requests.claim(connection, contexts)).items():
        plan.outcomes[places.pop(request_id)] = Unchanged(written=answer) if isinstance(answer, Written) else answer
    return places


async def _look(connection: "Connection", plan: Plan, *, wait: bool) -> None:
    """Locks what the writes are about, and plans them."""
    creations = {write.application for _, write in plan.open if isinstance(write, Creation)}
    owners = await configuration_writes.share_free(connection, creations) if creations else {}
    others = tuple(dict.fromkeys(write.ref for _, write in plan.open if not isinstance(write, Creation)))
    current = await configuration_writes.lock_free(connection, others, limit_bytes=READ_LIMIT_BYTES) if others else {}
    if wait:
        await _wait_for_held(owners, lambda ref: applications.share(connection, ref))
        await _wait_for_held(current, lambda ref: configurations.lock(connection, ref))
    for place, write in plan.open:
        plan.add(place, owners.get(write.application) if isinstance(write, Creation) else current.get(write.ref))


async def _wait_for_held(found: dict[Ref, Row | Held], lock: Callable[[Ref], Awaitable[Row | None]]) -> None:
    for ref in [ref for ref, row in found.items() if isinstance(row, Held)]:
        # Who waited for a row that was deleted and made again in one transaction found only the old one gone.
        row = await lock(ref) or await lock(ref)
        if row is None:
            del found[ref]
        else:
            found[ref] = row


async def _carry_out(connection: "Connection", plan: Plan) -> None:
    if plan.deletions:
        await configuration_writes.delete(connection, tuple(plan.deletions.values()))
        for place, planned in plan.deletions.items():
            plan.outcomes[place] = Changed(configuration=planned.configuration)
    if plan.updates:
        _note(plan, plan.updates, await configuration_writes.update(connection, tuple(plan.updates.values())))
    if plan.insertions:
        _note(plan, plan.insertions, await configuration_writes.insert(connection, tuple(plan.insertions.values())))


def _note(plan: Plan, planned: Mapping[int, Planned], written: Mapping[str, Configuration]) -> None:
    for place, one in planned.items():
        configuration = written.get(one.configuration.id)
        key = f"{one.configuration.application}:{one.configuration.name}"
        plan.outcomes[place] = (
            Changed(configuration=configuration) if configuration else ResourceExistsError("configuration", key)
        )


async def _complete(connection: "Connection", outcomes: Mapping[str, Outcome]) -> None:
    """Notes what the calls wrote, by request_id; those that wrote nothing are free to come again."""
    written = {request_id: version for request_id, outcome in outcomes.items() if (version := _written(outcome))}
    if written:
        await requests.complete(connection, written)
    if len(written) < len(outcomes):
        await requests.release(connection, outcomes.keys() - written.keys())


def _written(outcome: Outcome) -> Written | None:
    match outcome:
        case Changed(configuration=configuration):
            return Written(resource_id=configuration.id, version=configuration.version)
        case Unchanged(written=written):
            return written
        case _:
            return None


async def answers_of(connection: "Connection", outcomes: Sequence[Outcome]) -> dict[int, Configuration]:
    """After the end of the transaction: the configurations as the writes left them, by place. Of a deletion, only the
    revision matters. Without a commit, what changed has no revision. A version that was compacted, which a call found
    that was repeated when its request_id expired, is left out.
    """
    changed = {place: outcome.configuration for place, outcome in enumerate(outcomes) if isinstance(outcome, Changed)}
    earlier = {place: outcome.written for place, outcome in enumerate(outcomes) if isinstance(outcome, Unchanged)}
    versions = await configuration_writes.get_versions(connection, set(earlier.values())) if earlier else {}
    revision = await _revision_of(connection, next(iter(changed.values()))) if changed else 0
    return {place: replace(row, revision=revision) for place, row in changed.items()} | {
        place: versions[written] for place, written in earlier.items() if written in versions
    }


async def _revision_of(connection: "Connection", changed: Configuration) -> int:
    written = Written(resource_id=changed.id, version=changed.version)
    return await log.revision_of(Kind.CONFIGURATION, connection, written)
