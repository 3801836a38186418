"""Concurrent single writes, merged into set-based transactions: the revision counter and NOTIFY hold a lock at each
commit, so that one commit for each write would be a quarter of what PostgreSQL can do.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial

from configsvc.aio import finish
from configsvc.domain.errors import DatabaseBusyError, DatabaseUnavailableError, WriteConflictError
from configsvc.domain.models import Configuration
from configsvc.domain.writes import ConfigurationWrite, Held, Postponed
from configsvc.storage.database import Database
from configsvc.telemetry.families import Families, counter
from configsvc.writes.atomic_batch import JointWrites
from configsvc.writes.execution import answers_of, write_batch
from configsvc.writes.plan import Alone, Changed, Outcome, Unchanged
from configsvc.writes.transactions import WRITE_LIMIT_SECONDS, transaction

BATCH_LIMIT = 256
# One at a time makes the most of each commit; only beside one that takes long, as behind a name that a session holds,
# another is begun.
BATCHES_AT_ONCE = 2
SLOW_BATCH_SECONDS = 0.05
QUEUE_LIMIT = 10_000
HELD_FIRST_SECONDS = 0.002
HELD_LAST_SECONDS = 0.05
HELD_LIMIT_SECONDS = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """A write, and the caller who waits for its answer. tries: how often what it is about was held by others. context
    is the caller's, so that what is done for it alone counts as its own.
    """

    write: ConfigurationWrite
    subject: str
    answer: asyncio.Future[Configuration]
    context: Context = field(default_factory=copy_context)
    give_up: float = 0.0
    tries: int = 0

    def accept(self, configuration: Configuration) -> None:
        """Answers."""
        self.answer.set_result(configuration)

    def refuse(self, error: Exception) -> None:
        """Answers with an error."""
        self.answer.set_exception(error)


class MergedWrites:
    """Makes the changes of configurations. There is no waiting for others to come: a write that finds the service idle
    is a transaction of its own.
    """

    def __init__(self, database: Database, joint: JointWrites) -> None:
        # How many writes came in how many transactions; those that went alone are counted there.
        self.merged = self.transactions = 0
        self._database = database
        self._joint = joint
        self._queue: deque[Waiting] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        # What the batches under way are about, by the names that the callers used: for others to wait for.
        self._subjects: set[str] = set()
        # What made a whole batch fail, maybe, by the names that the callers used, and the request_ids of those alone
        # (who may hold them for seconds): not to be merged for now.
        self._suspects: Counter[str] = Counter()
        self._held: dict[Waiting, asyncio.TimerHandle] = {}
        self._began = 0.0

    def collect(self) -> Families:
        """Yield the metrics of all writes, in group commits and alone."""
        transactions = self.transactions + self._joint.transactions
        yield counter("write_transactions", "Write transactions begun.", transactions)
        yield counter("merged_writes", "Writes done in group commits.", self.merged)

    async def write(self, write: ConfigurationWrite) -> Configuration:
        """The configuration as the write leaves it; of a deletion, only the revision matters.

        A caller that goes away does not keep the write from being done, and is kept until it is. Raises the errors of
        the write itself, WriteConflictError, DatabaseBusyError or DatabaseUnavailableError.
        """
        if len(self._queue) + len(self._held) + len(self._alone) >= QUEUE_LIMIT:
            raise DatabaseBusyError
        loop = asyncio.get_running_loop()
        waiting = Waiting(write=write, subject=str(write), answer=loop.create_future())
        if write.context.validate_only or self._suspects[waiting.subject] or self._suspects[write.context.request_id]:
            self._start_alone(waiting)
        else:
            self._queue.append(waiting)
            # Not now: those whose requests came together are to share a transaction.
            loop.call_soon(self._start_batches)
        return await finish(waiting.answer)

    async def drain(self) -> None:
        """Returns when all writes are done; each has a limit."""
        while self._queue or self._batches or self._alone or self._held:
            self._start_batches()
            if running := self._batches | self._alone:
                await asyncio.wait(running)
            else:
                await asyncio.sleep(HELD_FIRST_SECONDS)

    def _start_batches(self) -> None:
        while self._may_start and (batch := self._next_batch()):
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            loop.call_later(SLOW_BATCH_SECONDS, self._start_batches)
            subjects = {waiting.subject for waiting in batch}
            self._subjects |= subjects
            # On behalf of many.
            task = asyncio.create_task(self._run_batch(batch), context=Context())
            self._batches.add(task)
            task.add_done_callback(partial(self._batch_done, subjects))

    @property
    def _may_start(self) -> bool:
        is_slow = asyncio.get_running_loop().time() - self._began >= SLOW_BATCH_SECONDS
        return not self._batches or (len(self._batches) < BATCHES_AT_ONCE and is_slow)

    def _next_batch(self) -> list[Waiting]:
        """The first of the queue, but for those about what the other batch is about: its rows are held."""
        batch: list[Waiting] = []
        passed: list[Waiting] = []
        while self._queue and len(batch) < BATCH_LIMIT and len(passed) < BATCH_LIMIT:
            waiting = self._queue.popleft()
            (passed if waiting.subject in self._subjects else batch).append(waiting)
        self._queue.extendleft(reversed(passed))
        return batch

    def _batch_done(self, subjects: set[str], task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._subjects -= subjects
        self._start_batches()

    async def _run_batch(self, batch: Sequence[Waiting]) -> None:
        committed = False
        try:
            async with self._database.merge() as connection, asyncio.timeout(WRITE_LIMIT_SECONDS):
                self.transactions += 1
                async with transaction(connection):
                    writes = [waiting.write for waiting in batch]
                    outcomes = await write_batch(connection, self._joint.validators, self._joint.checks, writes)
                committed = True
                answers = await answers_of(connection, outcomes)
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller is told
            if committed or isinstance(error, DatabaseUnavailableError | DatabaseBusyError):
                _refuse(batch, error)
            else:
                self._start_each_alone(batch)
        else:
            self.merged += len(answers)
            self._answer(batch, outcomes, answers)

    def _answer(
        self, batch: Sequence[Waiting], outcomes: Sequence[Outcome], answers: Mapping[int, Configuration]
    ) -> None:
        postponed: list[Waiting] = []
        for place, (waiting, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            match outcome:
                case Changed() | Unchanged() if place in answers:
                    waiting.accept(answers[place])
                case Changed() | Unchanged():
                    waiting.refuse(WriteConflictError())
                case Held():
                    self._hold(waiting)
                case Postponed():
                    postponed.append(waiting)
                case Alone():
                    self._suspect(waiting.subject, self._start_alone(waiting))
                case _:
                    waiting.refuse(outcome)
        self._queue.extendleft(reversed(postponed))

    def _hold(self, waiting: Waiting) -> None:
        """Looks again a little later, without a connection until then: what is held may be so for long."""
        loop = asyncio.get_running_loop()
        waiting.give_up = waiting.give_up or loop.time() + HELD_LIMIT_SECONDS
        if loop.time() >= waiting.give_up:
            waiting.refuse(WriteConflictError())
        else:
            pause = min(HELD_FIRST_SECONDS * 2**waiting.tries, HELD_LAST_SECONDS)
            waiting.tries += 1
            self._held[waiting] = loop.call_later(pause, self._look_again, waiting)

    def _look_again(self, waiting: Waiting) -> None:
        del self._held[waiting]
        self._queue.append(waiting)
        self._start_batches()

    def _start_each_alone(self, batch: Sequence[Waiting]) -> None:
        """Nothing was done: one of them made the transaction fail, and only that one is to."""
        for waiting in batch:
            self._suspect(waiting.subject, self._start_alone(waiting))

    def _suspect(self, subject: str, task: asyncio.Task[None]) -> None:
        self._suspects[subject] += 1
        task.add_done_callback(lambda _: self._clear(subject))

    def _clear(self, subject: str) -> None:
        self._suspects[subject] -= 1
        if not self._suspects[subject]:
            del self._suspects[subject]

    def _start_alone(self, waiting: Waiting) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run_alone(waiting), context=waiting.context)
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        if waiting.write.context.request_id:
            self._suspect(waiting.write.context.request_id, task)
        return task

    async def _run_alone(self, waiting: Waiting) -> None:
        try:
            waiting.accept(await self._joint.write_one(waiting.subject, waiting.write))
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller is told
            waiting.refuse(error)


def _refuse(batch: Sequence[Waiting], error: Exception) -> None:
    """Nothing was done if the database was busy. In all other cases each may have been, and must not be done again."""
    for waiting in batch:
        # One for each: an error gathers the places that it passes through.
        own = DatabaseBusyError() if isinstance(error, DatabaseBusyError) else DatabaseUnavailableError()
        own.__cause__ = error.__cause__ or error
        waiting.refuse(own)
