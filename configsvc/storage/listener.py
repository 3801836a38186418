"""The connection of a process that listens for commits.

It never opens a transaction, because PostgreSQL would hold its notifications back.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from configsvc.aio import wait_for_event
from configsvc.domain.access import Grant
from configsvc.domain.commits import Position
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.storage import log, role_bindings
from configsvc.storage.database import translated_errors
from configsvc.storage.session_settings import READ_SETTINGS
from configsvc.storage.sessions import Session, open_session
from configsvc.storage.unreadable import UNREADABLE

# A connection that does not answer within this time counts as lost.
ROUND_TRIP_LIMIT_SECONDS = 2.0


class Listener:
    """A connection that reads the log and waits for commits. All methods raise DatabaseUnavailableError."""

    def __init__(self, connection: Session) -> None:
        self._connection = connection
        self._bell = asyncio.Event()

    def _ring(self, *_: object) -> None:
        self._bell.set()

    async def start(self) -> None:
        """Listen, and check with a notification of its own that notifications arrive: behind some poolers none do."""
        self._connection.add_termination_listener(self._ring)
        with _lost_if_failed():
            await self._connection.add_listener(log.CHANNEL, self._ring)
            async with asyncio.timeout(ROUND_TRIP_LIMIT_SECONDS):
                await self._connection.execute("SELECT pg_notify($1, '')", log.CHANNEL)
                await self._bell.wait()

    async def wait_for_notification(self, limit_seconds: float) -> bool:
        """Wait for a commit since the last call; return False after the limit, because notifications can get lost."""
        notified = await wait_for_event(self._bell, limit_seconds)
        self._bell.clear()
        if self._connection.is_closed():
            raise DatabaseUnavailableError
        return notified

    async def epoch(self) -> str:
        """Return what `configsvc.storage.log.epoch` returns."""
        with _lost_if_failed():
            return await log.epoch(self._connection)

    async def bounds(self) -> log.Bounds:
        """Return what `configsvc.storage.log.bounds` returns."""
        with _lost_if_failed():
            return await log.bounds(self._connection)

    async def notification_queue_usage(self) -> float:
        """Return the usage of PostgreSQL's notification queue, 0 to 1. When it is full, commits fail."""
        with _lost_if_failed():
            return await log.notification_queue_usage(self._connection)

    async def page_from(self, position: Position) -> log.LogPage:
        """Return what `configsvc.storage.log.page_from` returns. Raises RevisionCompactedError too."""
        with _lost_if_failed():
            return await log.page_from(self._connection, position)

    async def grants(self) -> tuple[Grant, ...]:
        """Return what `configsvc.storage.role_bindings.grants` returns."""
        with _lost_if_failed():
            return await role_bindings.grants(self._connection)

    async def grants_at_deletion(self, application_ids: Iterable[str]) -> tuple[Grant, ...]:
        """Return what `configsvc.storage.role_bindings.grants_at_deletion` returns."""
        with _lost_if_failed():
            return await role_bindings.grants_at_deletion(self._connection, application_ids)


@contextmanager
def _lost_if_failed() -> Generator[None]:
    """Treat any error, such as LISTEN on a replica, as a lost connection, so that the feed retries on another."""
    with translated_errors():
        try:
            yield
        except (asyncpg.PostgresError, *UNREADABLE) as error:
            raise DatabaseUnavailableError from error


@asynccontextmanager
async def open_listener(url: str) -> AsyncGenerator[Listener]:
    """Open a connection that hears of every commit from now on. Raises DatabaseUnavailableError."""
    with _lost_if_failed():
        settings = READ_SETTINGS | {
            "application_name": "configsvc feed",
            "statement_timeout": "10s",
            "lock_timeout": "1s",
        }
        connection = await open_session(url, settings, command_timeout=ROUND_TRIP_LIMIT_SECONDS)
    try:
        listener = Listener(connection)
        await listener.start()
        yield listener
    finally:
        # A clean close would wait for an answer that a lost connection never sends.
        connection.terminate()
