"""Execution of a group of independent writes: one read, a plan, and one statement, with an outcome for each write.

Nothing is locked between the read and the statement. A write whose rows were changed since, or are locked elsewhere, is
left out. Atomic batches share what does not lock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from configsvc.domain.commits import Commit
from configsvc.domain.errors import ConfigsvcError, ResourceExistsError, WriteConflictError
from configsvc.domain.models import (
    Configuration,
    Done,
    Effect,
    KeyRef,
    Kind,
    Operation,
    RequestKey,
    SchemaVersionRef,
    Written,
)
from configsvc.domain.writes import (
    ChangedSinceRead,
    ConfigurationWrite,
    Creation,
    LockedElsewhere,
    PinnedSchema,
    RetryNextGroup,
    Update,
    pin_to_check,
    resolved,
)
from configsvc.storage import configuration_writes, group_commits, idempotency, log
from configsvc.storage.database import Connection
from configsvc.storage.group_commits import GroupWrite, Made, Refusal, Target
from configsvc.storage.idempotency import Earlier
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import ValidatorCache
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

# A plan needs the present configs: of large ones, read as many as a group can write.
READ_LIMIT_BYTES = 1024 * 1024


async def execute_group(
    connection: Connection,
    validators: ValidatorCache,
    checks: Checks,
    writes: Sequence[ConfigurationWrite],
    *,
    lock_seconds: float | None,
) -> tuple[Outcome, ...]:
    """Make and commit the writes, as far as possible; return their outcomes, in order. lock_seconds: a limit for each
    wait but that of the commit, None for that of the session.

    Any exception fails the whole transaction, whichever write caused it.
    """
    plan = Plan(writes, limit_bytes=GROUP_LIMIT_BYTES)
    _postpone_equal_calls(plan)
    found, schemas = await _look(connection, plan)
    needed = {pin for index, write in plan.pending if (pin := pin_to_check(write, found[index]))}
    pins = await load_pins(connection, validators, needed, schemas) if needed else NO_PINS
    for index, _ in plan.pending:
        plan.add(index, found[index], pins)
    for index in [index for index, check in plan.checks.items() if check.may_take_long]:
        plan.reject(index, RunAlone())
    await reject_invalid(plan, checks)
    await _set_aside_taken_names(connection, plan, found)
    if made := _group_writes(plan, found, pins):
        plan.outcomes |= await _write(connection, made, lock_seconds)
    return tuple(plan.outcomes[index] for index in range(len(writes)))


def _postpone_equal_calls(plan: Plan) -> None:
    first: dict[RequestKey, int] = {}
    for index, write in plan.pending:
        if write.context.request_id and first.setdefault(write.context.key, index) != index:
            plan.outcomes[index] = RetryNextGroup()


async def _look(connection: Connection, plan: Plan) -> tuple[dict[int, Found], dict[str, PinnedSchema]]:
    """Return what the writes are about, by index, as it is now, and the schemas that they name or have, by name."""
    targets = {index: _target(write) for index, write in plan.pending}
    unique = tuple(dict.fromkeys(targets.values()))
    seen = dict(zip(unique, await group_commits.look(connection, unique, limit_bytes=READ_LIMIT_BYTES), strict=True))
    schemas = {schema.name: schema for one in seen.values() if (schema := one.schema)}
    return {index: seen[target].found for index, target in targets.items()}, schemas


def _target(write: ConfigurationWrite) -> Target:
    named = pin_to_check(write, None)
    schema = named.schema if named else None
    if isinstance(write, Creation):
        return Target(ref=None, with_config=False, owner=write.application, schema=schema)
    # The answer to an update has the config.
    is_replaced = isinstance(write, Update) and write.values.config is not None
    return Target(ref=write.ref, with_config=not is_replaced, owner=None, schema=schema)


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


def _group_writes(plan: Plan, found: Mapping[int, Found], pins: Pins) -> dict[int, GroupWrite]:
    """Return what is to be made, by index, with the calls that change nothing and have a request_id to keep."""
    kept = {
        index: GroupWrite(context=write.context, kept=outcome.effect)
        for index, write in enumerate(plan.writes)
        if write.context.request_id and isinstance(outcome := plan.outcomes.get(index), Kept)
    }
    kinds = (
        (Operation.DELETED, plan.deletions),
        (Operation.UPDATED, plan.updates),
        (Operation.CREATED, plan.insertions),
    )
    return kept | {
        index: GroupWrite(
            context=one.context,
            operation=operation,
            planned=one,
            before=before if isinstance(before := found[index], Configuration) else None,
            pin=pins.schema_of(pin_to_check(plan.writes[index], before)),
        )
        for operation, planned in kinds
        for index, one in planned.items()
    }


async def _write(
    connection: Connection, writes: Mapping[int, GroupWrite], lock_seconds: float | None
) -> dict[int, Outcome]:
    made = await group_commits.write(connection, tuple(writes.values()), lock_seconds=lock_seconds)
    return {
        index: _outcome(one, refusal, made) for (index, one), refusal in zip(writes.items(), made.refusals, strict=True)
    }


def _outcome(write: GroupWrite, refusal: Refusal, made: Made) -> Outcome:
    match refusal:
        case Refusal.DONE:
            return Kept(effect=write.kept) if write.kept else _changed(write, made)
        case Refusal.LOCKED:
            return LockedElsewhere()
        case Refusal.CHANGED:
            return ChangedSinceRead()
        case Refusal.CLAIMED:
            # What the other call did is read after the commit. If that is gone, housekeeping has purged it.
            return WriteConflictError()
        case Refusal.EXISTS:
            assert write.planned is not None
            new = write.planned.configuration
            return ResourceExistsError("configuration", f"{new.application}:{new.name}")
        case Refusal.UNCHANGED:
            assert write.before is not None
            return unchanged(write.before)


def _changed(write: GroupWrite, made: Made) -> Changed:
    assert write.planned is not None
    assert made.time is not None
    left, before, actor = write.planned.configuration, write.before, write.context.actor
    return Changed(
        configuration=replace(
            left,
            version=before.version + 1 if before else 1,
            revision=made.revision,
            create_time=before.create_time if before else made.time,
            update_time=made.time,
            created_by=before.created_by if before else actor,
            updated_by=actor,
        )
    )


async def load_pins(
    connection: Connection,
    validators: ValidatorCache,
    needed: Collection[SchemaVersionRef],
    schemas: Mapping[str, PinnedSchema],
) -> Pins:
    """Return the pins with the validators of their versions."""
    versions = {
        resolved(pin, schema)
        for pin in needed
        if (schema := schemas.get(pin.schema)) and pin.version <= schema.latest_version
    }
    return Pins(schemas=schemas, validators=await validators.get(connection, versions))


async def reject_invalid(plan: Plan, checks: Checks) -> None:
    """Reject the writes whose configs violate their schemas."""
    for index, error in (await checks.errors(plan.checks)).items():
        plan.reject(index, error)


async def settle_repeated(
    connection: Connection, writes: Sequence[ConfigurationWrite], outcomes: Sequence[Outcome]
) -> tuple[Outcome, ...]:
    """Return the outcomes, where a write that was not made has that of an earlier call with its request_id, if any."""
    contexts = {
        index: write.context
        for index, (write, outcome) in enumerate(zip(writes, outcomes, strict=True))
        if write.context.request_id and isinstance(outcome, ConfigsvcError)
    }
    answers = await idempotency.earlier(connection, tuple(contexts.values())) if contexts else {}
    repeated = {
        index: Kept(effect=answer.effects[0]) if isinstance(answer, Earlier) else answer
        for index, context in contexts.items()
        if (answer := answers.get(context.key))
    }
    return tuple(repeated.get(index, outcome) for index, outcome in enumerate(outcomes))


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
    # Group commits return theirs.
    unknown = next((row for row in changed.values() if not row.revision), None)
    commit = await _commit_of(connection, unknown) if unknown else None
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
