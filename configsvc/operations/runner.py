"""How operations are carried out: taken from the queue, watched while they run, ended or given back."""

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
from configsvc.storage import operations
from configsvc.storage.database import Database
from configsvc.storage.jobs import GiveBackError, run_jobs
from configsvc.storage.operations import Run, RunLostError
from configsvc.telemetry.logs import places_of
from configsvc.writes.transactions import transaction

log = structlog.get_logger()

WATCH_SECONDS = 0.5
# An operation that always kills its process is not begun for ever: the pauses grow from the first one to 160 s.
ATTEMPTS_LIMIT = 6
FIRST_PAUSE_SECONDS = 10.0
# How often is looked, during a pause, whether the operation is to end.
LOOK_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

Carry = Callable[[BulkOperation, Run], Awaitable[None]]

_FAILURES: dict[type[ConfigsvcError], Failure] = {
    WriteConflictError: Failure.WRITE_CONFLICT,
    WriteTooLargeError: Failure.WRITE_TOO_LARGE,
}


class CancelledByCallerError(Exception):
    """The operation is told to end."""


class StoppedError(Exception):
    """The process is about to end."""


class OperationRuns:
    """Carries out the operations of one database, beside other processes that do the same."""

    def __init__(self, database: Database, url: str, carriers: Mapping[OperationKind, Carry]) -> None:
        self._database = database
        self._url = url
        self._carriers = carriers
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begins nothing new, and gives back what runs, for another process to go on with."""
        self._stop.set()

    async def run(self) -> None:
        """Carries out operations until it is told to stop and the last one is given back."""
        while not self._stop.is_set():
            try:
                await run_jobs(self._url, self._execute, self._stop, at_once=self._database.operations_at_once)
            except (DatabaseUnavailableError, WriteConflictError) as error:
                log.warning("operations wait for the database", error=repr(error.__cause__))
                await wait_for_event(self._stop, RECONNECT_SECONDS)

    async def _execute(self, operation_id: str) -> None:
        run = Run(operation_id=operation_id, name=str(ULID()))
        try:
            operation = await self._take_up(run)
            if operation is not None:
                await self._carry(operation, run)
            await self._enqueue_next(operation_id)
        except (
            ProcessDiedError,
            DatabaseUnavailableError,
            DatabaseBusyError,
            WriteConflictError,
            WriteTooLargeError,
        ) as error:
            # The last two: somebody holds the row of the operation. A job that fails is gone, and would leave it open.
            raise GiveBackError from error
        except RunLostError:
            log.warning("another process goes on with the operation", operation=operation_id)

    async def _take_up(self, run: Run) -> BulkOperation | None:
        """None when it has ended or is gone."""
        async with self._database.write() as connection:
            operation = await operations.take_up(connection, run, first_pause_seconds=FIRST_PAUSE_SECONDS)
            left = None if operation else await operations.seconds_to_attempt(connection, run.operation_id)
        if left is not None:
            raise GiveBackError(min(max(left, 0.0), LOOK_SECONDS))
        return operation

    async def _enqueue_next(self, operation_id: str) -> None:
        """Lets the next of the same actor begin. The job is there until this is done, so that it is never forgotten."""
        async with self._database.write() as connection, transaction(connection):
            actor = await operations.actor_of(connection, operation_id)
            if actor is not None:
                await queue.enqueue_due(connection, actor)

    async def _carry(self, operation: BulkOperation, run: Run) -> None:
        log.info("operation begins", operation=operation.id, kind=operation.kind, attempt=operation.attempts)
        try:
            await self._carry_while_wanted(operation, run)
        except CancelledByCallerError:
            await self._end(run, OperationState.CANCELLED, None)
        except AttemptsExhaustedError:
            await self._end(run, OperationState.FAILED, Failure.ATTEMPTS_EXHAUSTED)
        except (StoppedError, DatabaseBusyError) as error:
            # Neither is the fault of the operation.
            async with self._database.write() as connection:
                await operations.give_back(connection, run)
            raise GiveBackError from error
        except (WriteConflictError, WriteTooLargeError) as error:
            await self._end(run, OperationState.FAILED, _FAILURES[type(error)])
        except (ProcessDiedError, DatabaseUnavailableError, RunLostError):
            raise
        except Exception as error:  # noqa: BLE001  # it would fail again wherever it was begun
            # The text of a database error may quote contents, so only its kind and place are logged.
            log.error("operation failed", operation=operation.id, places=places_of(error))  # noqa: TRY400
            await self._end(run, OperationState.FAILED, Failure.INTERNAL)

    async def _end(self, run: Run, state: OperationState, failure: Failure | None) -> None:
        async with self._database.operation() as connection:
            await operations.recount(connection, run)
            await operations.finish(connection, run, state, failure)

    async def _carry_while_wanted(self, operation: BulkOperation, run: Run) -> None:
        if operation.state is OperationState.CANCELLING:
            raise CancelledByCallerError
        if operation.attempts > ATTEMPTS_LIMIT:
            raise AttemptsExhaustedError(ATTEMPTS_LIMIT)
        carrying = asyncio.ensure_future(self._carriers[operation.kind](operation, run))
        watching = asyncio.create_task(self._watch(run))
        try:
            await asyncio.wait((carrying, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            carrying.cancel()
            watching.cancel()
            await asyncio.wait((carrying, watching))
        await (watching if carrying.cancelled() else carrying)

    async def _watch(self, run: Run) -> None:
        """Ends with an error as soon as the run is to end."""
        while not self._stop.is_set():
            try:
                async with self._database.read() as connection:
                    state = await operations.standing(connection, run)
            except (DatabaseUnavailableError, DatabaseBusyError):
                # Whoever carries the operation is told too.
                pass
            else:
                if state is OperationState.CANCELLING:
                    raise CancelledByCallerError
            await wait_for_event(self._stop, WATCH_SECONDS)
        raise StoppedError
