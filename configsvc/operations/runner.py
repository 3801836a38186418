"""Run operations: take them from the queue, watch for cancellation, then end them or give them back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from ulid import ULID

from configsvc.aio import wait_for_event
from configsvc.domain.errors import (
    AttemptsExhaustedError,
    ConfigsvcError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.domain.operations import BulkOperation, Failure, OperationKind, OperationState
from configsvc.offload.processes import ProcessDiedError
from configsvc.operations import queue
from configsvc.operations.slices import finish
from configsvc.storage import operations
from configsvc.storage.database import Database
from configsvc.storage.jobs import GiveBackError, run_jobs
from configsvc.storage.operations import Run, RunLostError
from configsvc.telemetry.logs import trace_of
from configsvc.telemetry.repetition import Repetition
from configsvc.writes.transactions import transaction

log = structlog.get_logger()

WATCH_SECONDS = 0.5
# An operation that always kills its process must end: the pauses grow from the first one to 160 s.
ATTEMPTS_LIMIT = 6
FIRST_PAUSE_SECONDS = 10.0
# Interval of the checks for cancellation during a pause.
LOOK_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

Execute = Callable[[BulkOperation, Run], Awaitable[None]]

_FAILURES: dict[type[ConfigsvcError], Failure] = {
    WriteConflictError: Failure.WRITE_CONFLICT,
    WriteTooLargeError: Failure.WRITE_TOO_LARGE,
}


class CancelledByCallerError(Exception):
    """A caller has cancelled the operation."""


class StoppedError(Exception):
    """The process is stopping."""


class OperationRunner:
    """The operations of one database that run in this process, beside those in other processes."""

    def __init__(self, database: Database, url: str, kinds: Mapping[OperationKind, Execute]) -> None:
        self._database = database
        self._url = url
        self._kinds = kinds
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Start no more operations, and give back the running ones for other processes."""
        self._stop.set()

    async def run(self) -> None:
        """Run operations until stop is called and the last one is given back."""
        failures = Repetition()
        while not self._stop.is_set():
            try:
                await run_jobs(self._url, self._run_job, self._stop, at_once=self._database.operations_at_once)
            except (DatabaseUnavailableError, WriteConflictError) as error:
                reason = repr(error.__cause__)
                if failures.is_worth_a_line(reason):
                    log.warning("cannot run operations: waiting for the database", error=reason)
                await wait_for_event(self._stop, RECONNECT_SECONDS)

    async def _run_job(self, operation_id: str) -> None:
        run = Run(operation_id=operation_id, name=str(ULID()))
        try:
            operation = await self._take_up(run)
            if operation is not None:
                await self._execute(operation, run)
            await self._enqueue_next(operation_id)
        except (
            ProcessDiedError,
            DatabaseUnavailableError,
            DatabaseBusyError,
            WriteConflictError,
            WriteTooLargeError,
        ) as error:
            # The last two: the operation's row is locked. A failed job would be gone with the operation open.
            raise GiveBackError from error
        except RunLostError:
            log.warning("operation taken over by another process", operation=operation_id)

    async def _take_up(self, run: Run) -> BulkOperation | None:
        """Return the operation; None if it has ended or is gone."""
        async with self._database.write() as connection:
            operation = await operations.take_up(connection, run, first_pause_seconds=FIRST_PAUSE_SECONDS)
            left = None if operation else await operations.seconds_to_attempt(connection, run.operation_id)
        if left is not None:
            raise GiveBackError(min(max(left, 0.0), LOOK_SECONDS))
        return operation

    async def _enqueue_next(self, operation_id: str) -> None:
        """Enqueue the next operations of the same actor. The current job stays until then, so none is forgotten."""
        async with self._database.write() as connection, transaction(connection):
            actor = await operations.actor_of(connection, operation_id)
            if actor is not None:
                await queue.enqueue_due(connection, actor)

    async def _execute(self, operation: BulkOperation, run: Run) -> None:
        log.info("operation started", operation=operation.id, kind=operation.kind, attempt=operation.attempts)
        try:
            await self._execute_until_cancelled(operation, run)
        except CancelledByCallerError:
            await finish(self._database, run, OperationState.CANCELLED)
        except AttemptsExhaustedError:
            await finish(self._database, run, OperationState.FAILED, Failure.ATTEMPTS_EXHAUSTED)
        except (StoppedError, DatabaseBusyError) as error:
            # Neither is the operation's fault.
            async with self._database.write() as connection:
                await operations.give_back(connection, run)
            raise GiveBackError from error
        except (WriteConflictError, WriteTooLargeError) as error:
            await finish(self._database, run, OperationState.FAILED, _FAILURES[type(error)])
        except (ProcessDiedError, DatabaseUnavailableError, RunLostError):
            raise
        except Exception as error:  # noqa: BLE001  # it would fail again in any process
            # The text of a database error may quote contents: log only its kind and the lines of code.
            log.error("operation failed", operation=operation.id, trace=trace_of(error))  # noqa: TRY400
            await finish(self._database, run, OperationState.FAILED, Failure.INTERNAL)

    async def _execute_until_cancelled(self, operation: BulkOperation, run: Run) -> None:
        if operation.state is OperationState.CANCELLING:
            raise CancelledByCallerError
        if operation.attempts > ATTEMPTS_LIMIT:
            raise AttemptsExhaustedError(ATTEMPTS_LIMIT)
        executing = asyncio.ensure_future(self._kinds[operation.kind](operation, run))
        watcher = asyncio.create_task(self._watch(run))
        try:
            await asyncio.wait((executing, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            executing.cancel()
            watcher.cancel()
            await asyncio.wait((executing, watcher))
        await (watcher if executing.cancelled() else executing)

    async def _watch(self, run: Run) -> None:
        """Raise an error as soon as the run must end."""
        while not self._stop.is_set():
            try:
                async with self._database.read() as connection:
                    state = await operations.standing(connection, run)
            except (DatabaseUnavailableError, DatabaseBusyError):
                # The running operation notices too.
                pass
            else:
                if state is OperationState.CANCELLING:
                    raise CancelledByCallerError
            await wait_for_event(self._stop, WATCH_SECONDS)
        raise StoppedError
