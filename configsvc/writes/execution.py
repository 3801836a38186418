"""Merged writes in one transaction, set-based, each with its own outcome: what others hold is left out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from configsvc.domain.errors import ResourceExistsError
from configsvc.domain.models import Configuration, Kind, SchemaVersionRef, Written
from configsvc.domain.writes import (
    ConfigurationWrite,
    Creation,
    Held,
    PinnedSchema,
    Planned,
    Postponed,
    pin_to_check,
    resolved,
)
from configsvc.storage import configuration_writes, idempotency, log, schema_locks
from configsvc.storage.database import Connection
from configsvc.validation.checks import ContentChecks
from configsvc.validation.compiled import Validators
from configsvc.writes.plan import BATCH_LIMIT_BYTES, NO_PINS, Alone, Changed, Found, Outcome, Pins, Plan, Unchanged

# What is locked is read: of large configurations, as many as a batch can write.
READ_LIMIT_BYTES = 1024 * 1024


async def write_batch(
    connection: Connection, validators: Validators, checks: ContentChecks, writes: Sequence[ConfigurationWrite]
) -> tuple[Outcome, ...]:
    """Does, within a transaction, what can be done; the outcomes of the writes, in their order.

    Whatever it raises makes the whole transaction fail, and says nothing of who is to blame.
    """
    plan = Plan(writes, limit_bytes=BATCH_LIMIT_BYTES)
    claimed = await _claim(connection, plan)
    found = await _look(connection, plan)
    held = await _pin(connection, validators, plan, found)
    for place, _ in plan.open:
        plan.add(place, found[place], held)
    for place in [place for place, check in plan.checks.items() if check.may_take_long]:
        plan.refuse(place, Alone())
    await refuse_invalid(plan, checks)
    await carry_out(connection, plan)
    await _complete(connection, {request_id: plan.outcomes[place] for request_id, place in claimed.items()})
    return tuple(plan.outcomes[place] for place in range(len(writes)))


async def _claim(connection: Connection, plan: Plan) -> dict[str, int]:
    """Settles the writes that were done before; the places of the others that have a request_id, by it."""
    places: dict[str, int] = {}
    for place, write in plan.open:
        request_id = write.context.request_id
        if request_id and places.setdefault(request_id, place) != place:
            plan.outcomes[place] = Postponed()
    if not places:
        return {}
    contexts = [write.context for _, write in plan.open if write.context.request_id]
    for request_id, answer in (await idempotency.claim(connection, contexts)).items():
        is_done = isinstance(answer, idempotency.Earlier)
        plan.outcomes[places.pop(request_id)] = Unchanged(written=answer.written[0]) if is_done else answer
    return places


async def _look(connection: Connection, plan: Plan) -> dict[int, Found]:
    """Locks what the writes are about; what was found, by their places."""
    creations = {write.application for _, write in plan.open if isinstance(write, Creation)}
    owners = await configuration_writes.share_or_skip(connection, creations) if creations else {}
    others = tuple(dict.fromkeys(write.ref for _, write in plan.open if not isinstance(write, Creation)))
    current = (
        await configuration_writes.lock_or_skip(connection, others, limit_bytes=READ_LIMIT_BYTES) if others else {}
    )
    return {
        place: owners.get(write.application) if isinstance(write, Creation) else current.get(write.ref)
        for place, write in plan.open
    }


async def _pin(connection: Connection, validators: Validators, plan: Plan, found: Mapping[int, Found]) -> Pins:
    wanted = {pin for place, write in plan.open if (pin := pin_to_check(write, found[place]))}
    if not wanted:
        return NO_PINS
    schemas = await schema_locks.share_or_skip(connection, {pin.schema for pin in wanted})
    return await pins_of(connection, validators, wanted, schemas)


async def pins_of(
    connection: Connection,
    validators: Validators,
    wanted: Collection[SchemaVersionRef],
    schemas: Mapping[str, PinnedSchema | Held],
) -> Pins:
    """The pins with the validators of the versions that they name, of schemas that are held."""
    versions = {
        resolved(pin, schema)
        for pin in wanted
        if isinstance(schema := schemas.get(pin.schema), PinnedSchema) and pin.version <= schema.latest_version
    }
    return Pins(schemas=schemas, validators=await validators.get(connection, versions))


async def refuse_invalid(plan: Plan, checks: ContentChecks) -> None:
    """Settles the writes whose configs do not satisfy their schemas."""
    for place, error in (await checks.refusals(plan.checks)).items():
        plan.refuse(place, error)


async def carry_out(connection: Connection, plan: Plan) -> None:
    """Writes what was planned: deletions, then updates, then creations, which may take the names given up before."""
    if plan.deletions:
        gone = await configuration_writes.delete(connection, tuple(plan.deletions.values()))
        for place, planned in plan.deletions.items():
            plan.outcomes[place] = Changed(configuration=gone[planned.configuration.id])
    if plan.updates:
        written = await configuration_writes.update(connection, tuple(plan.updates.values()))
        for place, planned in plan.updates.items():
            plan.outcomes[place] = _updated(planned, written)
    if plan.insertions:
        written = await configuration_writes.insert(connection, tuple(plan.insertions.values()))
        for place, planned in plan.insertions.items():
            plan.outcomes[place] = _inserted(planned, written)


def _updated(planned: Planned, written: Mapping[str, Configuration]) -> Outcome:
    # What does not really change is left as it is.
    current = planned.configuration
    unchanged = Unchanged(written=Written(resource_id=current.id, version=current.version))
    return Changed(configuration=written[current.id]) if current.id in written else unchanged


def _inserted(planned: Planned, written: Mapping[str, Configuration]) -> Outcome:
    new = planned.configuration
    if new.id in written:
        return Changed(configuration=written[new.id])
    return ResourceExistsError("configuration", f"{new.application}:{new.name}")


async def _complete(connection: Connection, outcomes: Mapping[str, Outcome]) -> None:
    """Notes what the calls wrote, by request_id; those that wrote nothing are free to come again."""
    written = {request_id: version for request_id, outcome in outcomes.items() if (version := written_by(outcome))}
    if written:
        await idempotency.complete(connection, written)
    if len(written) < len(outcomes):
        await idempotency.release(connection, outcomes.keys() - written.keys())


def written_by(outcome: Outcome) -> Written | None:
    """The version that the write left behind, if it was done."""
    match outcome:
        case Changed(configuration=configuration):
            return Written(resource_id=configuration.id, version=configuration.version)
        case Unchanged(written=written):
            return written
        case _:
            return None


async def answers_of(
    connection: Connection, outcomes: Sequence[Outcome], *, with_config: bool = True
) -> dict[int, Configuration]:
    """After the end of the transaction: the configurations as the writes left them, by place. Of a deletion, only the
    revision matters. Without a commit, what changed has no revision. A version that was compacted, which a call found
    that was repeated when its request_id expired, is left out.
    """
    changed = {place: outcome.configuration for place, outcome in enumerate(outcomes) if isinstance(outcome, Changed)}
    earlier = {place: outcome.written for place, outcome in enumerate(outcomes) if isinstance(outcome, Unchanged)}
    wanted = set(earlier.values())
    get_versions = configuration_writes.get_versions
    versions = await get_versions(connection, wanted, with_config=with_config) if earlier else {}
    revision = await _revision_of(connection, next(iter(changed.values()))) if changed else 0
    return {place: replace(row, revision=revision) for place, row in changed.items()} | {
        place: versions[written] for place, written in earlier.items() if written in versions
    }


async def _revision_of(connection: Connection, changed: Configuration) -> int:
    written = Written(resource_id=changed.id, version=changed.version)
    return await log.revision_of(Kind.CONFIGURATION, connection, written)
