"""Validate configs: on the event loop, or, if it may take long, in another process with a CPU time limit.

jsonschema-rs holds Python's lock until it is done, so a thread would stop the event loop as well.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from configsvc.aio import finish
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import ConfigsvcError, DatabaseBusyError, SchemaViolatedError, Violation, reason_of_keyword
from configsvc.domain.jsonschema.faults import Fault
from configsvc.limits.slots import caller_slots
from configsvc.offload.processes import ProcessDiedError, ProcessPool
from configsvc.telemetry.families import Families, labelled_counter
from configsvc.validation.compiled import CompiledSchema
from configsvc.validation.limits import CPU_SECONDS, STEPS_AT_ONCE, TOO_SLOW
from configsvc.validation.pool_tasks import faults_within

# Explaining a rejection is Python, where a step takes a thousand times as long.
STEPS_EXPLAINED_AT_ONCE = 1_000
EXPLANATION_STEPS = STEPS_AT_ONCE // 20
# Enough for one check ahead, of the same caller or another, and for starting the process.
WAIT_SECONDS = 4.0
# Violations are counted by schema and keyword up to this number of pairs; further schemas share one name.
COUNTED_PAIRS = 1_000
OTHER_SCHEMAS = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """A config, its JSON text, and the schema version that it must satisfy. steps: upper bound of the work."""

    schema: str
    compiled: CompiledSchema
    config: JsonObject
    text: str
    steps: int

    @property
    def may_take_long(self) -> bool:
        """True if it must not run on the event loop."""
        return self.steps > STEPS_AT_ONCE


def prepare_check(schema: str, compiled: CompiledSchema, config: JsonObject, text: str) -> Check:
    """Return the check with its bound of steps: the close one, which takes longer, only if the quick one is high."""
    work = compiled.validator.work
    quick = work.quick_bound(text)
    steps = quick if quick <= STEPS_AT_ONCE else work.bound(config)
    return Check(schema=schema, compiled=compiled, config=config, text=text, steps=steps)


class Checks:
    """Validation of configs. One process runs the checks that may take long, one by one; a caller has one check at most
    in its queue.
    """

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self._process_slot = asyncio.Semaphore(1)
        self._violations: Counter[tuple[str, str]] = Counter()

    def collect(self) -> Families:
        """Yield the metric of refused configs. Prometheus asks for it in a thread of its own."""
        text = "Writes refused because their content violates the schema."
        yield labelled_counter("schema_violations", text, ("schema", "keyword"), dict(self._violations))

    async def errors(self, checks: Mapping[int, Check]) -> dict[int, ConfigsvcError]:
        """Return the errors of invalid configs, by index. Other tasks run between checks, every STEPS_AT_ONCE steps."""
        errors: dict[int, ConfigsvcError] = {}
        steps = 0
        for index, check in checks.items():
            steps += check.steps
            if steps > STEPS_AT_ONCE:
                steps = check.steps
                await asyncio.sleep(0)
            try:
                faults = await (self.faults(check) if check.may_take_long else _faults_here(check))
            except DatabaseBusyError as error:
                errors[index] = error
                continue
            if faults:
                steps += EXPLANATION_STEPS
                self._count(check.schema, faults)
                errors[index] = SchemaViolatedError(tuple(map(_violation, faults)))
        return errors

    def _count(self, schema: str, faults: tuple[Fault, ...]) -> None:
        for keyword in {fault.keyword for fault in faults}:
            is_known = (schema, keyword) in self._violations
            counted = schema if is_known or len(self._violations) < COUNTED_PAIRS else OTHER_SCHEMAS
            self._violations[counted, keyword] += 1

    async def faults(self, check: Check) -> tuple[Fault, ...]:
        """Return the faults of a config, using the other process. Raises DatabaseBusyError after WAIT_SECONDS."""
        arguments = (check.compiled.documents, check.text, CPU_SECONDS)
        async with self._slot():
            try:
                # The process finishes the check even if the caller is cancelled.
                return await finish(asyncio.ensure_future(self._pool.call_once(faults_within, *arguments)))
            except ProcessDiedError:
                return (TOO_SLOW,)

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        slots = caller_slots.get()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    if slots:
                        await stack.enter_async_context(slots.validations)
                    await stack.enter_async_context(self._process_slot)
            except TimeoutError as error:
                raise DatabaseBusyError from error
            yield


async def _faults_here(check: Check) -> tuple[Fault, ...]:
    validator = check.compiled.validator
    if validator.accepts(check.config):
        return ()
    if check.steps <= STEPS_EXPLAINED_AT_ONCE:
        return validator.faults(check.config)
    return await asyncio.to_thread(validator.faults, check.config)


def _violation(fault: Fault) -> Violation:
    return Violation(
        field=f"config{fault.pointer}",
        description=f"{fault.keyword}: {fault.message}",
        reason=reason_of_keyword(fault.keyword),
    )
