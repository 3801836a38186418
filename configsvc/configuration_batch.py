"""Many writes to configurations in one transaction, set-based, each with its own outcome."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from configsvc.domain.errors import ResourceExistsError
from configsvc.domain.models import Configuration, Kind, Written
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
from configsvc.storage import applications, configuration_writes, configurations, log, pins, requests
from configsvc.validators import Validators
from configsvc.write_plan import NO_PINS, Changed, Found, Outcome, Pins, Plan, Unchanged

if TYPE_CHECKING:
    from configsvc.storage.database import Connection

# What is locked is read: of large configurations, as many as a batch can write.
READ_LIMIT_BYTES = 1024 * 1024

Ref = TypeVar("Ref")
Row = TypeVar("Row")


async def write_batch(
    connection: "Connection", validators: Validators, writes: Sequence[ConfigurationWrite], *, wait: bool
) -> tuple[Outcome, ...]:
    """Does, within a transaction, what can be done; the outcomes of the writes, in their order.

    wait: for whoever holds a row; otherwise its write is left out as held. Raises what makes the whole transaction
    fail: WriteConflictError, InvalidRequestError or ResourceExistsError.
    """
    plan = Plan(writes)
    claimed = await _claim(connection, plan)
    found = await _look(connection, plan, wait=wait)
    held = await _pin(connection, validators, plan, found, wait=wait)
    for place, _ in plan.open:
        plan.add(place, found[place], held)
    await _carry_out(connection, plan)
    await _complete(connection, {request_id: plan.outcomes[place] for request_id, place in claimed.items()})
    return tuple(plan.outcomes[place] for place in range(len(writes)))


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


async def _look(connection: "Connection", plan: Plan, *, wait: bool) -> dict[int, Found]:
    """Locks what the writes are about; what was found, by their places."""
    creations = {write.application for _, write in plan.open if isinstance(write, Creation)}
    owners = await configuration_writes.share_free(connection, creations) if creations else {}
    others = tuple(dict.fromkeys(write.ref for _, write in plan.open if not isinstance(write, Creation)))
    current = await configuration_writes.lock_free(connection, others, limit_bytes=READ_LIMIT_BYTES) if others else {}
    if wait:
        await _wait_for_held(owners, lambda ref: applications.share(connection, ref))
        await _wait_for_held(current, lambda ref: configurations.lock(connection, ref))
    return {
        place: owners.get(write.application) if isinstance(write, Creation) else current.get(write.ref)
        for place, write in plan.open
    }


async def _wait_for_held(found: dict[Ref, Row | Held], lock: Callable[[Ref], Awaitable[Row | None]]) -> None:
    for ref in [ref for ref, row in found.items() if isinstance(row, Held)]:
        # Who waited for a row that was deleted and made again in one transaction found only the old one gone.
        row = await lock(ref) or await lock(ref)
        if row is None:
            del found[ref]
        else:
            found[ref] = row


async def _pin(
    connection: "Connection", validators: Validators, plan: Plan, found: Mapping[int, Found], *, wait: bool
) -> Pins:
    """Holds the schemas that the writes pin to, as they are."""
    wanted = {pin for place, write in plan.open if (pin := pin_to_check(write, found[place]))}
    if not wanted:
        return NO_PINS
    share = pins.share if wait else pins.share_free
    schemas = await share(connection, {pin.schema for pin in wanted})
    versions = {
        resolved(pin, schema)
        for pin in wanted
        if isinstance(schema := schemas.get(pin.schema), PinnedSchema) and pin.version <= schema.latest_version
    }
    return Pins(schemas=schemas, validators=await validators.get(connection, versions))


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
