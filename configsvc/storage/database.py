"""Connections to PostgreSQL, by what they are for, so that one kind of work cannot starve another."""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from configsvc.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.limits.unread import ReclaimableSlots

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

log = structlog.get_logger()

CONNECT_TIMEOUT_SECONDS = 3.0
ACQUIRE_TIMEOUT_SECONDS = 5.0
CATCH_UP_TIMEOUT_SECONDS = 30.0
RELEASE_TIMEOUT_SECONDS = 2.0
# A connection whose other end is gone never says that it is closed.
CLOSE_TIMEOUT_SECONDS = 2.0
TIMER_SECONDS = 0.1
# Of 1 MiB or one configuration each, and, of a watch that is behind, a page of the log.
UNREAD_MESSAGES = 32
COMMAND_TIMEOUT_SECONDS = 10.0
# What a change of everything that a large application has may take.
LARGE_WRITE_SECONDS = 60.0
# PostgreSQL is to give up first: it says what took too long, and a silent connection says nothing.
LARGE_WRITE_ANSWER_SECONDS = LARGE_WRITE_SECONDS + 5.0

COMMON_SETTINGS = {
    "application_name": "configsvc",
    "search_path": "public",
    "jit": "off",
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
    "idle_in_transaction_session_timeout": "30s",
}
# A list leaves most of its filters out; only a plan made for the values at hand knows which index serves the rest.
READ_SETTINGS = COMMON_SETTINGS | {
    "statement_timeout": "5s",
    "plan_cache_mode": "force_custom_plan",
    "default_transaction_read_only": "on",
}
WRITE_SETTINGS = COMMON_SETTINGS | {
    "synchronous_commit": "on",
    "statement_timeout": f"{LARGE_WRITE_SECONDS:.0f}s",
    "lock_timeout": "2s",
    "default_transaction_isolation": "read committed",
    "configsvc.writer": "service",
}

# Merged writes wait for nobody's rows; what is left are commits of others, and keys that others insert.
MERGE_SETTINGS = WRITE_SETTINGS | {"lock_timeout": "1s"}

_CONFLICTS = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says when it uses a connection in the moment in which it is lost.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    TimeoutError,
    OSError,
)


@contextmanager
def translated_errors() -> Generator[None]:
    """Turns failures of the connection and of the order of transactions into the errors of the domain.

    A failure on the way out of work that is being cancelled, such as a rollback that gets no answer, stays a
    cancellation: whoever is told to end must not take it for an error and go on.
    """
    try:
        yield
    except (*_CONFLICTS, *_AWAY) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        raise (WriteConflictError if isinstance(error, _CONFLICTS) else DatabaseUnavailableError) from error


async def prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Reads jsonb as Python values; what is written is JSON text already."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)


async def _keep_session(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Nothing that this program sets outlives a transaction: asking PostgreSQL to forget it cost a round trip a use."""


class ConnectionShare:
    """How many connections the calls of one caller may hold at a time, by what they are for; how many of its pages are
    read and not made an answer of, and how many messages of its watches wait for their clients; and its places in the
    queues of this process: for a large answer to be made, and for a slow validation.
    """

    __slots__ = ("answers", "pages", "reads", "unread", "validations", "watches", "writes")

    def __init__(self, *, reads: int, writes: int, watches: int) -> None:
        self.reads = asyncio.Semaphore(reads)
        self.writes = asyncio.Semaphore(writes)
        self.watches = asyncio.Semaphore(watches)
        self.pages = asyncio.Semaphore(reads)
        self.unread = ReclaimableSlots(UNREAD_MESSAGES)
        self.answers = asyncio.Semaphore(1)
        self.validations = asyncio.Semaphore(1)


# On whose behalf connections are taken; None: the service's own, or everybody's where nobody is told apart.
connection_share: ContextVar[ConnectionShare | None] = ContextVar("connection_share", default=None)


@asynccontextmanager
async def _turn(semaphore: asyncio.Semaphore | None, limit_seconds: float) -> AsyncGenerator[None]:
    """Waits until the caller has fewer connections than it may. Raises DatabaseBusyError."""
    if semaphore is None:
        yield
        return
    try:
        async with asyncio.timeout(limit_seconds):
            await semaphore.acquire()
    except TimeoutError as error:
        raise DatabaseBusyError from error
    try:
        yield
    finally:
        semaphore.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The pools of one process. merges is for merged writes, writes for those that may have to wait, watches for
    snapshots and for watchers that are behind, operations for the long transactions of long-running operations.
    """

    reads: "Pool"
    merges: "Pool"
    writes: "Pool"
    watches: "Pool"
    operations: "Pool"

    def share(self) -> ConnectionShare:
        """For one caller: half of the connections."""
        reads, writes, watches = (pool.get_max_size() for pool in (self.reads, self.writes, self.watches))
        return ConnectionShare(reads=max(1, reads // 2), writes=max(1, writes // 2), watches=max(1, watches // 2))

    @property
    def operations_at_once(self) -> int:
        """How many operations this process may carry out: each holds a connection when it waits for others' rows."""
        return self.operations.get_max_size()

    def connections(self) -> dict[str, tuple[int, int]]:
        """How many connections each pool has, busy and idle."""
        pools = {
            "reads": self.reads,
            "merges": self.merges,
            "writes": self.writes,
            "watches": self.watches,
            "operations": self.operations,
        }
        return {name: (pool.get_size() - pool.get_idle_size(), pool.get_idle_size()) for name, pool in pools.items()}

    @asynccontextmanager
    async def read(self) -> AsyncGenerator["Connection"]:
        """A connection that answers callers. Raises DatabaseUnavailableError or DatabaseBusyError."""
        share = connection_share.get()
        async with (
            _turn(share and share.reads, ACQUIRE_TIMEOUT_SECONDS),
            _acquired(self.reads, ACQUIRE_TIMEOUT_SECONDS) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def catch_up(self) -> AsyncGenerator["Connection"]:
        """A connection that feeds watches; waits longer, for watches are many.

        Raises DatabaseUnavailableError or DatabaseBusyError.
        """
        share = connection_share.get()
        async with (
            _turn(share and share.watches, CATCH_UP_TIMEOUT_SECONDS),
            _acquired(self.watches, CATCH_UP_TIMEOUT_SECONDS) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator["Connection"]:
        """A connection for one write transaction.

        Raises DatabaseUnavailableError, DatabaseBusyError, WriteConflictError or WriteTooLargeError.
        """
        share = connection_share.get()
        async with (
            _turn(share and share.writes, ACQUIRE_TIMEOUT_SECONDS),
            _acquired(self.writes, ACQUIRE_TIMEOUT_SECONDS) as connection,
        ):
            with _refused_if_too_long():
                yield connection

    @asynccontextmanager
    async def merge(self) -> AsyncGenerator["Connection"]:
        """A connection for one transaction of merged writes. Raises what `write` raises."""
        async with _acquired(self.merges, ACQUIRE_TIMEOUT_SECONDS) as connection:
            with _refused_if_too_long():
                yield connection

    @asynccontextmanager
    async def operation(self) -> AsyncGenerator["Connection"]:
        """A connection for one transaction of a long-running operation. Raises what `write` raises."""
        async with _acquired(self.operations, CATCH_UP_TIMEOUT_SECONDS) as connection:
            with _refused_if_too_long():
                yield connection


@contextmanager
def _refused_if_too_long() -> Generator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise WriteTooLargeError from error


@asynccontextmanager
async def _acquired(pool: "Pool", limit_seconds: float) -> AsyncGenerator["Connection"]:
    with translated_errors():
        started = time.monotonic()
        try:
            connection = await pool.acquire(timeout=limit_seconds)
        except TimeoutError as error:
            # Connecting has a limit of its own, and a shorter one.
            # Timers may be a little early.
            busy = time.monotonic() - started >= limit_seconds - TIMER_SECONDS
            raise (DatabaseBusyError if busy else DatabaseUnavailableError) from error
        try:
            yield connection
        finally:
            await pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)


@asynccontextmanager
async def open_database(url: str, *, workers: int = 1) -> AsyncGenerator[Database]:
    """Opens the pools of one of as many workers; connections are made when they are needed, so that a database that is
    away does not keep the process from starting.
    """
    async with (
        _pool(url, READ_SETTINGS, size=_share(6, workers)) as reads,
        _pool(url, MERGE_SETTINGS, size=2) as merges,
        _pool(url, WRITE_SETTINGS, size=_share(4, workers)) as writes,
        _pool(url, READ_SETTINGS, size=_share(4, workers)) as watches,
        _pool(url, WRITE_SETTINGS, size=_share(3, workers), command_timeout=LARGE_WRITE_ANSWER_SECONDS) as operations,
    ):
        yield Database(reads=reads, merges=merges, writes=writes, watches=watches, operations=operations)


def _share(connections: int, workers: int) -> int:
    # With a single one, a statement that waits would hold up all others of its kind.
    return max(2, math.ceil(connections / workers))


@asynccontextmanager
async def _pool(
    url: str, settings: dict[str, str], *, size: int, command_timeout: float | None = None
) -> AsyncGenerator["Pool"]:
    pool: Any = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout or COMMAND_TIMEOUT_SECONDS,
        init=prepare_connection,
        reset=_keep_session,
        server_settings=settings,
    )
    await pool
    try:
        yield pool
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await pool.close()
    finally:
        # After an error nobody waits for what is under way; after a polite end there is nothing left to do.
        pool.terminate()
