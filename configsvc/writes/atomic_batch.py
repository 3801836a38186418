"""The writes of one caller in one transaction: all of them or none. They wait for rows that others hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configsvc.domain.conflicts import conflicts
from configsvc.domain.errors import (
    BatchFailedError,
    ConfigsvcError,
    InvalidRequestError,
    ResourceExistsError,
    Violation,
    WriteConflictError,
)
from configsvc.domain.models import Configuration, WriteContext, Written
from configsvc.domain.writes import AnyWrite, ConfigurationWrite, MovedError, Rollback, Upsert, pin_to_check
from configsvc.storage import configuration_writes, idempotency
from configsvc.storage.database import Connection
from configsvc.validation.checks import ContentChecks
from configsvc.validation.compiled import Validators
from configsvc.writes import locks
from configsvc.writes.execution import answers_of, carry_out, pins_of, refuse_invalid, written_by
from configsvc.writes.plan import Changed, Outcome, Plan, Unchanged
from configsvc.writes.rollback import without_rollbacks
from configsvc.writes.transactions import Writes, turn_of

TRIES = 3
# PostgreSQL writes a number like 1e-300 without its exponent.
EXPONENT_BYTES = 340
STORED_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """What became of writes, by their places: the configurations as they left them, and the errors of those that
    failed, which are only there where nothing was to be kept. revision: of the commit; 0 if there is none.
    """

    configurations: Mapping[int, Configuration]
    errors: Mapping[int, ConfigsvcError]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The outcomes of a transaction, and one version that it made, if it changed anything."""

    outcomes: tuple[Outcome, ...]
    changed: Written | None


class JointWrites:
    """Makes changes of configurations that go together, or that must go alone."""

    def __init__(self, writes: Writes, validators: Validators, checks: ContentChecks) -> None:
        self.validators = validators
        self.checks = checks
        self._writes = writes

    @property
    def transactions(self) -> int:
        """The number of transactions begun so far, group commits apart."""
        return self._writes.transactions

    async def write_one(self, turn: str, write: ConfigurationWrite | Rollback) -> Configuration:
        """The configuration as the write leaves it. Raises the errors of the write itself, and what `write` raises."""
        try:
            joint = await self.write(turn, (write,), write.context, with_config=True)
        except BatchFailedError as error:
            raise error.failures[0] from error.failures[0].__cause__
        if joint.errors:
            raise joint.errors[0]
        return joint.configurations[0]

    async def write(self, turn: str, writes: Sequence[AnyWrite], context: WriteContext, *, with_config: bool) -> Joint:
        """Makes all changes, or, if one fails, none: with validate_only the errors are in the answer. configs are left
        out of it, unless with_config.

        Raises BatchFailedError, RequestIdReusedError, WriteTooLargeError, and what `Writes.run` raises.
        """

        async def change(connection: Connection) -> Done:
            return await self._done_once(connection, writes, context, with_config=with_config)

        async def load(connection: Connection, done: Done) -> Joint:
            return await _joint(connection, done, with_config=with_config)

        for _ in range(TRIES):
            try:
                return await self._writes.run(turn_of(context, turn), change, load, keep=not context.validate_only)
            except MovedError:
                continue
        raise WriteConflictError

    async def _done_once(
        self,
        connection: Connection,
        writes: Sequence[AnyWrite],
        context: WriteContext,
        *,
        with_config: bool,
    ) -> Done:
        if context.validate_only:
            return _done(await self._outcomes(connection, writes, with_config=with_config))
        earlier = await _claim(connection, context) if context.request_id else None
        if earlier is not None:
            outcomes = tuple(Unchanged(written=written) for written in earlier.written)
            return Done(outcomes=outcomes, changed=earlier.changed)
        done = _done(await self._outcomes(connection, writes, with_config=with_config))
        failures = _errors(done.outcomes)
        if failures:
            raise BatchFailedError(failures)
        if context.request_id:
            await _complete(connection, context.request_id, done)
        return done

    async def _outcomes(
        self, connection: Connection, writes: Sequence[AnyWrite], *, with_config: bool
    ) -> tuple[Outcome, ...]:
        writes = await without_rollbacks(connection, writes)
        locked = await locks.lock(connection, writes, with_config=with_config)
        plan = Plan(locked.writes, limit_bytes=None)
        for place, error in conflicts(locked.writes, locked.found, locked.holders).items():
            plan.refuse(place, error)
        wanted = {pin for place, write in plan.open if (pin := pin_to_check(write, locked.found[place]))}
        held = await pins_of(connection, self.validators, wanted, locked.schemas)
        for place, _ in plan.open:
            plan.add(place, locked.found[place], held)
        await refuse_invalid(plan, self.checks)
        await _refuse_outgrown(connection, plan)
        await carry_out(connection, plan)
        for place, write in enumerate(writes):
            if isinstance(write, Upsert) and isinstance(plan.outcomes[place], ResourceExistsError):
                raise MovedError
        return tuple(plan.outcomes[place] for place in range(len(writes)))


async def _claim(connection: Connection, context: WriteContext) -> idempotency.Earlier | None:
    earlier = (await idempotency.claim(connection, (context,))).get(context.request_id)
    if isinstance(earlier, ConfigsvcError):
        raise earlier
    return earlier


async def _complete(connection: Connection, request_id: str, done: Done) -> None:
    written = tuple(version for outcome in done.outcomes if (version := written_by(outcome)))
    await idempotency.complete_many(connection, request_id, idempotency.Earlier(written=written, changed=done.changed))


def _done(outcomes: tuple[Outcome, ...]) -> Done:
    changed = next((outcome for outcome in outcomes if isinstance(outcome, Changed)), None)
    return Done(outcomes=outcomes, changed=written_by(changed) if changed else None)


def _errors(outcomes: Sequence[Outcome]) -> dict[int, ConfigsvcError]:
    return {place: outcome for place, outcome in enumerate(outcomes) if isinstance(outcome, ConfigsvcError)}


async def _joint(connection: Connection, done: Done, *, with_config: bool) -> Joint:
    configurations = await answers_of(connection, done.outcomes, with_config=with_config)
    errors = _errors(done.outcomes)
    if len(configurations) + len(errors) < len(done.outcomes):
        raise WriteConflictError
    revision = next(
        (
            one.revision
            for one in configurations.values()
            if done.changed == Written(resource_id=one.id, version=one.version)
        ),
        0,
    )
    return Joint(configurations=configurations, errors=errors, revision=revision)


async def _refuse_outgrown(connection: Connection, plan: Plan) -> None:
    """Refuses configs that PostgreSQL writes larger than it keeps. Few can be: only they are sent to it for this."""
    texts = {
        place: planned.config_text
        for place, planned in (plan.insertions | plan.updates).items()
        if planned.config_text and _may_outgrow(planned.config_text)
    }
    if texts:
        places = list(texts)
        for index in await configuration_writes.outgrown(connection, list(texts.values())):
            plan.refuse(places[index], _too_large())


def _may_outgrow(text: str) -> bool:
    return 2 * len(text.encode()) + text.count("e-") * EXPONENT_BYTES > STORED_LIMIT_BYTES


def _too_large() -> InvalidRequestError:
    description = "is larger than 1 MiB as PostgreSQL writes it, without exponents"
    return InvalidRequestError((Violation(field="config", description=description),))
