"""The job queue, one job for each operation: that of pgqueuer, on a connection of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.queries import Queries

from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.storage.database import (
    COMMAND_TIMEOUT_SECONDS,
    Connection,
    translated_errors,
)
from configsvc.storage.session_settings import COMMON_SETTINGS
from configsvc.storage.sessions import open_session

ENTRYPOINT = "operation"
# A job goes to another process when its own has sent no heartbeat for this long.
HEARTBEAT_SECONDS = 10.0
# The interval of looking for such jobs; new ones come with a notification.
POLL_SECONDS = 3.0

Execute = Callable[[str], Awaitable[None]]


class GiveBackError(Exception):
    """An unfinished job that this or another process continues after a pause."""

    def __init__(self, pause_seconds: float = 0.0) -> None:
        super().__init__(f"continue in {pause_seconds:.1f} s")
        self.pause_seconds = pause_seconds


class _Manager(QueueManager):
    async def verify_structure(self) -> None:
        """Skip the check: migrations create the tables, and checking each column took longer than the rest of the
        start.
        """


async def enqueue(connection: Connection, operation_ids: Sequence[str]) -> None:
    """Enqueue jobs for the operations, once the transaction commits, unless they are already queued."""
    number = len(operation_ids)
    await _queries(connection).enqueue(
        [ENTRYPOINT] * number,
        [operation_id.encode() for operation_id in operation_ids],
        [0] * number,
        dedupe_key=list(operation_ids),
        on_conflict="skip",
    )


def _queries(connection: Connection) -> Queries:
    return Queries.from_asyncpg_connection(connection)  # pyright: ignore[reportArgumentType]


async def run_jobs(url: str, execute: Execute, stop: asyncio.Event, *, at_once: int) -> None:
    """Run at most at_once jobs until stop is set and the running ones, which must end soon, have ended.

    execute takes the id of an operation, and may raise GiveBackError. Raises
    DatabaseUnavailableError or WriteConflictError.
    """
    with translated_errors():
        connection = await open_session(url, COMMON_SETTINGS, command_timeout=COMMAND_TIMEOUT_SECONDS)
        try:
            await _run_jobs(connection, execute, stop, at_once=at_once)
        except FailingListenerError as error:
            raise DatabaseUnavailableError from error
        finally:
            connection.terminate()


async def _run_jobs(connection: Connection, execute: Execute, stop: asyncio.Event, *, at_once: int) -> None:
    manager = _Manager(_queries(connection))

    @manager.entrypoint(ENTRYPOINT)
    async def run(job: Job) -> None:
        assert job.payload is not None
        try:
            await execute(job.payload.decode())
        except GiveBackError as error:
            raise RetryRequested(timedelta(seconds=error.pause_seconds)) from error

    # The manager also sets its own event when it hears no notifications; another manager then replaces it.
    stopping = asyncio.create_task(_stop_with(stop, manager))
    try:
        await manager.run(
            dequeue_timeout=timedelta(seconds=POLL_SECONDS),
            batch_size=1,
            max_concurrent_tasks=at_once,
            heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
            log_aggregation_interval=timedelta(0),
            shutdown_on_listener_failure=True,
        )
    finally:
        stopping.cancel()


async def _stop_with(stop: asyncio.Event, manager: QueueManager) -> None:
    await stop.wait()
    manager.shutdown.set()
