"""Where configs are held against their schemas: at once, or, what may take long, in another process and not for ever.

jsonschema-rs holds Python's lock until it is done, so that a thread would stop the event loop as well.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from configsvc.aio import finish
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import ConfigsvcError, DatabaseBusyError, SchemaViolatedError, Violation
from configsvc.domain.jsonschema.faults import Fault
from configsvc.limits.slots import caller_slots
from configsvc.offload.processes import ProcessDiedError, ProcessPool
from configsvc.validation.compiled import Compiled
from configsvc.validation.pool_tasks import faults_within

# Of 20 ns each, by the worst that was measured; the most of the 1,135 real configurations is 3,038,129.
STEPS_AT_ONCE = 3_200_000
# Why a config is refused is looked for in Python, where a step is a thousand times as long.
STEPS_EXPLAINED_AT_ONCE = 1_000
EXPLANATION_STEPS = STEPS_AT_ONCE // 20
LIMIT_CPU_SECONDS = 1.0
# A second of what is before this one, be it of its own caller, and a process that is started for it.
WAIT_SECONDS = 4.0

_LIMIT = Fault(
    pointer="", keyword="$schema", message=f"takes more than {LIMIT_CPU_SECONDS:g} s to be held against its schema"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """A config, which has this JSON text, and the version that it must satisfy; steps: what that takes at most."""

    compiled: Compiled
    config: JsonObject
    text: str
    steps: int

    @property
    def may_take_long(self) -> bool:
        """Whether the event loop must not wait for it."""
        return self.steps > STEPS_AT_ONCE


def check_of(compiled: Compiled, config: JsonObject, text: str) -> Check:
    """The check with a bound of its steps: a close one, which takes time, only where it has to be."""
    work = compiled.validator.work
    quick = work.quick_bound(text)
    steps = quick if quick <= STEPS_AT_ONCE else work.bound(config)
    return Check(compiled=compiled, config=config, text=text, steps=steps)


class ContentChecks:
    """Holds configs against schemas. One process does what may take long, one config after the other; of each
    caller one stands in its queue.
    """

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self._one = asyncio.Semaphore(1)

    async def refusals(self, checks: Mapping[int, Check]) -> dict[int, ConfigsvcError]:
        """Why those are refused that are, by their places. Between them the event loop goes on."""
        refused: dict[int, ConfigsvcError] = {}
        steps = 0
        for place, check in checks.items():
            steps += check.steps
            if steps > STEPS_AT_ONCE:
                steps = check.steps
                await asyncio.sleep(0)
            try:
                faults = await (self.faults(check) if check.may_take_long else _faults_here(check))
            except DatabaseBusyError as error:
                refused[place] = error
                continue
            if faults:
                steps += EXPLANATION_STEPS
                refused[place] = SchemaViolatedError(tuple(map(_violation, faults)))
        return refused

    async def faults(self, check: Check) -> tuple[Fault, ...]:
        """What is wrong with a config that may take long. Raises DatabaseBusyError when others are before it."""
        arguments = (check.compiled.documents, check.text, LIMIT_CPU_SECONDS)
        async with self._turn():
            try:
                # The process goes on with it whoever waits.
                return await finish(asyncio.ensure_future(self._pool.call_once(faults_within, *arguments)))
            except ProcessDiedError:
                return (_LIMIT,)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        slots = caller_slots.get()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    if slots:
                        await stack.enter_async_context(slots.validations)
                    await stack.enter_async_context(self._one)
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
    return Violation(field=f"config{fault.pointer}", description=f"{fault.keyword}: {fault.message}")
