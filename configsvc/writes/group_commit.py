"""Group commit: concurrent independent writes share a transaction.

Each commit holds the locks of the revision counter and of NOTIFY until it is flushed; one commit for each write would
reach about a quarter of what PostgreSQL can do.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial

from configsvc.aio import finish
from configsvc.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    OutOfDescriptorsError,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.domain.models import Configuration, Done, RequestKey
from configsvc.domain.writes import ChangedSinceRead, ConfigurationWrite, LockedElsewhere, RetryNextGroup
from configsvc.storage.database import Database
from configsvc.telemetry.families import Families, counter
from configsvc.writes.atomic_batch import AtomicBatches
from configsvc.writes.execution import done, execute_group, load_written, settle_repeated
from configsvc.writes.plan import Changed, Kept, Outcome, RunAlone
from configsvc.writes.transactions import WRITE_LIMIT_SECONDS

GROUP_LIMIT = 256
# One group at a time makes the most of each commit. A second one starts only beside a slow one, which may be waiting
# for a name that another session has inserted.
GROUPS_AT_ONCE = 2
SLOW_GROUP_SECONDS = 0.05
QUEUE_LIMIT = 10_000
# For a key that another session has inserted, or a row that a foreign key needs, all in a group wait as long as its
# session lets them. The parts of such a group wait less, to find the write that waits; their commit as long as any.
PART_LOCK_SECONDS = 0.05
# A row that others change faster than a group reads and writes it: the next try waits for its lock.
CHANGED_LIMIT = 3
RETRY_FIRST_SECONDS = 0.002
RETRY_LAST_SECONDS = 0.05
RETRY_LIMIT_SECONDS = 2.0
_NOTHING_DONE = (DatabaseBusyError, OutOfDescriptorsError)


@dataclass(slots=True, kw_only=True, eq=False)
class QueuedWrite:
    """A queued write and its future. tries: attempts that found the row locked; give_up: event loop time after which
    there are no more. changes: attempts that found the row changed since they read it. context is the caller's, so that
    work for this write alone counts against the caller's quota.
    """

    write: ConfigurationWrite
    subject: str
    answer: asyncio.Future[Done[Configuration | None]]
    context: Context = field(default_factory=copy_context)
    give_up: float = 0.0
    tries: int = 0
    changes: int = 0

    def succeed(self, result: Done[Configuration | None]) -> None:
        """Answer the caller."""
        self.answer.set_result(result)

    def fail(self, error: Exception) -> None:
        """Answer the caller with an error."""
        self.answer.set_exception(error)

    def abandon(self) -> None:
        """Let the caller go without an answer: the process ends at once, and nobody will know whether it was made."""
        self.answer.cancel()


class GroupCommit:
    """The queue of single writes. A write that finds it idle starts a group at once: there is no timer."""

    def __init__(self, database: Database, batches: AtomicBatches) -> None:
        # Writes that shared transactions, and those transactions; AtomicBatches counts writes that run alone.
        self.grouped = self.transactions = 0
        self._database = database
        self._batches = batches
        self._queue: deque[QueuedWrite] = deque()
        # Parts of groups that failed, to be tried next.
        self._halves: deque[list[QueuedWrite]] = deque()
        self._groups: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        # What the running groups write, by the names that callers used: other groups skip it.
        self._subjects: set[str] = set()
        # Subjects of writes that may have failed a group, and request_ids of writes that run alone and can keep them
        # locked for seconds: not grouped for now.
        self._isolated: Counter[str | RequestKey] = Counter()
        self._retries: dict[QueuedWrite, asyncio.TimerHandle] = {}
        self._began = 0.0

    def collect(self) -> Families:
        """Yield the metrics of all writes, in group commits and alone."""
        transactions = self.transactions + self._batches.transactions
        yield counter("write_transactions", "Write transactions begun.", transactions)
        yield counter("merged_writes", "Writes done in group commits.", self.grouped)

    async def write(self, write: ConfigurationWrite) -> Done[Configuration | None]:
        """Make the write; return the configuration as it left it (of a deletion, only the revision matters; None: there
        was nothing to delete).

        A cancelled caller waits for the end of its write. Raises the errors of the write itself, WriteConflictError,
        DatabaseBusyError or DatabaseUnavailableError.
        """
        if len(self._queue) + len(self._retries) + len(self._alone) >= QUEUE_LIMIT:
            raise DatabaseBusyError
        loop = asyncio.get_running_loop()
        queued = QueuedWrite(write=write, subject=str(write), answer=loop.create_future())
        if write.context.validate_only or self._isolated[queued.subject] or self._isolated[write.context.key]:
            self._start_alone(queued)
        else:
            self._queue.append(queued)
            # Not at once: requests that arrive together share a transaction.
            loop.call_soon(self._start_groups)
        return await finish(queued.answer)

    async def drain(self) -> None:
        """Wait for all writes; each has a time limit."""
        while self._queue or self._halves or self._groups or self._alone or self._retries:
            self._start_groups()
            if running := self._groups | self._alone:
                await asyncio.wait(running)
            else:
                await asyncio.sleep(RETRY_FIRST_SECONDS)

    def _start_groups(self) -> None:
        while self._may_start:
            is_part = bool(self._halves)
            group = self._next_group()
            if not group:
                return
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            loop.call_later(SLOW_GROUP_SECONDS, self._start_groups)
            subjects = {queued.subject for queued in group}
            self._subjects |= subjects
            # An empty context: the group counts against no caller's quota.
            task = asyncio.create_task(self._run_group(group, is_part=is_part), context=Context())
            self._groups.add(task)
            task.add_done_callback(partial(self._group_done, group, subjects))

    @property
    def _may_start(self) -> bool:
        is_slow = asyncio.get_running_loop().time() - self._began >= SLOW_GROUP_SECONDS
        return not self._groups or (len(self._groups) < GROUPS_AT_ONCE and is_slow)

    def _next_group(self) -> list[QueuedWrite]:
        """Take the first writes from the queue, skipping subjects of the other group: it has locked their rows."""
        if self._halves:
            return self._halves.popleft()
        group: list[QueuedWrite] = []
        skipped: list[QueuedWrite] = []
        while self._queue and len(group) < GROUP_LIMIT and len(skipped) < GROUP_LIMIT:
            queued = self._queue.popleft()
            (skipped if queued.subject in self._subjects else group).append(queued)
        self._queue.extendleft(reversed(skipped))
        return group

    def _group_done(self, group: Sequence[QueuedWrite], subjects: set[str], task: asyncio.Task[None]) -> None:
        if task.cancelled():
            for queued in group:
                queued.abandon()
        self._groups.discard(task)
        self._subjects -= subjects
        self._start_groups()

    async def _run_group(self, group: Sequence[QueuedWrite], *, is_part: bool) -> None:
        committed = False
        try:
            async with self._database.merge() as connection, asyncio.timeout(WRITE_LIMIT_SECONDS):
                self.transactions += 1
                writes = [queued.write for queued in group]
                validators, checks = self._batches.validators, self._batches.checks
                lock_seconds = PART_LOCK_SECONDS if is_part else None
                outcomes = await execute_group(connection, validators, checks, writes, lock_seconds=lock_seconds)
                committed = True
                outcomes = await settle_repeated(connection, writes, outcomes)
                answers = await load_written(connection, outcomes)
        except Exception as error:  # noqa: BLE001  # every caller gets it
            if committed or isinstance(error, DatabaseUnavailableError | DatabaseBusyError):
                _fail(group, DatabaseUnavailableError() if committed else error)
            elif len(group) > 1 and _is_of_one_write(error):
                self._halve(group)
            else:
                # Halves would wait as long again, for the same lock.
                self._start_each_alone(group)
        else:
            self.grouped += len(answers)
            self._answer(group, outcomes, answers)

    def _answer(
        self, group: Sequence[QueuedWrite], outcomes: Sequence[Outcome], answers: Mapping[int, Configuration]
    ) -> None:
        next_group: list[QueuedWrite] = []
        for index, (queued, outcome) in enumerate(zip(group, outcomes, strict=True)):
            match outcome:
                case Changed() | Kept():
                    self._succeed(queued, outcome, answers.get(index))
                case LockedElsewhere():
                    self._retry_later(queued)
                case ChangedSinceRead() if queued.changes < CHANGED_LIMIT:
                    queued.changes += 1
                    next_group.append(queued)
                case RetryNextGroup():
                    next_group.append(queued)
                case RunAlone() | ChangedSinceRead():
                    self._isolate(queued.subject, self._start_alone(queued))
                case _:
                    queued.fail(outcome)
        self._queue.extendleft(reversed(next_group))

    def _succeed(self, queued: QueuedWrite, outcome: Changed | Kept, left: Configuration | None) -> None:
        try:
            queued.succeed(done(outcome, left))
        except WriteConflictError as error:
            queued.fail(error)

    def _retry_later(self, queued: QueuedWrite) -> None:
        """Retry after a pause, without a connection until then: the row may stay locked for long."""
        loop = asyncio.get_running_loop()
        queued.give_up = queued.give_up or loop.time() + RETRY_LIMIT_SECONDS
        if loop.time() >= queued.give_up:
            queued.fail(WriteConflictError())
        else:
            pause = min(RETRY_FIRST_SECONDS * 2**queued.tries, RETRY_LAST_SECONDS)
            queued.tries += 1
            self._retries[queued] = loop.call_later(pause, self._retry, queued)

    def _retry(self, queued: QueuedWrite) -> None:
        del self._retries[queued]
        self._queue.append(queued)
        self._start_groups()

    def _halve(self, group: Sequence[QueuedWrite]) -> None:
        """Try each half of a failed group, so that the writes at fault are found in few transactions."""
        middle = len(group) // 2
        self._halves.extend((list(group[:middle]), list(group[middle:])))

    def _start_each_alone(self, group: Sequence[QueuedWrite]) -> None:
        """Run each write of a failed group alone, so that only the one at fault fails. Nothing was committed."""
        for queued in group:
            self._isolate(queued.subject, self._start_alone(queued))

    def _isolate(self, key: str | RequestKey, task: asyncio.Task[None]) -> None:
        self._isolated[key] += 1
        task.add_done_callback(lambda _: self._end_isolation(key))

    def _end_isolation(self, key: str | RequestKey) -> None:
        self._isolated[key] -= 1
        if not self._isolated[key]:
            del self._isolated[key]

    def _start_alone(self, queued: QueuedWrite) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run_alone(queued), context=queued.context)
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        if queued.write.context.request_id:
            self._isolate(queued.write.context.key, task)
        return task

    async def _run_alone(self, queued: QueuedWrite) -> None:
        try:
            queued.succeed(await self._batches.write_one(queued.subject, queued.write))
        except asyncio.CancelledError:
            queued.abandon()
            raise
        except Exception as error:  # noqa: BLE001  # the caller gets it
            queued.fail(error)


def _is_of_one_write(error: Exception) -> bool:
    """Return whether one of the writes can be at fault, and not whatever all of them need."""
    if isinstance(error, WriteConflictError):
        return error.waited_for_row
    return not isinstance(error, WriteTooLargeError)


def _fail(group: Sequence[QueuedWrite], error: Exception) -> None:
    """Fail every write of a group. Unless nothing was done, each write may have been committed, and must not be
    repeated.
    """
    for queued in group:
        # An error of its own for each: errors gather tracebacks.
        own = next((kind() for kind in _NOTHING_DONE if isinstance(error, kind)), DatabaseUnavailableError())
        own.__cause__ = error.__cause__ or error
        queued.fail(own)
