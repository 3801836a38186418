"""Connection pools, one for each kind of work, so that none can starve another."""

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import asyncpg
import structlog

from configsvc.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    OutOfDescriptorsError,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.storage import unreadable_rows
from configsvc.storage.database_url import BadDatabaseUrlError, connect_arguments
from configsvc.storage.session_settings import (
    LARGE_WRITE_SECONDS,
    LIST_PLANNER,
    LOOKUP_PLANNER,
    MERGE_SETTINGS,
    READ_SETTINGS,
    WRITE_SETTINGS,
)
from configsvc.storage.sessions import (
    CONNECT_TIMEOUT_SECONDS,
    Connection,
    ReadSession,
    Session,
    SessionRefusedError,
    set_up,
    startup_settings,
)
from configsvc.telemetry.descriptors import is_shortage, shortage
from configsvc.telemetry.families import Families, labelled_gauge

# In quotes, because asyncpg's classes take type arguments only in its stubs.
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
# Entered with the name of a pool and a limit in seconds before a caller's work takes one of its connections.
Turn: TypeAlias = Callable[[str, float], AbstractAsyncContextManager[None]]

log = structlog.get_logger()

ACQUIRE_TIMEOUT_SECONDS = 5.0
CATCH_UP_TIMEOUT_SECONDS = 30.0
RELEASE_TIMEOUT_SECONDS = 2.0
# A connection whose peer is gone never confirms that it is closed.
CLOSE_TIMEOUT_SECONDS = 2.0
TIMER_SECONDS = 0.1
COMMAND_TIMEOUT_SECONDS = 10.0
# Longer, so that PostgreSQL times out first: its error is clearer than a silent connection.
LARGE_WRITE_ANSWER_SECONDS = LARGE_WRITE_SECONDS + 5.0

_PLACE_OF_ROW = re.compile(r"\(\d+,\d+\)")
_CONFLICTS = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # Raised by asyncpg when a connection is lost at the moment of use.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    SessionRefusedError,
    BadDatabaseUrlError,
    TimeoutError,
    OSError,
)


def translated_errors() -> AbstractContextManager[None]:
    """Translate connection failures and transaction conflicts into domain errors.

    A failure during cancellation, such as a rollback that gets no answer, stays a cancellation: the
    task must not take it for an error and continue.
    """
    return _translated(lambda error: OutOfDescriptorsError() if is_shortage(error) else DatabaseUnavailableError())


@contextmanager
def _translated(unavailable: Callable[[Exception], DatabaseUnavailableError]) -> Generator[None]:
    try:
        yield
    except (*_CONFLICTS, *_AWAY) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        if isinstance(error, _CONFLICTS):
            raise WriteConflictError(waited_for_row=_waited_for_row(error)) from error
        raise unavailable(error) from error


def _waited_for_row(error: asyncpg.PostgresError) -> bool:
    """Return whether one row was locked, or its key inserted, and not a table, or the row that orders all commits."""
    # Its texts are in the server's language; the place of a row looks the same in all of them.
    context = str(getattr(error, "context", None) or "")
    is_timeout = isinstance(error, asyncpg.LockNotAvailableError)
    return is_timeout and _PLACE_OF_ROW.search(context) is not None and "commit_order" not in context


def away() -> DatabaseUnavailableError:
    """Return the error for a database that the process has not reached, before anything was done."""
    return OutOfDescriptorsError() if shortage() else DatabaseUnavailableError()


async def _keep_session(_: Session) -> None:
    """Skip asyncpg's reset, which costs a round trip and takes the settings of `set_up` back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The pools of one process.

    merges: for group commits. writes: for writes that may wait for locks. watches: for snapshots,
    and for watches that are behind. operations: for the long transactions of operations.
    """

    reads: Pool
    merges: Pool
    writes: Pool
    watches: Pool
    operations: Pool
    turn: Turn

    @property
    def caller_pools(self) -> dict[str, int]:
        """The size of each pool that callers share, by the name that `turn` gets."""
        pools = {"reads": self.reads, "writes": self.writes, "watches": self.watches}
        return {name: pool.get_max_size() for name, pool in pools.items()}

    @property
    def operations_at_once(self) -> int:
        """The number of operations that this process may run: each holds a connection while it waits for locks."""
        return self.operations.get_max_size()

    @property
    def pool_states(self) -> dict[str, dict[str, int]]:
        """The busy and idle connections of each pool."""
        pools = {
            "reads": self.reads,
            "merges": self.merges,
            "writes": self.writes,
            "watches": self.watches,
            "operations": self.operations,
        }
        return {
            name: {"busy": pool.get_size() - pool.get_idle_size(), "idle": pool.get_idle_size()}
            for name, pool in pools.items()
        }

    def collect(self) -> Families:
        """Yield the metrics of the pools."""
        sizes = {(name, state): count for name, pool in self.pool_states.items() for state, count in pool.items()}
        yield labelled_gauge("database_connections", "Connections of the pools.", ("pool", "state"), sizes)
        yield from unreadable_rows.collect()

    def read(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection for statements that find rows by their keys.

        Raises DatabaseUnavailableError or DatabaseBusyError.
        """
        return self._reading("reads", self.reads, ACQUIRE_TIMEOUT_SECONDS, LOOKUP_PLANNER)

    def read_list(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection for statements with optional filters. Raises what `read` raises."""
        return self._reading("reads", self.reads, ACQUIRE_TIMEOUT_SECONDS, LIST_PLANNER)

    def catch_up(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection for watches that are behind, waiting longer because watches are many.

        Raises what `read` raises.
        """
        return self._reading("watches", self.watches, CATCH_UP_TIMEOUT_SECONDS, LOOKUP_PLANNER)

    def read_snapshot(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection for the snapshot of a watch, waiting as `catch_up` does. Raises what `read` raises."""
        return self._reading("watches", self.watches, CATCH_UP_TIMEOUT_SECONDS, LIST_PLANNER)

    @asynccontextmanager
    async def _reading(
        self, name: str, pool: Pool, limit_seconds: float, planner: dict[str, str]
    ) -> AsyncGenerator[Connection]:
        async with self.turn(name, limit_seconds), _acquired(pool, limit_seconds) as connection:
            with _refused_if_locked():
                await cast("ReadSession", connection).plan_with(planner)
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Connection]:
        """Yield a connection for one write transaction.

        Raises DatabaseUnavailableError, DatabaseBusyError, WriteConflictError or
        WriteTooLargeError.
        """
        async with (
            self.turn("writes", ACQUIRE_TIMEOUT_SECONDS),
            _acquired(self.writes, ACQUIRE_TIMEOUT_SECONDS) as connection,
        ):
            with _refused_if_too_long():
                yield connection

    @asynccontextmanager
    async def merge(self) -> AsyncGenerator[Connection]:
        """Yield a connection for one group commit. Raises what `write` raises."""
        async with _acquired(self.merges, ACQUIRE_TIMEOUT_SECONDS) as connection:
            with _refused_if_too_long():
                yield connection

    @asynccontextmanager
    async def operation(self) -> AsyncGenerator[Connection]:
        """Yield a connection for one transaction of a long-running operation. Raises what `write` raises."""
        async with _acquired(self.operations, CATCH_UP_TIMEOUT_SECONDS) as connection:
            with _refused_if_too_long():
                yield connection


@contextmanager
def _refused_if_locked() -> Generator[None]:
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseBusyError(table_locked=True) from error


@contextmanager
def _refused_if_too_long() -> Generator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise WriteTooLargeError from error


@asynccontextmanager
async def _acquired(pool: Pool, limit_seconds: float) -> AsyncGenerator[Connection]:
    # Libraries hide that no descriptor was left: then they call a host unknown, or a file missing.
    with _translated(lambda _: away()):
        connection = await _acquire(pool, limit_seconds)
    with translated_errors():
        try:
            yield connection
        finally:
            await pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)


async def _acquire(pool: Pool, limit_seconds: float) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
    started = time.monotonic()
    try:
        return await pool.acquire(timeout=limit_seconds)
    except TimeoutError as error:
        # Connecting has its own, shorter limit.
        # Timers may be a little early.
        if time.monotonic() - started >= limit_seconds - TIMER_SECONDS:
            raise DatabaseBusyError from error
        raise


@asynccontextmanager
async def open_database(url: str, *, workers: int = 1, turn: Turn) -> AsyncGenerator[Database]:
    """Open the pools of one of several workers.

    Connections are made on demand, so that the process starts even if the database is down.
    """
    sizes = pool_sizes(workers)
    async with (
        _pool(url, READ_SETTINGS, size=sizes["reads"], connection_class=ReadSession) as reads,
        _pool(url, MERGE_SETTINGS, size=sizes["merges"]) as merges,
        _pool(url, WRITE_SETTINGS, size=sizes["writes"]) as writes,
        _pool(url, READ_SETTINGS, size=sizes["watches"], connection_class=ReadSession) as watches,
        _pool(url, WRITE_SETTINGS, size=sizes["operations"], command_timeout=LARGE_WRITE_ANSWER_SECONDS) as operations,
    ):
        yield Database(reads=reads, merges=merges, writes=writes, watches=watches, operations=operations, turn=turn)


def pool_sizes(workers: int) -> dict[str, int]:
    """Return the limit on the connections of each pool, for one of several workers."""
    return {
        "reads": _part(6, workers),
        "merges": 2,
        "writes": _part(4, workers),
        "watches": _part(4, workers),
        "operations": _part(3, workers),
    }


def _part(connections: int, workers: int) -> int:
    # With a single connection, one waiting statement would block all others of its kind.
    return max(2, math.ceil(connections / workers))


@asynccontextmanager
async def _pool(
    url: str,
    settings: dict[str, str],
    *,
    size: int,
    command_timeout: float | None = None,
    connection_class: "type[asyncpg.Connection[Any]]" = asyncpg.Connection,
) -> AsyncGenerator[Pool]:
    pool: Any = asyncpg.create_pool(
        **connect_arguments(url),
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout or COMMAND_TIMEOUT_SECONDS,
        init=partial(set_up, settings=settings),
        reset=_keep_session,
        connection_class=connection_class,
        server_settings=startup_settings(settings),
    )
    await pool
    try:
        yield pool
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await pool.close()
    finally:
        # After an error, drop running statements; after a clean close, this does nothing.
        pool.terminate()
