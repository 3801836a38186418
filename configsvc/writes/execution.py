"""Execution of a group of independent writes: one transaction, set-based statements, an outcome for each write.

A write whose rows are locked elsewhere is left out. The statements serve atomic batches too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from configsvc.domain.commits import Commit
from configsvc.domain.errors import ResourceExistsError, WriteConflictError
from configsvc.domain.models import Configuration, Done, Effect, KeyRef, Kind, RequestKey, SchemaVersionRef, Written
from configsvc.domain.writes import (
    ConfigurationWrite,
    Creation,
    LockedElsewhere,
    PinnedSchema,
    Planned,
    RetryNextGroup,
    pin_to_check,
    resolved,
)
from configsvc.storage import configuration_writes, log, schema_locks
from configsvc.storage.database import Connection
from configsvc.storage.idempotency import Earlier
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import ValidatorCache
from configsvc.writes import idempotency
from configsvc.writes.plan import (
    GROUP_LIMIT_BYTES,
    NO_PINS,
    Changed,
    Found,
    Kept,
    Outcome,
    Pins,
    Plan,
    RunAlone,
    unchanged,
)

AnyFound = TypeVar("AnyFound", bound=Found)

# Locking a configuration reads it: of large ones, lock as many as a group can write.
READ_LIMIT_BYTES = 1024 * 1024


async def execute_group(
    connection: Connection, validators: ValidatorCache, checks: Checks, writes: Sequence[ConfigurationWrite]
) -> tuple[Outcome, ...]:
    """Make the writes within a transaction, as far as possible; return their outcomes, in order.

    Any exception fails the whole transaction, whichever write caused it.
    """
    plan = Plan(writes, limit_bytes=GROUP_LIMIT_BYTES)
    claimed = await _claim_request_ids(connection, plan)
    found = await _lock_or_skip(connection, plan)
    pins = await _lock_pins(connection, validators, plan, found)
    for index, _ in plan.pending:
        plan.add(index, found[index], pins)
    for index in [index for index, check in plan.checks.items() if check.may_take_long]:
        plan.reject(index, RunAlone())
    await reject_invalid(plan, checks)
    await _set_aside_taken_names(connection, plan, found)
    await apply_plan(connection, plan)
    results = {key: effect_of(plan.outcomes[index]) for key, index in claimed.items()}
    await idempotency.settle_many(connection, results)
    return tuple(plan.outcomes[index] for index in range(len(writes)))


async def _claim_request_ids(connection: Connection, plan: Plan) -> dict[RequestKey, int]:
    """Settle the writes that an earlier call made; return the indexes of the other calls with a request_id, by key."""
    indexes: dict[RequestKey, int] = {}
    for index, write in plan.pending:
        if write.context.request_id and indexes.setdefault(write.context.key, index) != index:
            plan.outcomes[index] = RetryNextGroup()
    answers = await idempotency.claim_many(connection, [write.context for _, write in plan.pending])
    for key, answer in answers.items():
        is_done = isinstance(answer, Earlier)
        plan.outcomes[indexes.pop(key)] = Kept(effect=answer.effects[0]) if is_done else answer
    return indexes


async def _lock_or_skip(connection: Connection, plan: Plan) -> dict[int, Found]:
    """Lock the applications of creations and the configurations of other writes; return what was found, by index."""
    creations = {write.application for _, write in plan.pending if isinstance(write, Creation)}
    owners = await configuration_writes.share_or_skip(connection, creations) if creations else {}
    others = tuple(dict.fromkeys(write.ref for _, write in plan.pending if not isinstance(write, Creation)))
    current = (
        await configuration_writes.lock_or_skip(connection, others, limit_bytes=READ_LIMIT_BYTES) if others else {}
    )
    found: dict[int, Found] = {
        index: owners.get(write.application) if isinstance(write, Creation) else current.get(write.ref)
        for index, write in plan.pending
    }
    return await with_commit_times(connection, plan.pending, found)


async def with_commit_times(
    connection: Connection, writes: Iterable[tuple[int, ConfigurationWrite]], found: Mapping[int, AnyFound]
) -> dict[int, AnyFound | Configuration]:
    """Return what was found, by index; with the times of commits where a write expects an etag, which needs them."""
    checked = {
        index: Written(resource_id=current.id, version=current.version)
        for index, write in writes
        if not isinstance(write, Creation) and write.expected.etag
        if isinstance(current := found.get(index), Configuration)
    }
    timed: dict[int, AnyFound | Configuration] = dict(found)
    if checked:
        known = await configuration_writes.get_versions(connection, set(checked.values()), with_config=False)
        for index, version in checked.items():
            if isinstance(current := found[index], Configuration):
                timed[index] = replace(current, update_time=known[version].update_time)
    return timed


async def _set_aside_taken_names(connection: Connection, plan: Plan, found: Mapping[int, Found]) -> None:
    """Let renames to names that are taken run alone: the first would fail the whole group."""
    keys = {
        index: KeyRef(application=planned.configuration.application, name=planned.configuration.name)
        for index, planned in plan.updates.items()
        if isinstance(current := found[index], Configuration) and current.name != planned.configuration.name
    }
    taken = await configuration_writes.taken(connection, set(keys.values())) if keys else set[KeyRef]()
    for index, key in keys.items():
        if key in taken:
            plan.reject(index, RunAlone())


async def _lock_pins(
    connection: Connection, validators: ValidatorCache, plan: Plan, found: Mapping[int, Found]
) -> Pins:
    needed = {pin for index, write in plan.pending if (pin := pin_to_check(write, found[index]))}
    if not needed:
        return NO_PINS
    schemas = await schema_locks.share_or_skip(connection, {pin.schema for pin in needed})
    return await load_pins(connection, validators, needed, schemas)


async def load_pins(
    connection: Connection,
    validators: ValidatorCache,
    needed: Collection[SchemaVersionRef],
    schemas: Mapping[str, PinnedSchema | LockedElsewhere],
) -> Pins:
    """Return the pins with the validators of their versions, as far as the schemas are locked by this transaction."""
    versions = {
        resolved(pin, schema)
        for pin in needed
        if isinstance(schema := schemas.get(pin.schema), PinnedSchema) and pin.version <= schema.latest_version
    }
    return Pins(schemas=schemas, validators=await validators.get(connection, versions))


async def reject_invalid(plan: Plan, checks: Checks) -> None:
    """Reject the writes whose configs violate their schemas."""
    for index, error in (await checks.errors(plan.checks)).items():
        plan.reject(index, error)


async def apply_plan(connection: Connection, plan: Plan) -> None:
    """Write what is planned: deletions, then updates, then creations, which may take names given up before."""
    if plan.deletions:
        gone = await configuration_writes.delete(connection, tuple(plan.deletions.values()))
        for index, planned in plan.deletions.items():
            plan.outcomes[index] = Changed(configuration=gone[planned.configuration.id])
    if plan.updates:
        written = await configuration_writes.update(connection, tuple(plan.updates.values()))
        for index, planned in plan.updates.items():
            plan.outcomes[index] = _updated(planned, written)
    if plan.insertions:
        written = await configuration_writes.insert(connection, tuple(plan.insertions.values()))
        for index, planned in plan.insertions.items():
            plan.outcomes[index] = _inserted(planned, written)


def _updated(planned: Planned, written: Mapping[str, Configuration]) -> Outcome:
    # A trigger leaves rows alone that would stay the same.
    current = planned.configuration
    return Changed(configuration=written[current.id]) if current.id in written else unchanged(current)


def _inserted(planned: Planned, written: Mapping[str, Configuration]) -> Outcome:
    new = planned.configuration
    if new.id in written:
        return Changed(configuration=written[new.id])
    return ResourceExistsError("configuration", f"{new.application}:{new.name}")


def effect_of(outcome: Outcome) -> Effect | None:
    """Return the effect of a write; None if it was not made."""
    match outcome:
        case Changed(configuration=configuration):
            return Effect(written=Written(resource_id=configuration.id, version=configuration.version), changed=True)
        case Kept(effect=effect):
            return effect
        case _:
            return None


def done(outcome: Outcome, left: Configuration | None) -> Done[Configuration | None]:
    """Return the result of a write, given what it left. Raises WriteConflictError if that was compacted since."""
    effect = effect_of(outcome)
    assert effect is not None
    if left is None and effect.written is not None:
        raise WriteConflictError
    return Done(result=left, changed=effect.changed)


async def load_written(
    connection: Connection, outcomes: Sequence[Outcome], *, with_config: bool = True
) -> dict[int, Configuration]:
    """Return the configurations as the writes left them, by index, after the end of the transaction.

    Of a deletion, only the revision matters. Without a commit, changes have no revision. A version that has been
    compacted is left out; only a call repeated when its request_id expires can find one.
    """
    changed = {index: outcome.configuration for index, outcome in enumerate(outcomes) if isinstance(outcome, Changed)}
    earlier = {
        index: outcome.effect.written
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Kept) and outcome.effect.written
    }
    needed = set(earlier.values())
    get_versions = configuration_writes.get_versions
    versions = await get_versions(connection, needed, with_config=with_config) if earlier else {}
    commit = await _commit_of(connection, next(iter(changed.values()))) if changed else None
    return {index: _committed(row, commit) for index, row in changed.items()} | {
        index: versions[written] for index, written in earlier.items() if written in versions
    }


async def _commit_of(connection: Connection, changed: Configuration) -> Commit | None:
    written = Written(resource_id=changed.id, version=changed.version)
    return await log.commit_of(Kind.CONFIGURATION, connection, written)


def _committed(row: Configuration, commit: Commit | None) -> Configuration:
    if commit is None:
        return row
    # The row has the begin of its transaction, and as both times if that created it.
    created = commit.time if row.create_time == row.update_time else row.create_time
    return replace(row, revision=commit.revision, create_time=created, update_time=commit.time)
