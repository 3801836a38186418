"""Atomic batches: all writes of one call in one transaction, or none. They wait for rows that are locked elsewhere.

`BatchWriteConfigurations` runs here, and so does each single write that must run alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configsvc.domain.conflicts import conflicts
from configsvc.domain.errors import (
    BatchFailedError,
    ConfigsvcError,
    ResourceExistsError,
    WriteConflictError,
)
from configsvc.domain.models import Configuration, Done, Effect, WriteContext, Written
from configsvc.domain.preconditions import Precondition
from configsvc.domain.writes import (
    AnyWrite,
    BatchWrite,
    ChangedBeforeLockError,
    ConfigurationWrite,
    Planned,
    Restoration,
    Update,
    Upsert,
    pin_to_check,
)
from configsvc.storage import configuration_writes
from configsvc.storage.database import Connection
from configsvc.storage.idempotency import Earlier
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import ValidatorCache
from configsvc.writes import idempotency, locks
from configsvc.writes.answers import check_answer
from configsvc.writes.execution import done, effect_of, load_pins, load_written, reject_invalid
from configsvc.writes.plan import Changed, Kept, Outcome, Plan, unchanged
from configsvc.writes.preconditions import first_check, last_check
from configsvc.writes.rollback import resolve_restorations
from configsvc.writes.transactions import Answer, Change, Load, Result, Writes, queue_key

TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The configurations as the batch left them, in the order of its writes; None where there was nothing to delete.
    revision is that of the commit; 0 if there is none.
    """

    outcomes: Sequence[Done[Configuration | None]]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """The outcomes of a transaction, and one version that it made, if it changed anything."""

    outcomes: tuple[Outcome, ...]
    changed: Written | None

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects of the writes that were made."""
        return tuple(effect for outcome in self.outcomes if (effect := effect_of(outcome)))


class AtomicBatches:
    """Batches of configuration writes, each in a transaction of its own."""

    def __init__(self, writes: Writes, validators: ValidatorCache, checks: Checks) -> None:
        self.validators = validators
        self.checks = checks
        self._writes = writes

    @property
    def transactions(self) -> int:
        """The number of transactions begun so far, those of groups apart."""
        return self._writes.transactions

    async def write_one(self, subject: str, write: ConfigurationWrite | Restoration) -> Done[Configuration | None]:
        """Make one write; return the configuration as it left it.

        Raises the error of the write itself, and what `write` raises.
        """
        try:
            result = await self.write(subject, (write,), (), write.context, with_config=True)
        except BatchFailedError as error:
            raise error.failures[0] from error.failures[0].__cause__
        return result.outcomes[0]

    async def write(
        self,
        subject: str,
        writes: Sequence[AnyWrite],
        preconditions: Sequence[Precondition],
        context: WriteContext,
        *,
        with_config: bool,
    ) -> BatchResult:
        """Make all writes, or none if one fails or a precondition does not hold.

        Raises BatchFailedError, PreconditionFailedError, RequestIdReusedError, RevisionUnknownError,
        RevisionCompactedError, EpochChangedError, WriteTooLargeError, and what `Writes.run` raises.
        """

        async def change(connection: Connection) -> Executed:
            return await self._execute_once(connection, writes, preconditions, context, with_config=with_config)

        async def load(connection: Connection, executed: Executed) -> BatchResult:
            return await load_result(connection, executed, with_config=with_config)

        return await self.run(subject, context, change, load)

    async def run(
        self, subject: str, context: WriteContext, change: Change[Result], load: Load[Result, Answer]
    ) -> Answer:
        """Make a change with `execute` in it, and load the result, as `Writes.run` does; try again if the change raises
        ChangedBeforeLockError.
        """
        for _ in range(TRIES):
            try:
                return await self._writes.run(queue_key(context, subject), change, load, keep=not context.validate_only)
            except ChangedBeforeLockError:
                continue
        raise WriteConflictError

    async def _execute_once(
        self,
        connection: Connection,
        writes: Sequence[AnyWrite],
        preconditions: Sequence[Precondition],
        context: WriteContext,
        *,
        with_config: bool,
    ) -> Executed:
        earlier = None if context.validate_only else await idempotency.claim(connection, context)
        if earlier is not None:
            return repeated(earlier.effects, earlier.changed)
        checked = await first_check(connection, preconditions)
        outcomes = await self.execute(connection, writes, with_config=with_config)
        executed = await checked_outcomes(connection, outcomes)
        if not context.validate_only:
            earlier = Earlier(effects=executed.effects, changed=executed.changed)
            await idempotency.complete(connection, context, earlier)
            await last_check(connection, preconditions, checked)
        return executed

    async def execute(
        self, connection: Connection, writes: Sequence[AnyWrite], *, with_config: bool
    ) -> tuple[Outcome, ...]:
        """Make all writes, at least one, in the transaction of the caller, as far as possible; return their outcomes.

        Raises ChangedBeforeLockError, WriteConflictError or WriteTooLargeError.
        """
        resolved = await resolve_restorations(connection, writes)
        locked = await locks.lock_all(connection, resolved, with_config=with_config)
        plan = Plan(locked.writes, limit_bytes=None)
        errors = {**conflicts(locked.writes, locked.found, locked.name_owners), **locked.failures}
        for index, error in errors.items():
            plan.reject(index, error)
        needed = {pin for index, write in plan.pending if (pin := pin_to_check(write, locked.found[index]))}
        pins = await load_pins(connection, self.validators, needed, locked.schemas)
        for index, _ in plan.pending:
            plan.add(index, locked.found[index], pins)
        await reject_invalid(plan, self.checks)
        await _apply_plan(connection, plan)
        for index, write in enumerate(resolved):
            if _may_create(write) and isinstance(plan.outcomes[index], ResourceExistsError):
                raise ChangedBeforeLockError
        return tuple(plan.outcomes[index] for index in range(len(writes)))


async def _apply_plan(connection: Connection, plan: Plan) -> None:
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


def _may_create(write: BatchWrite) -> bool:
    """Return whether the write is an update if its name was taken meanwhile."""
    if isinstance(write, Upsert):
        return not write.only_missing
    return isinstance(write, Update) and write.allow_missing


async def checked_outcomes(connection: Connection, outcomes: tuple[Outcome, ...]) -> Executed:
    """Return what was done if all writes succeeded. Raises BatchFailedError or ResponseTooLargeError."""
    failures = _errors(outcomes)
    if failures:
        raise BatchFailedError(failures)
    await check_answer(connection, outcomes)
    changed = next((outcome for outcome in outcomes if isinstance(outcome, Changed)), None)
    effect = effect_of(changed) if changed else None
    return Executed(outcomes=outcomes, changed=effect.written if effect else None)


def repeated(effects: Sequence[Effect], changed: Written | None) -> Executed:
    """Return what an earlier call with the same request_id did."""
    return Executed(outcomes=tuple(Kept(effect=effect) for effect in effects), changed=changed)


def _errors(outcomes: Sequence[Outcome]) -> dict[int, ConfigsvcError]:
    return {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, ConfigsvcError)}


async def load_result(connection: Connection, executed: Executed, *, with_config: bool) -> BatchResult:
    """Return the result of what was executed, after the end of the transaction or within it."""
    configurations = await load_written(connection, executed.outcomes, with_config=with_config)
    outcomes = [done(outcome, configurations.get(index)) for index, outcome in enumerate(executed.outcomes)]
    revision = next(
        (
            configuration.revision
            for configuration in configurations.values()
            if executed.changed == Written(resource_id=configuration.id, version=configuration.version)
        ),
        0,
    )
    return BatchResult(outcomes=outcomes, revision=revision)
